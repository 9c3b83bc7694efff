"""What a converted model must show before it is written: integers throughout, and the float model's answers."""

from __future__ import annotations

import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import ModelError
from fer_edge.edge.expression.classifier import TFLiteClassifier
from fer_edge.edge.expression.scores import softmax
from fer_edge.edge.preprocess import prepare
from fer_edge.edge.tflite.interpreter import Interpreter, open_interpreter
from fer_edge.edge.tflite.quantize import gray_table
from fer_edge.edge.types import EMOTIONS
from fer_edge.train.data.splits import Split
from fer_edge.train.evaluation.metrics import measure


@dataclass(frozen=True)
class Limits:
    """What int8 may cost. agreement: share of equal top-1 answers, 0..1. drop: percentage points of accuracy."""

    agreement: float = 0.85
    drop: float = 1.0


def operators(path: Path) -> dict[str, int]:
    """How often each operator occurs in the graph as stored, before any delegate takes it over."""
    names = (operator.name for operator in open_interpreter(path, xnnpack=False).operators())
    return dict(sorted(Counter(names).items()))


def check_integer(path: Path) -> dict[str, int]:
    """The operators of a model that is int8 from input to logits; ModelError names what is not."""
    interpreter = open_interpreter(path, xnnpack=False)
    found = operators(path)
    for role, tensor in (("input", interpreter.inputs[0]), ("output", interpreter.outputs[0])):
        if tensor.dtype != np.int8:
            raise ModelError(f"{path.name}: the {role} is {tensor.dtype}, expected int8; nothing was written")
    islands = {name: count for name, count in found.items() if name in ("QUANTIZE", "DEQUANTIZE")}
    if islands:
        what = ", ".join(f"{count} {name}" for name, count in islands.items())
        raise ModelError(
            f"{path.name} has {what} inside, expected none; a layer has no int8 range; nothing was written"
        )
    floats = float_operators(interpreter)
    if floats:
        raise ModelError(
            f"{path.name} computes {', '.join(floats[:4])} in float ({len(floats)} in all), expected int8; "
            "nothing was written"
        )
    return found


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
    """What (N, 7) logits are worth: accuracy, balanced accuracy, calibration error (15 bins), each class's recall."""
    found = measure(softmax(logits), split.labels)
    return {
        "accuracy": round(found.accuracy, 5),
        "balanced_accuracy": round(found.balanced_accuracy, 5),
        "ece": round(found.ece, 5),
        "recall": {name: round(float(recall), 4) for name, recall in zip(EMOTIONS, found.recall, strict=True)},
    }


def compare(logits: NDArray[np.float32], reference: NDArray[np.float32], split: Split) -> dict[str, Any]:
    """The same beside the float model's logits: the points of accuracy lost, and the share of equal top-1 answers."""
    answers, expected = logits.argmax(axis=1), reference.argmax(axis=1)
    right, before = (float(np.mean(each == split.labels)) for each in (answers, expected))
    return figures(logits, split) | {
        "drop_points": round(100 * (before - right), 3),
        "agreement": round(float(np.mean(answers == expected)), 5),
    }


def check_answers(path: Path, runtime: str, figures: dict[str, Any], limits: Limits) -> None:
    """ModelError where a runtime's figures (see compare) are outside the limits."""
    if figures["agreement"] < limits.agreement:
        raise ModelError(
            f"{path.name} agrees with the float model on {100 * figures['agreement']:.1f} % in {runtime}, expected "
            f"{100 * limits.agreement:.1f} % (--min-agreement); fine-tune longer (--epochs); nothing was written"
        )
    if figures["drop_points"] > limits.drop:
        raise ModelError(
            f"{path.name} loses {figures['drop_points']:.2f} points in {runtime}, expected at most "
            f"{limits.drop:.2f} (--max-drop); fine-tune longer (--epochs); nothing was written"
        )


def litert_logits(path: Path, faces: NDArray[np.uint8]) -> tuple[str, NDArray[np.float32]]:
    """The runtime's name and version, and (N, 7) logits of (N, 48, 48) uint8 faces, as the device computes them."""
    classifier = TFLiteClassifier(path, threads=1)
    return classifier.runtime, classifier.logits(faces)


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


def check_other_runtime(python: Path) -> None:
    """ModelError where that Python cannot import tflite-runtime."""
    _run(python, "-c", "import numpy, tflite_runtime.interpreter")


def tflite_runtime_logits(python: Path, path: Path, faces: NDArray[np.uint8]) -> tuple[str, NDArray[np.float32]]:
    """The same from tflite-runtime in an environment of its own (it needs numpy < 2): python is that interpreter."""
    model = open_interpreter(path)
    table, output = gray_table(model.inputs[0]), model.outputs[0]
    side = model.inputs[0].shape[1]
    with tempfile.TemporaryDirectory() as folder:
        inputs, outputs = Path(folder) / "in.npy", Path(folder) / "out.npy"
        np.save(inputs, np.stack([table[prepare(face, side)] for face in faces]))
        told = _run(python, "-c", _SCRIPT, str(path), str(inputs), str(outputs))
        integers = np.load(outputs)
    logits = integers.astype(np.float32)
    if output.scale:
        logits = (logits - np.float32(output.zero_point)) * np.float32(output.scale)
    return f"tflite-runtime {told.strip().splitlines()[-1]}, 1 thread", logits


def _run(python: Path, *arguments: str) -> str:
    try:
        finished = subprocess.run([str(python), *arguments], capture_output=True, text=True, check=False)
    except OSError as error:
        raise ModelError(f"{python} cannot be run: {error.strerror}; expected a Python with tflite-runtime") from None
    if finished.returncode:
        why = (finished.stderr.strip().splitlines() or ["no message"])[-1]
        raise ModelError(f"tflite-runtime in {python} failed: {why}; expected tflite-runtime with numpy < 2")
    return finished.stdout
