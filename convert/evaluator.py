"""Accuracy of converted files, compared with their float network in each runtime, for verification and card."""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.convert import verify
from fer_edge.convert.float_network import FloatNetwork
from fer_edge.convert.options import VerificationOptions
from fer_edge.convert.runtimes import litert_logits, tflite_runtime_logits
from fer_edge.convert.tflite_export import export_post_training
from fer_edge.edge.device.host_info import describe_machine
from fer_edge.edge.errors import ModelError
from fer_edge.train.data.clean_rows import rows_in_train
from fer_edge.train.data.duplicates import Overlap
from fer_edge.train.data.splits import Dataset, Split
from fer_edge.train.networks import predict_logits

PACKAGES = ("tensorflow", "tf_keras", "tensorflow-model-optimization", "ai-edge-litert", "numpy")
"""Packages whose versions belong to a conversion's figures."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Evaluator:
    """Compares .tflite files with their float network on one split.

    Attributes:
        split: The N faces and labels to measure on.
        overlap: Its rows that are in the train split, or None where that is not known.
        reference: (N, C) float32 logits of the float network.
        options: Thresholds, and the Python interpreter with tflite-runtime; None runs nothing there.
    """

    split: Split
    overlap: Overlap | None
    reference: NDArray[np.float32]
    options: VerificationOptions

    def post_training(self, model: Any, faces: NDArray[np.uint8]) -> dict[str, Any] | None:
        """Measure TFLite's own post-training quantization, which fine-tuning has to beat.

        Args:
            model: The float tf_keras model.
            faces: (M, 48, 48) uint8 faces to calibrate on.

        Returns:
            The card's figures, or None where the converter refuses the network: it is only for comparison.
        """
        _logger.info(f"quantizing after training, for comparison: calibrating on {len(faces)} faces")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "post_training.tflite"
            try:
                path.write_bytes(export_post_training(model, faces))
            except ModelError as error:
                _logger.warning(f"{error}; nothing to compare with")
                return None
            runtime, logits = litert_logits(path, self.split.faces, self.split.classes)
        return {"runtime": runtime, **self._compare(runtime, logits)}

    def accuracy(
        self, name: str, kind: str, content: bytes, post_training: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, int]]:
        """Verify a file, and measure it in every runtime.

        Args:
            name: The file's name without its suffix.
            kind: `int8`, `ptq`, `float32`, `float16` or `dynamic`; the first two must be int8 throughout.
            content: The .tflite file.
            post_training: The figures of `post_training`, for the card.

        Returns:
            The card's entry `accuracy`, and how often each operator occurs.

        Raises:
            ModelError: The file computes in float, or its answers are outside the thresholds.
        """
        runtimes, operators = self._verified(name, kind, content)
        entry = {
            "split": "val",
            "pictures": len(self.split),
            "machine": describe_machine(PACKAGES),
            "float": verify.accuracy_figures(self.reference, self.split, self.overlap),
        }
        if post_training:
            entry["post_training"] = post_training
        return entry | {"runtimes": runtimes}, operators

    def _verified(self, name: str, kind: str, content: bytes) -> tuple[dict[str, Any], dict[str, int]]:
        """Figures per runtime, and operators."""
        integer = kind in ("int8", "ptq")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{name}.tflite"
            path.write_bytes(content)
            operators = verify.check_integer(path) if integer else verify.operators(path)
            listed = ", ".join(f"{count} {operator}" for operator, count in operators.items())
            _logger.info(f"{name}: {len(content):,} bytes; operators {listed}")
            figures = self._checked(path, *litert_logits(path, self.split.faces, self.split.classes))
            figures |= self._in_tflite_runtime(path, integer)
        return figures, operators

    def _in_tflite_runtime(self, path: Path, integer: bool) -> dict[str, Any]:
        """tflite-runtime's figures. A model in float need not run there: version 2.14 is too old for some operators."""
        python = self.options.tflite_runtime_python
        if python is None:
            return {"tflite-runtime": "not run"}
        try:
            runtime, logits = tflite_runtime_logits(python, path, self.split.faces)
        except ModelError as error:
            if integer:
                raise
            _logger.warning(f"{error}; written nevertheless, for comparison")
            return {"tflite-runtime": "cannot run it"}
        return self._checked(path, runtime, logits)

    def _checked(self, path: Path, runtime: str, logits: NDArray[np.float32]) -> dict[str, Any]:
        """A runtime's figures by its name. Raises ModelError where they are outside the thresholds."""
        figures = self._compare(runtime, logits)
        verify.check_answers(path, runtime, figures, len(self.split), self.options)
        return {runtime: figures}

    def _compare(self, runtime: str, logits: NDArray[np.float32]) -> dict[str, Any]:
        """A runtime's figures, which are logged too."""
        figures = verify.compare(logits, self.reference, self.split, self.overlap)
        _logger.info(
            f"{runtime}: accuracy {figures['accuracy']:.4f}, drop {figures['drop_points']:.2f} percentage points, "
            f"{100 * figures['agreement']:.1f} % agreement with the float model"
        )
        return figures


def open_evaluator(network: FloatNetwork, dataset: Dataset, options: VerificationOptions) -> Evaluator:
    """Make the evaluator of a float network, whose logits it computes.

    Args:
        network: The float network, not yet folded.
        dataset: The data set, whose val split is measured on.
        options: Thresholds, and the Python interpreter with tflite-runtime; None runs nothing there.

    Returns:
        The evaluator.
    """
    split = dataset.split("val")
    reference = predict_logits(network.model, split.faces)
    accuracy = np.mean(reference.argmax(axis=1) == split.labels)
    _logger.info(f"{network.architecture}: float accuracy on val {accuracy:.4f}")
    return Evaluator(split, rows_in_train(dataset, "val"), reference, options)
