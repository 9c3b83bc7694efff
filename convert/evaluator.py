"""How right a network answers quantized after training, and as the file that is to be written, in each runtime."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.convert import verify
from fer_edge.convert.export import export_post_training
from fer_edge.edge.device.host_info import describe_machine
from fer_edge.edge.errors import ModelError
from fer_edge.train.data.splits import Split

PACKAGES = ("tensorflow", "tf_keras", "tensorflow-model-optimization", "ai-edge-litert", "numpy")
"""What a figure of a conversion depends on."""


@dataclass(frozen=True)
class Judge:
    """Who compares files with their float network, whose (N, 7) logits of val's N pictures are the reference.

    other_python: an interpreter with tflite-runtime, to run them in too. echo: who is told what was found.
    """

    val: Split
    reference: NDArray[np.float32]
    limits: verify.Limits
    other_python: Path | None
    echo: Callable[[str], None]

    def post_training(self, model: Any, faces: NDArray[np.uint8]) -> dict[str, Any] | None:
        """What TFLite's own quantization, calibrated on (M, 48, 48) faces, is worth: what fine-tuning is to better.

        None where the converter refuses the network: it is only for comparison.
        """
        self.echo(f"quantizing after training, for comparison: calibrating on {len(faces)} faces")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "post_training.tflite"
            try:
                path.write_bytes(export_post_training(model, faces))
            except ModelError as error:
                self.echo(f"{error}; nothing to compare with")
                return None
            runtime, logits = verify.litert_logits(path, self.val.faces)
        return {"runtime": runtime, **self._compared(runtime, logits)}

    def accuracy(
        self, name: str, kind: str, content: bytes, post_training: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, int]]:
        """What a card says of a file's accuracy, and its operators; ModelError where it must not be written."""
        runtimes, ops = self._verified(name, kind, content)
        before = {"float": verify.figures(self.reference, self.val)}
        before |= {"post_training": post_training} if post_training else {}
        return {
            "split": "val",
            "pictures": len(self.val),
            "machine": describe_machine(PACKAGES),
            **before,
            "runtimes": runtimes,
        }, ops

    def _verified(self, name: str, kind: str, content: bytes) -> tuple[dict[str, Any], dict[str, int]]:
        """Figures per runtime and the operators."""
        integer = kind in ("int8", "ptq")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{name}.tflite"
            path.write_bytes(content)
            ops = verify.check_integer(path) if integer else verify.operators(path)
            told = ", ".join(f"{count} {op}" for op, count in ops.items())
            self.echo(f"{name}: {len(content):,} bytes; operators {told}")
            figures = self._checked(path, *verify.litert_logits(path, self.val.faces))
            if self.other_python is None:
                figures["tflite-runtime"] = "not run"
            else:
                figures |= self._elsewhere(path, self.other_python, integer)
        return figures, ops

    def _elsewhere(self, path: Path, python: Path, integer: bool) -> dict[str, Any]:
        """tflite-runtime's figures. What is not integer need not run there: it is too old for some of it."""
        try:
            runtime, logits = verify.tflite_runtime_logits(python, path, self.val.faces)
        except ModelError as error:
            if integer:
                raise
            self.echo(f"{error}; written all the same, for comparison")
            return {"tflite-runtime": "cannot run it"}
        return self._checked(path, runtime, logits)

    def _checked(self, path: Path, runtime: str, logits: NDArray[np.float32]) -> dict[str, Any]:
        found = self._compared(runtime, logits)
        verify.check_answers(path, runtime, found, self.limits)
        return {runtime: found}

    def _compared(self, runtime: str, logits: NDArray[np.float32]) -> dict[str, Any]:
        found = verify.compare(logits, self.reference, self.val)
        self.echo(
            f"{runtime}: accuracy {found['accuracy']:.4f}, {found['drop_points']:+.2f} points lost, "
            f"{100 * found['agreement']:.1f} % agree with float"
        )
        return found
