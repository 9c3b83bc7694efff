"""YuNet's weights, and rewrites of them after which the float network computes the same.

The network is a convolution, 14 units and three heads. A unit is a 1x1 convolution and a depthwise 3x3 one without an
activation between them, so each channel between the two may be scaled if the depthwise kernel undoes it; so may its
outputs, as ReLU, max pooling and repetition keep positive scales. A head is four such pairs side by side (class,
object, box, key points); merged, they are one pair with 16 channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.faces.yunet_decoding import OutputRange

UNITS = 14
"""Depthwise-separable units before the heads: eleven of the backbone, three of the feature pyramid."""

STEM = -1
"""The first convolution, in `FLOWS`."""

FLOWS: tuple[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]], ...] = (
    ((STEM,), (0,), ()),
    *(((index,), (index + 1,), ()) for index in (0, 1, 2, 3, 4, 5, 7, 9, 10)),
    ((6, 12), (7, 13), (1,)),  # added in the feature pyramid, so both have the same scales
    ((8, 11), (9, 12), (2,)),
    ((13,), (), (0,)),
)
"""Units whose outputs go one way, the units that read them, and the heads that do."""

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pair:
    """A 1x1 convolution followed by a depthwise 3x3 one, with nothing between them.

    Attributes:
        pointwise: (I, O) float64 kernel of the first.
        hidden_bias: (O,) float64.
        depthwise: (3, 3, O) float64 kernel of the second.
        bias: (O,) float64.
    """

    pointwise: Array
    hidden_bias: Array
    depthwise: Array
    bias: Array

    def with_hidden_scale(self, scale: Array) -> Pair:
        """The same pair with its hidden channels multiplied by (O,) positive factors, and the outputs as before."""
        return replace(
            self,
            pointwise=self.pointwise * scale,
            hidden_bias=self.hidden_bias * scale,
            depthwise=self.depthwise / scale,
        )

    def with_output_scale(self, scale: Array, shift: Array | float = 0.0) -> Pair:
        """A pair whose outputs are the former ones times (O,) scale plus (O,) shift."""
        return replace(self, depthwise=self.depthwise * scale, bias=self.bias * scale + shift)

    def with_input_scale(self, scale: Array) -> Pair:
        """A pair with the same outputs for inputs that were multiplied by (I,) scale."""
        return replace(self, pointwise=self.pointwise / scale[:, None])


@dataclass(frozen=True, eq=False)
class Weights:
    """The network's weights.

    Attributes:
        stem: (3, 3, 3, 16) float64 kernel of the first convolution, stride 2, HWIO.
        stem_bias: (16,) float64.
        units: The units in the order of the graph.
        heads: The merged heads for STRIDES, 64 to 16 channels in the order class, object, box, key points.
    """

    stem: Array
    stem_bias: Array
    units: tuple[Pair, ...]
    heads: tuple[Pair, ...]


def merge(pairs: tuple[Pair, ...]) -> Pair:
    """One pair for pairs with the same input, whose outputs it has side by side."""
    return Pair(
        *(
            np.concatenate([getattr(pair, part) for pair in pairs], axis=-1)
            for part in ("pointwise", "hidden_bias", "depthwise", "bias")
        )
    )


def normalized_heads(weights: Weights, output_range: OutputRange) -> Weights:
    """Map each output channel's range to [-1, 1]: one int8 scale for all of them is then one of its own for each.

    Args:
        weights: The weights.
        output_range: The real values that become -1 and 1.

    Returns:
        The weights with other heads.
    """
    low, high = output_range.low.astype(np.float64), output_range.high.astype(np.float64)
    scale, shift = 2 / (high - low), -(high + low) / (high - low)
    return replace(weights, heads=tuple(head.with_output_scale(scale, shift) for head in weights.heads))


def equalized(weights: Weights, magnitudes: Mapping[str, Array]) -> Weights:
    """Scale channels so that all of a tensor use more of its int8 range.

    Args:
        weights: The weights.
        magnitudes: (C,) largest magnitude of each channel of a tensor, by the name that `network.forward` gives it.

    Returns:
        The weights of the same float network: the next layer undoes each scale.
    """
    stem, units, heads = (weights.stem, weights.stem_bias), list(weights.units), list(weights.heads)
    for producers, readers, reading_heads in FLOWS:
        names = ["stem" if index == STEM else f"unit{index}" for index in producers]
        scale = _raising(np.maximum.reduce([magnitudes[name] for name in names]))
        for index in producers:
            if index == STEM:
                stem = stem[0] * scale, stem[1] * scale
            else:
                units[index] = units[index].with_output_scale(scale)
        for index in readers:
            units[index] = units[index].with_input_scale(scale)
        for index in reading_heads:
            heads[index] = heads[index].with_input_scale(scale)
    # the depthwise kernels, which are rounded per channel, take a scale of the hidden channels without loss
    units = [each.with_hidden_scale(_evening(magnitudes[f"unit{i}/hidden"])) for i, each in enumerate(units)]
    heads = [each.with_hidden_scale(_evening(magnitudes[f"head{i}/hidden"])) for i, each in enumerate(heads)]
    return Weights(*stem, tuple(units), tuple(heads))


def _evening(largest: Array, limit: float = 100.0) -> Array:
    """Factors after which channels have about the same magnitude, which is their geometric mean; within the limit."""
    largest = np.maximum(largest, 1e-6)
    return np.clip(np.exp(np.log(largest).mean()) / largest, 1 / limit, limit)


def _raising(largest: Array, limit: float = 8.0) -> Array:
    """Factors that halve, in logarithms, how much smaller channels are than the largest; within the limit.

    Not all of it: the channels of the 1x1 kernel that reads them share a scale, and become uneven in turn.
    """
    return np.clip(np.sqrt(largest.max() / np.maximum(largest, 1e-3 * largest.max())), 1, limit)
