"""Structured pruning: a network of some of MobileNetV2's blocks, thinned, starts from its weights, fitted on faces.

A block keeps the expanded channels that add most to its output. Its projection is then fitted by least squares to what
the original has there (He et al. 2017, arXiv:1707.06168), the residual blocks that are left out behind it included, on
the features of the pruned blocks before it. A bottleneck that is narrower than the original's carries the directions
from which the next expansion is predicted best (reduced-rank regression): it is linear, so any basis of it will do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

ROWS = 20_000
"""Positions of the feature maps that a projection is fitted on, drawn from those of all pictures."""


@dataclass(frozen=True, eq=False)
class _Basis:
    """How C channels of the original's bottleneck become c channels: z = (x - mean) encode, x = mean + z decode.

    mean: (C,). encode: (C, c). decode: (c, C).
    """

    mean: Floats
    encode: Floats
    decode: Floats


def prune(model: Any, original: Any, pictures: NDArray[np.float32]) -> None:
    """Set the stem and the blocks of a network from a larger one whose layers have the same names.

    With all channels and all blocks, their outputs are the original's up to rounding. Layers behind the last block keep
    their weights.

    Args:
        model: The Keras network to set: `Conv1` and some of the original's blocks. Blocks that are left out are
            residual ones, or behind the last. The bottleneck is as wide as the original's, or narrower in a stage of
            one block.
        original: MobileNetV2 with any head, for pictures of the same size.
        pictures: (N, S, S, 3) float32 in [-1, 1] to fit on; some hundred.
    """
    blocks = _blocks(model)
    tensors = [_hidden(original, index) for index in blocks] + [_target(original, index, blocks) for index in blocks]
    features = _run(original, tensors, pictures)  # (ROWS, C) each
    basis = _identity(3)
    for index, hidden, target in zip(blocks, features[: len(blocks)], features[len(blocks) :], strict=True):
        kept = _largest(hidden, original, index, int(_hidden(model, index).shape[-1]))
        _copy_expansion(model, original, index, kept, basis)
        if not _is_residual(model, index):
            basis = _bottleneck(model, original, index, blocks, target)
        _fit_projection(model, index, (target - basis.mean) @ basis.encode, pictures)


def _blocks(network: Any) -> list[int]:
    """The numbers of a network's blocks, in order; 0 for the one without an expansion."""
    found = (re.fullmatch(r"(?:block_(\d+)|expanded_conv)_project", layer.name) for layer in network.layers)
    return [int(match[1] or 0) for match in found if match]


def _prefix(index: int) -> str:
    return f"block_{index}_" if index else "expanded_conv_"


def _hidden(network: Any, index: int) -> Any:
    """The tensor that a block projects."""
    return network.get_layer(f"{_prefix(index)}depthwise_relu").output


def _expansion(index: int) -> tuple[str, str]:
    """The layers that make a block's expanded channels: its expansion, the stem for block 0; and their batch norm."""
    return (f"block_{index}_expand", f"block_{index}_expand_BN") if index else ("Conv1", "bn_Conv1")


def _is_residual(network: Any, index: int) -> bool:
    return any(layer.name == f"{_prefix(index)}add" for layer in network.layers)


def _target(original: Any, index: int, blocks: list[int]) -> Any:
    """The original's tensor that a block should put out: behind the residual blocks that are left out after it."""
    last = index
    while last + 1 not in blocks and _is_residual(original, last + 1):
        last += 1
    return original.get_layer(f"{_prefix(last)}{'add' if _is_residual(original, last) else 'project_BN'}").output


def _run(network: Any, tensors: list[Any], pictures: NDArray[np.float32]) -> list[Floats]:
    """(ROWS, C) values of tensors at random positions, the same for tensors of the same height and width."""
    values = network.__class__(network.input, tensors)(pictures, training=False)
    return [_rows(np.asarray(each)) for each in (values if isinstance(values, list) else [values])]  # one is no list


def _rows(features: Floats) -> Floats:
    rows = features.reshape(-1, features.shape[-1])
    drawn = np.random.default_rng(0).permutation(len(rows))[:ROWS]
    return rows[drawn].astype(np.float64)


def _gain(network: Any, name: str) -> Floats:
    """(C,) factors of a batch norm."""
    norm = network.get_layer(name)
    gamma, _, _, variance = norm.get_weights()
    return np.asarray(gamma / np.sqrt(variance + norm.epsilon), np.float64)


def _largest(hidden: Floats, original: Any, index: int, count: int) -> NDArray[np.intp]:
    """The expanded channels whose variation moves a block's output most: (count,) indices in ascending order."""
    (kernel,) = original.get_layer(f"{_prefix(index)}project").get_weights()  # (1, 1, C, outputs)
    effect = hidden.std(axis=0) * np.linalg.norm(kernel[0, 0] * _gain(original, f"{_prefix(index)}project_BN"), axis=1)
    return np.sort(np.argsort(-effect, kind="stable")[:count])


def _copy_expansion(model: Any, original: Any, index: int, kept: NDArray[np.intp], basis: _Basis) -> None:
    """Copy the kept channels of a block's expansion and depthwise convolution; the former reads the block's basis."""
    expand, expand_norm = _expansion(index)
    (kernel,) = original.get_layer(expand).get_weights()  # (k, k, C, expanded)
    (taps,) = original.get_layer(f"{_prefix(index)}depthwise").get_weights()  # (3, 3, expanded, 1)
    gamma, beta, mean, variance = (values[kept] for values in original.get_layer(expand_norm).get_weights())
    shift = np.einsum("c,hwcf->f", basis.mean, kernel[..., kept])
    model.get_layer(expand).set_weights([np.einsum("zc,hwcf->hwzf", basis.decode, kernel[..., kept])])
    model.get_layer(expand_norm).set_weights([gamma, beta, mean - shift, variance])
    model.get_layer(f"{_prefix(index)}depthwise").set_weights([taps[:, :, kept]])
    norm = f"{_prefix(index)}depthwise_BN"
    model.get_layer(norm).set_weights([values[kept] for values in original.get_layer(norm).get_weights()])


def _bottleneck(model: Any, original: Any, index: int, blocks: list[int], target: Floats) -> _Basis:
    """The basis of a block's output: the original's, or as many directions as the model has channels."""
    width = int(model.get_layer(f"{_prefix(index)}project").output.shape[-1])
    if width == target.shape[1]:
        return _identity(width)
    expand, norm = _expansion(blocks[blocks.index(index) + 1])
    (kernel,) = original.get_layer(expand).get_weights()  # (1, 1, C, expanded)
    read = kernel[0, 0] * _gain(original, norm)
    mean = target.mean(axis=0)
    _, _, directions = np.linalg.svd((target - mean) @ read, full_matrices=False)
    encode = read @ directions[:width].T
    return _Basis(mean, encode, _least_squares((target - mean) @ encode, target - mean))


def _identity(width: int) -> _Basis:
    return _Basis(np.zeros(width), np.eye(width), np.eye(width))


def _fit_projection(model: Any, index: int, target: Floats, pictures: NDArray[np.float32]) -> None:
    """Fit a block's projection and its batch norm to (ROWS, c) features that the block should put out."""
    project, norm = (model.get_layer(f"{_prefix(index)}{name}") for name in ("project", "project_BN"))
    entry = [model.get_layer(f"{_prefix(index)}add").input[0]] if _is_residual(model, index) else []
    hidden, *entries = _run(model, [_hidden(model, index), *entry], pictures)
    target = target - sum(entries, np.zeros(1))
    kernel = _least_squares(hidden - hidden.mean(axis=0), target - target.mean(axis=0))  # (expanded, c)
    projected = hidden @ kernel
    variance = projected.var(axis=0)
    project.set_weights([kernel[None, None]])
    norm.set_weights([np.sqrt(variance + norm.epsilon), target.mean(axis=0), projected.mean(axis=0), variance])


def _least_squares(given: Floats, wanted: Floats) -> Floats:
    """(C, c) weights with which (N, C) centred values give (N, c) ones; a trace of ridge for channels that are dead."""
    gram = given.T @ given
    ridge = 1e-7 * max(float(np.trace(gram)) / len(gram), 1e-12)
    return np.asarray(np.linalg.solve(gram + ridge * np.eye(len(gram)), given.T @ wanted))
