"""Networks on delegates and accelerators: tried in a process of their own, and compared with the CPU's outputs."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import ModelError
from fer_edge.edge.tflite.card import sha256
from fer_edge.edge.tflite.delegate import find_delegate
from fer_edge.edge.tflite.interpreter import Interpreter, Tensor, open_interpreter
from fer_edge.edge.tflite.mapped_file import check_model
from fer_edge.edge.tflite.network import Network
from fer_edge.edge.tflite.probe import probe
from fer_edge.edge.types import Acceleration

log = logging.getLogger(__name__)

MAX_DEVIATION = 0.25
"""Largest difference from the CPU's outputs at which a network is used, by `deviation`.

On noise, the kernels of one runtime with and without XNNPACK differ by up to 0.09 for the shipped int8 networks, and
LiteRT's GPU from its CPU by up to 0.04. Outputs that have nothing to do with each other differ by 1.4.
"""


def open_accelerated(
    path: Path,
    threads: int,
    acceleration: Acceleration,
    *,
    xnnpack: bool,
    shape: tuple[int, ...] | None,
    digest: str | None = None,
) -> Network:
    """Load a .tflite file to run on a delegate or an accelerator.

    It runs in a process of its own first, in case that a library crashes, and then once on noise, as does the same file
    on the CPU; it is refused where they disagree.

    Args:
        path: The file.
        threads: Threads on the CPU.
        acceleration: A delegate or accelerators.
        xnnpack: Whether XNNPACK may run what a delegate leaves.
        shape: Shape of the network's only input; None for the one in the file.
        digest: The file's sha256 where the caller has it; computed where None.

    Returns:
        The network, ready to run.

    Raises:
        ModelError: As for `open_network`.
    """
    check_model(path)
    digest = digest or sha256(path)
    if acceleration.delegate is not None and acceleration.accelerator is not None:
        raise ModelError("--delegate and --accelerator exclude each other; expected one of them")
    if acceleration.accelerator is not None:
        return _open_first(path, threads, acceleration.accelerator, shape, digest)
    assert acceleration.delegate is not None
    find_delegate(acceleration.delegate)
    probe(path, acceleration, shape, digest)
    network = open_interpreter(path, threads, xnnpack=xnnpack, shape=shape, delegate=acceleration.delegate)
    comparison = compare(network, path, shape)
    level = logging.INFO if network.delegated else logging.WARNING
    log.log(level, "%s: %s; %s", path.name, network.placement, comparison)
    return network


def _open_first(path: Path, threads: int, accelerators: str, shape: tuple[int, ...] | None, digest: str) -> Network:
    """The network on the first accelerator that runs it; the log tells which ones did not. Raises ModelError."""
    from fer_edge.edge.tflite.compiled_model import parse_accelerators, require_litert

    *others, last = parse_accelerators(accelerators)
    require_litert()  # without it there is nothing to fall back to
    for name in others:
        try:
            return _open_on(name, path, threads, shape, digest)
        except ModelError as error:
            log.warning("%s; falling back from %s of %s", error, name, accelerators)
    return _open_on(last, path, threads, shape, digest)


def _open_on(accelerator: str, path: Path, threads: int, shape: tuple[int, ...] | None, digest: str) -> Network:
    """The network on an accelerator, compared with the CPU. Raises ModelError."""
    from fer_edge.edge.tflite.compiled_model import CompiledNetwork

    try:
        probe(path, Acceleration(accelerator=accelerator), shape, digest)
    except ModelError as error:
        if accelerator != "cpu":
            raise
        # LiteRT loads its GPU's library for the CPU too; a Raspberry Pi 4 lacks instructions that it was compiled for
        log.warning("%s; the interpreter runs it on the CPU", error)
        return open_interpreter(path, threads, shape=shape, digest=digest)
    network = CompiledNetwork(path, threads, accelerator, shape)
    log.info("%s: %s; %s", path.name, network.placement, compare(network, path, shape))
    return network


def compare(network: Network, path: Path, shape: tuple[int, ...] | None) -> str:
    """Compare a network's outputs with those of the CPU's interpreter, on noise.

    Args:
        network: The network.
        path: Its file.
        shape: Shape of its input; None for the one in the file.

    Returns:
        The result in words.

    Raises:
        ModelError: The outputs are too far apart.
    """
    try:
        reference = open_interpreter(path, shape=shape)
    except ModelError:  # compiled for one accelerator: the CPU has no such operator
        return "not compared with the CPU, which cannot run the file"
    difference = deviation(network, reference)
    if not difference <= MAX_DEVIATION:
        raise ModelError(
            f"{path.name}: with {network.placement} the outputs differ from the CPU's by {100 * difference:.0f} %; "
            f"expected at most {100 * MAX_DEVIATION:.0f} %"
        )
    return f"outputs within {100 * difference:.1f} % of the CPU's"


def deviation(network: Network, reference: Interpreter) -> float:
    """The RMS difference between two networks' outputs on noise, in standard deviations of the output; the largest.

    Args:
        network: A network.
        reference: The same network on the CPU.

    Returns:
        0 for equal outputs; nan where there is a nan.
    """
    rng = np.random.default_rng(0)
    inputs = [_noise(tensor, rng) for tensor in reference.inputs]
    expected = [output.astype(np.float64) for output in reference.run(*inputs)]
    actual = [output.astype(np.float64) for output in network.run(*inputs)]
    spreads = [float(output.std()) for output in expected]
    # a spread near 0, of an output that is the same everywhere, would make a difference of nothing large
    least = max(0.01 * max(spreads), float(np.finfo(np.float32).eps))
    pairs = zip(actual, expected, spreads, strict=True)
    return float(np.max([np.sqrt(np.mean((one - other) ** 2)) / max(spread, least) for one, other, spread in pairs]))


def _noise(tensor: Tensor, rng: np.random.Generator) -> NDArray[Any]:
    if tensor.dtype.kind in "iu":
        limits = np.iinfo(tensor.dtype)
        return rng.integers(limits.min, limits.max, tensor.shape, tensor.dtype, endpoint=True)
    return rng.uniform(-1, 1, tensor.shape).astype(tensor.dtype)
