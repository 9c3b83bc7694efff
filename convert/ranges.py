"""Calibration: the range of each int8 tensor that loses least on real faces, found from histograms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from numpy.typing import NDArray

from fer_edge.convert.fold import BORDERS
from fer_edge.convert.graph import IMAGE, consumers, producers
from fer_edge.edge.preprocess import network_input
from fer_edge.edge.terminal import track

Range = tuple[float, float]
Activation = Callable[[NDArray[np.float64]], NDArray[np.float64]]

BATCH = 32
BINS = 2048
IMAGE_RANGE: Range = (-1.0, 127 / 128)
"""Scale 1/128, zero point 0. With [-1, 1] every gray value would lie half-way between two steps."""

SIGMOID_RANGE: Range = (0.0, 255 / 256)
"""The only output scale of TFLite's LOGISTIC."""

SAME_RANGE = ("Concatenate", "GlobalMaxPooling1D", "GlobalMaxPooling2D", "MaxPooling2D", "Reshape", "ZeroPadding2D")
"""Layers that only move or choose values: TFLite gives their output the scale of their input."""

_MEANS = ("GlobalAveragePooling1D", "GlobalAveragePooling2D")
_NO_OUTPUT = {"InputLayer", *SAME_RANGE}
_FOLDED_INTO = {"Add": "ReLU", "Conv2D": "FrozenNorm", "DepthwiseConv2D": "FrozenNorm", "FrozenNorm": "ReLU"}


def quantized_layers(model: Any) -> list[Any]:
    """The layers of a decomposed model whose output is an int8 tensor of its own in the TFLite graph.

    A convolution's result before its batch norm, and a batch norm's or a sum's before its ReLU, never exist there.
    Layers of SAME_RANGE have their input's range.
    """
    return [layer for layer in model.layers if layer.__class__.__name__ not in _NO_OUTPUT and not _is_folded(layer)]


def _is_folded(layer: Any) -> bool:
    readers = [reader.__class__.__name__ for reader in consumers(layer)]
    return readers == [_FOLDED_INTO.get(layer.__class__.__name__)]


def calibrate(model: Any, faces: NDArray[np.uint8]) -> dict[str, Range]:
    """Find the range of every int8 tensor.

    Two passes: extremes, then histograms of 2,048 bins. A range is clipped where the squared error of 8-bit rounding
    falls by more than clipping adds; the logits keep their extremes. Every range contains 0.

    Args:
        model: A decomposed float model.
        faces: (N, 48, 48) uint8 faces.

    Returns:
        (low, high) by layer name.
    """
    fixed = {IMAGE: IMAGE_RANGE, BORDERS: IMAGE_RANGE}
    fixed |= {
        layer.name: SIGMOID_RANGE
        for layer in model.layers
        if layer.__class__.__name__ == "Activation" and layer.activation.__name__ == "sigmoid"
    }
    layers = [layer for layer in quantized_layers(model) if layer.name not in fixed]
    outputs = tf_keras.Model(model.input, [layer.output for layer in layers])
    low, high = _extremes(outputs, faces)
    counts = _histograms(outputs, faces, low, high)
    logits = model.layers[-1].name
    ranges = fixed | {
        layer.name: (float(low[i]), float(high[i]))
        if layer.name == logits
        else clipped_range(counts[i], float(low[i]), float(high[i]), _next_activation(layer))
        for i, layer in enumerate(layers)
    }
    for layer in model.layers:
        kind = layer.__class__.__name__
        if kind in _MEANS:
            ranges[layer.name] = pooling_range(ranges[range_owners(layer)[0].name], ranges[layer.name])
        elif kind == "Concatenate":  # its inputs have one scale, or TFLite would convert them first
            owners = range_owners(layer)
            # a mean's range lies within that of the values it is taken of
            chosen = [owner for owner in owners if owner.__class__.__name__ not in _MEANS] or owners
            lows, highs = zip(*(ranges[owner.name] for owner in chosen), strict=True)
            ranges |= dict.fromkeys((owner.name for owner in owners), (min(lows), max(highs)))
    return ranges


def range_owners(layer: Any) -> list[Any]:
    """The layers whose ranges a layer's inputs have: its producers, or those before producers of SAME_RANGE."""
    owners: list[Any] = []
    for source in producers(layer):
        owners += range_owners(source) if source.__class__.__name__ in SAME_RANGE else [source]
    return list(dict.fromkeys(owners))


def _extremes(outputs: Any, faces: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The smallest and largest value of each output, (L,) each; 0 lies between them."""

    @tf.function(autograph=False)
    def extremes(views: Any) -> Any:
        tensors = outputs(views, training=False)
        return tf.stack([tf.reduce_min(x) for x in tensors]), tf.stack([tf.reduce_max(x) for x in tensors])

    count = len(outputs.outputs)
    low, high = np.zeros(count, np.float32), np.full(count, 1e-6, np.float32)
    starts = range(0, len(faces), BATCH)
    for start in track(starts, "calibrating: extremes", len(starts)):
        smallest, largest = extremes(network_input(faces[start : start + BATCH], *outputs.input_shape[2:]))
        low, high = np.minimum(low, smallest.numpy()), np.maximum(high, largest.numpy())
    return low, high


def _histograms(
    outputs: Any, faces: NDArray[np.uint8], low: NDArray[np.float32], high: NDArray[np.float32]
) -> NDArray[np.int64]:
    """(L, BINS) values per bin of equal width over [low, high]."""

    @tf.function(autograph=False)
    def histograms(views: Any, low: Any, high: Any) -> Any:
        tensors = outputs(views, training=False)
        return tf.stack([tf.histogram_fixed_width(x, [low[i], high[i]], BINS, tf.int32) for i, x in enumerate(tensors)])

    counts = np.zeros((len(low), BINS), np.int64)
    starts = range(0, len(faces), BATCH)
    for start in track(starts, "calibrating: histograms", len(starts)):
        counts += histograms(network_input(faces[start : start + BATCH], *outputs.input_shape[2:]), low, high).numpy()
    return counts


def pooling_range(before: Range, measured: Range) -> Range:
    """The range of a mean over pixels, whose scale is the input's divided by a whole number.

    TFLite's built-in MEAN truncates zero_point * input_scale / output_scale to an integer: with any other ratio every
    mean shifts by up to one step, and tflite-runtime (which has no XNNPACK for int8) answers differently from LiteRT.

    Args:
        before: The input's range.
        measured: The range that the mean should have at least.

    Returns:
        The (low, high) to use.
    """
    scale = (before[1] - before[0]) / 255
    divisor = max(1, int(scale * 255 / (measured[1] - measured[0])))
    step = scale / divisor
    zero = min(255, int(np.ceil(-measured[0] / step)))
    if divisor > 1 and (255 - zero) * step < measured[1]:
        step = scale / (divisor - 1)  # rounding the zero point cost the last step at the top
        zero = min(255, int(np.ceil(-measured[0] / step)))
    return -zero * step, (255 - zero) * step


def clipped_range(
    counts: NDArray[np.int64], low: float, high: float, activation: Activation | None = None, steps: int = 40
) -> Range:
    """Find the range with the least squared error of 8-bit rounding and clipping.

    Both ends are tried in turns, at `steps` places from their full length down to a twentieth.

    Args:
        counts: (BINS,) values per bin of equal width over [low, high].
        low: The smallest value.
        high: The largest value.
        activation: The function that reads the tensor; the error is measured after it. A swish is practically 0 below
            -8, though batch norms reach -40 before it.
        steps: Places per end.

    Returns:
        (low, high) inside the given range.
    """
    edges = np.linspace(low, high, len(counts) + 1)
    centres = (edges[:-1] + edges[1:]) / 2
    filled = counts > 0
    centres, weights = centres[filled], counts[filled].astype(np.float64)
    activation = activation or (lambda x: x)
    exact = activation(centres)

    def error(a: float, b: float) -> float:
        scale = max((b - a) / 255, 1e-12)
        inside = np.clip(centres, a, b)
        slope = (activation(inside + scale / 2) - activation(inside - scale / 2)) / scale
        # a uniform rounding error stands for the exact one: the bins are too coarse to round within
        return float(np.sum(weights * ((activation(inside) - exact) ** 2 + (slope * scale) ** 2 / 12)))

    fractions = np.geomspace(1, 0.05, steps)
    best_low, best_high = low, high
    for _ in range(3):
        best_high = min((high * fraction for fraction in fractions), key=lambda b: error(best_low, b))
        best_low = min((low * fraction for fraction in fractions), key=lambda a: error(a, best_high))
    return float(best_low), float(best_high)


def _next_activation(layer: Any) -> Activation | None:
    """The function that reads a layer's output: swish (a sigmoid and the product with it), a sigmoid, or None."""
    readers = consumers(layer)
    gates = [reader for reader in readers if getattr(getattr(reader, "activation", None), "__name__", "") == "sigmoid"]
    if not gates:
        return None
    return swish if len(readers) > 1 else sigmoid


def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + exp(-x)), without overflow."""
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -60, 60))))


def swish(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """x * sigmoid(x)."""
    return x * sigmoid(x)
