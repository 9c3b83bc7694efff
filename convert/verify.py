"""Checks that a converted file must pass before it is written: int8 throughout, and the float model's answers."""

from __future__ import annotations

import logging
import subprocess
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.convert.options import VerificationOptions
from fer_edge.edge.errors import ModelError
from fer_edge.edge.expression.classifier import TFLiteClassifier
from fer_edge.edge.expression.scores import softmax
from fer_edge.edge.preprocess import prepare
from fer_edge.edge.tflite.interpreter import Interpreter, open_interpreter
from fer_edge.edge.tflite.quantize import gray_table
from fer_edge.edge.types import EMOTIONS
from fer_edge.train.data.splits import Split
from fer_edge.train.evaluation.metrics import measure

DEFAULT_TFLITE_PYTHON = Path(".venv-tflite/bin/python")
"""Where `make test` puts the environment with tflite-runtime."""

_logger = logging.getLogger(__name__)


def operators(path: Path) -> dict[str, int]:
    """How often each operator occurs in a file's graph, before any delegate takes it over."""
    return dict(sorted(Counter(each.name for each in open_interpreter(path, xnnpack=False).operators()).items()))


def check_integer(path: Path) -> dict[str, int]:
    """Check that a model computes in integers from input to logits.

    Args:
        path: The .tflite file.

    Returns:
        How often each operator occurs.

    Raises:
        ModelError: Input, output or an operator inside is not int8; the message names it.
    """
    interpreter = open_interpreter(path, xnnpack=False)
    counts = operators(path)
    for role, tensor in (("input", interpreter.inputs[0]), ("output", interpreter.outputs[0])):
        if tensor.dtype != np.int8:
            raise ModelError(f"{path.name}: the {role} is {tensor.dtype}, expected int8; nothing was written")
    conversions = [f"{counts[name]} {name}" for name in ("DEQUANTIZE", "QUANTIZE") if name in counts]
    if conversions:
        raise ModelError(
            f"{path.name} has {', '.join(conversions)} inside, expected none; a layer has no int8 range; "
            "nothing was written"
        )
    floats = float_operators(interpreter)
    if floats:
        raise ModelError(
            f"{path.name} computes {', '.join(floats[:4])} in float ({len(floats)} in all), expected int8; "
            "nothing was written"
        )
    return counts


def float_operators(interpreter: Interpreter) -> list[str]:
    """Operators that read or write a float tensor, as "NAME (tensor)"."""
    tensors, floats = interpreter.tensors(), []
    for operator in interpreter.operators():
        for index in (*operator.inputs, *operator.outputs):
            if index in tensors and np.issubdtype(tensors[index].dtype, np.floating):
                floats.append(f"{operator.name} ({tensors[index].name.split(';')[0][-40:]})")
                break
    return floats


def figures(logits: NDArray[np.float32], split: Split) -> dict[str, Any]:
    """A card's figures of (N, 7) logits: accuracy, balanced accuracy, calibration error (15 bins), recall per class."""
    metrics = measure(softmax(logits), split.labels)
    return {
        "accuracy": round(metrics.accuracy, 5),
        "balanced_accuracy": round(metrics.balanced_accuracy, 5),
        "ece": round(metrics.ece, 5),
        "recall": {name: round(float(recall), 4) for name, recall in zip(EMOTIONS, metrics.recall, strict=True)},
    }


def compare(logits: NDArray[np.float32], reference: NDArray[np.float32], split: Split) -> dict[str, Any]:
    """A card's figures of logits, compared with the float model's.

    Args:
        logits: (N, 7) logits of the converted model.
        reference: (N, 7) logits of the float model.
        split: The N faces with their labels.

    Returns:
        The `figures`, the accuracy drop (`drop_points`, percentage points) and the share of equal top-1 answers
        (`agreement`, 0..1).
    """
    answers, expected = logits.argmax(axis=1), reference.argmax(axis=1)
    accuracy, float_accuracy = (float(np.mean(each == split.labels)) for each in (answers, expected))
    return figures(logits, split) | {
        "drop_points": round(100 * (float_accuracy - accuracy), 3),
        "agreement": round(float(np.mean(answers == expected)), 5),
    }


def check_answers(path: Path, runtime: str, figures: dict[str, Any], options: VerificationOptions) -> None:
    """Check a runtime's figures, as `compare` makes them, against the thresholds. Raises ModelError."""
    if figures["agreement"] < options.min_agreement:
        raise ModelError(
            f"{path.name} agrees with the float model on {100 * figures['agreement']:.1f} % in {runtime}, expected at "
            f"least {100 * options.min_agreement:.1f} % (--min-agreement); fine-tune longer (--epochs); "
            "nothing was written"
        )
    if figures["drop_points"] > options.max_drop:
        raise ModelError(
            f"{path.name} loses {figures['drop_points']:.2f} percentage points of accuracy in {runtime}, expected at "
            f"most {options.max_drop:.2f} (--max-drop); fine-tune longer (--epochs); nothing was written"
        )


def litert_logits(path: Path, faces: NDArray[np.uint8]) -> tuple[str, NDArray[np.float32]]:
    """Run a .tflite file in the installed runtime, as the device does.

    Args:
        path: The .tflite file.
        faces: (N, 48, 48) uint8 gray faces.

    Returns:
        The runtime's name and version, and (N, 7) float32 logits.
    """
    classifier = TFLiteClassifier(path, threads=1)
    return classifier.runtime, classifier.logits(faces)


def with_tflite_python(options: VerificationOptions) -> VerificationOptions:
    """Look for the Python interpreter with tflite-runtime, and check it before hours of fine-tuning.

    Args:
        options: The options as given; where they name no interpreter, DEFAULT_TFLITE_PYTHON is taken if it exists.

    Returns:
        The options with the interpreter, or with None where there is none.

    Raises:
        ModelError: The named interpreter does not exist, or cannot import tflite-runtime.
    """
    python = options.tflite_runtime_python
    if python is not None and not python.is_file():
        raise ModelError(f"--tflite-runtime-python {python}: no such file; expected a Python with tflite-runtime")
    if python is None and DEFAULT_TFLITE_PYTHON.is_file():
        python = DEFAULT_TFLITE_PYTHON
    if python is None:
        _logger.info("no .venv-tflite here: not verified in tflite-runtime (see --tflite-runtime-python)")
    else:
        _run(python, "-c", "import numpy, tflite_runtime.interpreter")
    return replace(options, tflite_runtime_python=python)


_SCRIPT = """
import sys, importlib.metadata, numpy as np
from tflite_runtime.interpreter import Interpreter
i = Interpreter(sys.argv[1], num_threads=1); i.allocate_tensors()
a, b = i.get_input_details()[0], i.get_output_details()[0]
faces = np.load(sys.argv[2], mmap_mode="r"); out = np.empty((len(faces), b["shape"][1]), b["dtype"])
view = i.tensor(a["index"])
for k, face in enumerate(faces):
    view()[...] = face[None, :, :, None]; i.invoke(); out[k] = i.get_tensor(b["index"])[0]
np.save(sys.argv[3], out); print(importlib.metadata.version("tflite-runtime"))
"""


def tflite_runtime_logits(python: Path, path: Path, faces: NDArray[np.uint8]) -> tuple[str, NDArray[np.float32]]:
    """Run a .tflite file in tflite-runtime, which needs an environment of its own (numpy < 2).

    Args:
        python: The Python interpreter of that environment.
        path: The .tflite file.
        faces: (N, 48, 48) uint8 gray faces.

    Returns:
        The runtime's name and version, and (N, 7) float32 logits.

    Raises:
        ModelError: The interpreter cannot be run, or tflite-runtime refuses the file.
    """
    model = open_interpreter(path)
    table, output = gray_table(model.inputs[0]), model.outputs[0]
    side = model.inputs[0].shape[1]
    with tempfile.TemporaryDirectory() as folder:
        inputs, outputs = Path(folder) / "in.npy", Path(folder) / "out.npy"
        np.save(inputs, np.stack([table[prepare(face, side)] for face in faces]))
        printed = _run(python, "-c", _SCRIPT, str(path), str(inputs), str(outputs))
        integers = np.load(outputs)
    logits = integers.astype(np.float32)
    if output.scale:
        logits = (logits - np.float32(output.zero_point)) * np.float32(output.scale)
    return f"tflite-runtime {printed.strip().splitlines()[-1]}, 1 thread", logits


def _run(python: Path, *arguments: str) -> str:
    """What a Python interpreter prints to stdout."""
    try:
        process = subprocess.run([str(python), *arguments], capture_output=True, text=True, check=False)
    except OSError as error:
        raise ModelError(f"{python} cannot be run: {error.strerror}; expected a Python with tflite-runtime") from None
    if process.returncode:
        reason = (process.stderr.strip().splitlines() or ["no message"])[-1]
        raise ModelError(f"tflite-runtime in {python} failed: {reason}; expected tflite-runtime with numpy < 2")
    return process.stdout
