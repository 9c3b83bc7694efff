"""A trial of a delegate or accelerator in a process of its own: a vendor's library that crashes would end the run."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from fer_edge.edge.errors import ModelError
from fer_edge.edge.types import Acceleration

TIMEOUT = 120.0
"""Seconds for a trial; a GPU may compile for long."""

_PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from fer_edge.edge.tflite.compiled_model import CompiledNetwork
from fer_edge.edge.tflite.interpreter import open_interpreter
path, delegate, accelerator, shape = Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
shape = tuple(map(int, shape.split(","))) if shape else None
if accelerator:
    network = CompiledNetwork(path, 1, accelerator, shape)
else:
    network = open_interpreter(path, shape=shape, delegate=delegate)
network.run(*(np.zeros(tensor.shape, tensor.dtype) for tensor in network.inputs))
"""

_tried: set[Acceleration] = set()


def probe(path: Path, acceleration: Acceleration, shape: tuple[int, ...] | None) -> None:
    """Open and run a network in a new process, once for each delegate or accelerator.

    A library that was built for another version of TFLite than the installed one crashes in it, as Coral's does, and so
    does one that was compiled for instructions that the processor lacks.

    Args:
        path: The .tflite file.
        acceleration: A delegate, or one accelerator.
        shape: Shape of its input; None for the one in the file.

    Raises:
        ModelError: The process crashed, or did not end. Other failures are left to the caller's own attempt.
    """
    if acceleration in _tried:
        return
    words = [acceleration.delegate or "", acceleration.accelerator or "", ",".join(map(str, shape or ()))]
    name = f"delegate {words[0]}" if acceleration.delegate is not None else words[1]
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, str(path), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        raise ModelError(f"{path.name} with {name} does not end within {TIMEOUT:.0f} s") from None
    if done.returncode < 0:
        reason = signal.Signals(-done.returncode).name
        raise ModelError(
            f"{path.name} with {name} crashes ({reason}); its library may be for another version of TFLite or another "
            "processor"
        )
    _tried.add(acceleration)
