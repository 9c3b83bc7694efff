"""A network of a .tflite file, run by the interpreter, a delegate or an accelerator."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from fer_edge.edge.tflite.interpreter import Tensor, open_interpreter
from fer_edge.edge.types import Acceleration


class Network(Protocol):
    """A loaded network; not to be shared between threads.

    Attributes:
        path: The .tflite file.
        inputs: The input tensors.
        outputs: The output tensors.
    """

    path: Path
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @property
    def description(self) -> str:
        """Runtime, version, threads and what runs the operators, in a few words."""
        ...

    @property
    def placement(self) -> str:
        """How many of the operators are run by what, in a few words."""
        ...

    def run(self, *arrays: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """Run the network once: an array per input, which is broadcast to its shape, to a copy of each output."""
        ...


def open_network(
    path: Path | str,
    threads: int = 1,
    acceleration: Acceleration | None = None,
    *,
    xnnpack: bool = True,
    shape: tuple[int, ...] | None = None,
    digest: str | None = None,
) -> Network:
    """Load a .tflite file to run on what the user chose.

    Args:
        path: The file.
        threads: Threads on the CPU.
        acceleration: Delegate or accelerator; None for the runtime's interpreter.
        xnnpack: Whether XNNPACK may run the interpreter's part.
        shape: Shape of the network's only input; None for the one in the file.
        digest: The file's sha256 where the caller has it; computed where None.

    Returns:
        The network, ready to run.

    Raises:
        ModelError: The file is missing or damaged, there is no such delegate or accelerator, it does not run this file,
            or its outputs are far from the CPU's.
    """
    if acceleration is None or acceleration == Acceleration():
        return open_interpreter(path, threads, xnnpack=xnnpack, shape=shape, digest=digest)
    # here: it imports what most runs do not need
    from fer_edge.edge.tflite.accelerated import open_accelerated

    return open_accelerated(Path(path), threads, acceleration, xnnpack=xnnpack, shape=shape, digest=digest)
