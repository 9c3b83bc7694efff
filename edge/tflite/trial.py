"""The program of a trial's process: opens a .tflite file, runs it a few times, and may crash."""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.tflite.interpreter import Interpreter, Tensor, open_interpreter

MEMORY = 1 << 30
"""Bytes of memory, besides four times the file's size, that a network may allocate on the CPU."""

CPU_SECONDS = 20
"""Seconds of processor time for a network on the CPU; a shipped one takes 0.2 s on a PC."""


def main() -> None:
    """Try a network; prints why it cannot be used, and exits with 1 then.

    The process's arguments are the .tflite file, an external delegate, an accelerator, and the shape of the input as
    numbers separated by commas; each of the last three may be empty.
    """
    path, (delegate, accelerator, shape) = Path(sys.argv[1]), sys.argv[2:5]
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    sides = tuple(map(int, shape.split(","))) if shape else None
    try:
        if accelerator:
            from fer_edge.edge.tflite.compiled_model import CompiledNetwork  # here: what it loads is large

            _run(CompiledNetwork(path, 1, accelerator, sides))
        elif delegate:
            _run(open_interpreter(path, shape=sides, delegate=delegate))
        else:
            _limit(path)
            for xnnpack in (True, False):
                _run(Interpreter(path, 1, xnnpack))
    except MemoryError:
        sys.exit(_fail(f"{path} needs more than {MEMORY >> 20} MiB of memory; it may be damaged"))
    except Exception as error:  # whatever a damaged file causes; the process that asks shows one line
        sys.exit(_fail(str(error) or f"{path}: {type(error).__name__}"))


def _limit(path: Path) -> None:
    """Limit memory and processor time from here on."""
    pages = int(Path("/proc/self/statm").read_text("utf-8").split()[0])
    limit = pages * resource.getpagesize() + MEMORY + 4 * path.stat().st_size
    for kind, value in ((resource.RLIMIT_AS, limit), (resource.RLIMIT_CPU, CPU_SECONDS)):
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def _run(network: Any) -> None:
    """Run a network on black, white and noise."""
    for fill in (_low, _high, _noise):
        network.run(*map(fill, network.inputs))


def _low(tensor: Tensor) -> NDArray[Any]:
    return np.full(tensor.shape, np.iinfo(tensor.dtype).min if tensor.dtype.kind in "iu" else -1, tensor.dtype)


def _high(tensor: Tensor) -> NDArray[Any]:
    return np.full(tensor.shape, np.iinfo(tensor.dtype).max if tensor.dtype.kind in "iu" else 1, tensor.dtype)


def _noise(tensor: Tensor) -> NDArray[Any]:
    rng = np.random.default_rng(0)
    if tensor.dtype.kind in "iu":
        limits = np.iinfo(tensor.dtype)
        return rng.integers(limits.min, limits.max, tensor.shape, tensor.dtype, endpoint=True)
    return rng.uniform(-1, 1, tensor.shape).astype(tensor.dtype)


def _fail(reason: str) -> int:
    print(" ".join(reason.split()))
    return 1
