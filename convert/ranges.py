"""What range each int8 tensor covers: the one that loses least on real faces, found from histograms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from numpy.typing import NDArray

from fer_edge.convert.equalize import producer
from fer_edge.convert.fold import BORDERS
from fer_edge.convert.graph import IMAGE, consumers
from fer_edge.edge.preprocess import network_input
from fer_edge.edge.terminal import track

Range = tuple[float, float]
Follow = Callable[[NDArray[np.float64]], NDArray[np.float64]]

BINS = 2048
IMAGE_RANGE: Range = (-1.0, 127 / 128)
"""Scale 1/128, zero point 0. With [-1, 1] every gray value would fall half-way between two steps."""

SIGMOID_RANGE: Range = (0.0, 255 / 256)
"""TFLite's LOGISTIC has this output scale and no other."""

_SILENT = {"InputLayer", "ZeroPadding2D"}
_FOLDED = {"Conv2D": "FrozenNorm", "DepthwiseConv2D": "FrozenNorm", "FrozenNorm": "ReLU"}


def quantized_layers(model: Any) -> list[Any]:
    """The layers of an unfolded model whose output is an int8 tensor of its own in the TFLite graph.

    A convolution's result before its batch norm, and a batch norm's before its ReLU, never exist there.
    """
    return [layer for layer in model.layers if layer.__class__.__name__ not in _SILENT and not _is_folded(layer)]


def _is_folded(layer: Any) -> bool:
    readers = [reader.__class__.__name__ for reader in consumers(layer)]
    return readers == [_FOLDED.get(layer.__class__.__name__)]


def calibrate(
    model: Any,
    faces: NDArray[np.uint8],
    *,
    clip: bool = True,
    batch: int = 32,
) -> dict[str, Range]:
    """Layer name to (low, high) for every int8 tensor of an unfolded float model, from (N, 48, 48) uint8 faces.

    Two passes: extremes, then histograms of 2,048 bins. clip narrows a range where the squared error of 8-bit
    rounding falls by more than clipping adds; the logits keep their extremes. Both ends always enclose 0.
    """
    fixed = {IMAGE: IMAGE_RANGE, BORDERS: IMAGE_RANGE}
    fixed |= {
        layer.name: SIGMOID_RANGE
        for layer in model.layers
        if layer.__class__.__name__ == "Activation" and layer.activation.__name__ == "sigmoid"
    }
    open_layers = [layer for layer in quantized_layers(model) if layer.name not in fixed]
    taps = tf_keras.Model(model.input, [layer.output for layer in open_layers])
    shape = model.input_shape[2:]
    starts = range(0, len(faces), batch)

    @tf.function(autograph=False)
    def extremes(views: Any) -> Any:
        outputs = taps(views, training=False)
        return tf.stack([tf.reduce_min(x) for x in outputs]), tf.stack([tf.reduce_max(x) for x in outputs])

    @tf.function(autograph=False)
    def counts(views: Any, low: Any, high: Any) -> Any:
        outputs = taps(views, training=False)
        return tf.stack([tf.histogram_fixed_width(x, [low[i], high[i]], BINS, tf.int32) for i, x in enumerate(outputs)])

    low, high = np.zeros(len(open_layers), np.float32), np.full(len(open_layers), 1e-6, np.float32)
    for start in track(starts, "ranges: extremes", len(starts)):
        small, large = extremes(network_input(faces[start : start + batch], *shape))
        low, high = np.minimum(low, small.numpy()), np.maximum(high, large.numpy())
    found = np.zeros((len(open_layers), BINS), np.int64)
    for start in track(starts, "ranges: histograms", len(starts)):
        found += counts(network_input(faces[start : start + batch], *shape), low, high).numpy()

    logits = model.layers[-1].name
    ranges = fixed | {
        layer.name: narrowed(found[i], float(low[i]), float(high[i]), _follow(layer))
        if clip and layer.name != logits
        else (float(low[i]), float(high[i]))
        for i, layer in enumerate(open_layers)
    }
    for layer in open_layers:
        if layer.__class__.__name__ == "GlobalAveragePooling2D":
            ranges[layer.name] = pooled(ranges[producer(layer.input).name], ranges[layer.name])
    return ranges


def pooled(before: Range, wanted: Range) -> Range:
    """The range of a mean over pixels: at least the wanted one, its scale the input's divided by a whole number.

    TFLite's built-in MEAN truncates zero_point * input_scale / output_scale to an integer: any other ratio shifts
    every mean by up to one step, and tflite-runtime (which has no XNNPACK for int8) answers other than LiteRT.
    """
    scale = (before[1] - before[0]) / 255
    finer = max(1, int(scale * 255 / (wanted[1] - wanted[0])))
    step = scale / finer
    zero = min(255, int(np.ceil(-wanted[0] / step)))
    if finer > 1 and (255 - zero) * step < wanted[1]:
        step = scale / (finer - 1)  # rounding the zero point cost the last step at the top
        zero = min(255, int(np.ceil(-wanted[0] / step)))
    return -zero * step, (255 - zero) * step


def narrowed(
    counts: NDArray[np.int64], low: float, high: float, follow: Follow | None = None, steps: int = 40
) -> Range:
    """The (low, high) inside the given one with the least squared error of 8-bit rounding and clipping.

    counts: (BINS,) values per bin of equal width over [low, high]. Each end is tried at `steps` places from its full
    length down to a twentieth, in turns. follow: the function that reads the tensor, behind which the error is
    taken: a swish has nothing left to tell below -8, though batch norms reach -40 there.
    """
    edges = np.linspace(low, high, len(counts) + 1)
    centres = (edges[:-1] + edges[1:]) / 2
    filled = counts > 0
    centres, weights = centres[filled], counts[filled].astype(np.float64)
    follow = follow or (lambda x: x)
    exact = follow(centres)

    def error(a: float, b: float) -> float:
        scale = max((b - a) / 255, 1e-12)
        inside = np.clip(centres, a, b)
        slope = (follow(inside + scale / 2) - follow(inside - scale / 2)) / scale
        # a uniform rounding error stands for the exact one: histograms are too coarse to round against
        return float(np.sum(weights * ((follow(inside) - exact) ** 2 + (slope * scale) ** 2 / 12)))

    parts = np.geomspace(1, 0.05, steps)
    best_low, best_high = low, high
    for _ in range(3):
        best_high = min((high * part for part in parts), key=lambda b: error(best_low, b))
        best_low = min((low * part for part in parts), key=lambda a: error(a, best_high))
    return float(best_low), float(best_high)


def _follow(layer: Any) -> Follow | None:
    """What reads a layer's output: swish (a sigmoid and the product with it), a sigmoid, or anything else."""
    readers = consumers(layer)
    gates = [reader for reader in readers if getattr(getattr(reader, "activation", None), "__name__", "") == "sigmoid"]
    if not gates:
        return None
    return _swish if len(readers) > 1 else _sigmoid


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -60, 60))))


def _swish(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return x * _sigmoid(x)
