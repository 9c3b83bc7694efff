"""The runtimes that a converted file is verified in: the installed one, and tflite-runtime in its own environment."""

from __future__ import annotations

import logging
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_edge.convert.options import VerificationOptions
from fer_edge.edge.errors import ModelError
from fer_edge.edge.expression.classifier import TFLiteClassifier
from fer_edge.edge.preprocess import prepare
from fer_edge.edge.tflite.interpreter import open_interpreter
from fer_edge.edge.tflite.quantize import gray_table

DEFAULT_TFLITE_PYTHON = Path(".venv-tflite/bin/python")
"""Where `make test` puts the environment with tflite-runtime."""

_logger = logging.getLogger(__name__)


def litert_logits(path: Path, faces: NDArray[np.uint8], classes: tuple[str, ...]) -> tuple[str, NDArray[np.float32]]:
    """Run a .tflite file in the installed runtime, as the device does.

    Args:
        path: The .tflite file.
        faces: (N, 48, 48) uint8 gray faces.
        classes: (C,) names of its classes, which the file may carry.

    Returns:
        The runtime's name and version, and (N, C) float32 logits.
    """
    classifier = TFLiteClassifier(path, threads=1, classes=classes)
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
        The runtime's name and version, and (N, C) float32 logits.

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
