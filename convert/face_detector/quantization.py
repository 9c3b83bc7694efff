"""Ranges of all tensors from calibration pictures, and the export to int8 TFLite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from fer_edge.convert.face_detector.network import forward
from fer_edge.convert.face_detector.weights import Array, Weights, equalized, normalized_heads
from fer_edge.edge.errors import ModelError
from fer_edge.edge.faces.yunet_decoding import OutputRange

INPUT_SHAPE = (1, 256, 320, 3)
"""Of the file; the interpreter can resize it to any sides that are multiples of 32."""

OUTPUT_RANGE = OutputRange(
    # class, object; centre; log size; eyes; nose; corners of the mouth
    low=np.array([-3, -7, -1.75, -1.75, -0.8, -0.8, -5.5, -4.5, -2.5, -4.5, -4, -2, -5, -1, -2.5, -1], np.float32),
    high=np.array([3, 6, 2.75, 2.75, 3.2, 3.2, 2.5, 2.5, 5.5, 2.5, 4.5, 5, 2.5, 7, 5.5, 7], np.float32),
)
"""What -127 and 127 stand for in each output channel; values beyond are clipped.

Wide enough for the cells with a score of 0.35 or more of nearly all faces, up to one as wide as an input of 640 pixels;
what lies beyond is of cells at a large face's edge. The logits reach lower, so that the score of an empty cell is at
most 0.03.
"""

FIXED_RANGES = {"picture": (0.0, 255.0), **{f"head{index}": (-1.0, 1.0) for index in range(3)}}
"""Of the input, with scale 1 and zero point -128, and of the normalized outputs: scale 1/127, zero point 0."""


@dataclass(frozen=True, eq=False)
class ChannelRanges:
    """The values that each tensor took.

    Attributes:
        low: (C,) least value of each channel, by the tensor's name.
        high: (C,) greatest value, likewise.
    """

    low: dict[str, Array]
    high: dict[str, Array]

    def magnitudes(self) -> dict[str, Array]:
        """(C,) largest magnitude of each channel, by tensor."""
        return {name: np.maximum(-low, self.high[name]) for name, low in self.low.items()}

    def by_tensor(self) -> dict[str, tuple[float, float]]:
        """Least and greatest value of each tensor, with 0 between them; the fixed ranges in their place."""
        found = {name: (float(low.min()), float(self.high[name].max())) for name, low in self.low.items()}
        return {name: (min(0.0, low), max(0.0, high)) for name, (low, high) in found.items()} | FIXED_RANGES


def quantize(weights: Weights, pictures: Iterable[NDArray[np.uint8]]) -> bytes:
    """Equalize and calibrate the network, and export it in int8.

    Args:
        weights: The float network's weights.
        pictures: (H, W, 3) uint8 BGR each, both sides a multiple of 32.

    Returns:
        The .tflite file: (1, H, W, 3) int8 input with scale 1 and zero point -128, BGR; three (1, h, w, 16) int8
        outputs, see `OUTPUT_RANGE`. The same bytes for the same arguments.

    Raises:
        ModelError: TensorFlow's converter refuses the network.
    """
    pictures = list(pictures)
    even = normalized_heads(equalized(weights, channel_ranges(weights, pictures).magnitudes()), OUTPUT_RANGE)
    return export(even, channel_ranges(even, pictures).by_tensor())


def channel_ranges(weights: Weights, pictures: Iterable[NDArray[np.uint8]]) -> ChannelRanges:
    """Run the float network on pictures.

    Args:
        weights: Its weights.
        pictures: (H, W, 3) uint8 BGR each, both sides a multiple of 32.

    Returns:
        The least and greatest value of each channel of every tensor that is quantized.
    """
    names: list[str] = []

    @tf.function(input_signature=[tf.TensorSpec((1, None, None, 3), tf.float32)], autograph=False)
    def extremes(picture: Any) -> list[tuple[Any, Any]]:
        found = {}

        def observe(name: str, value: Any) -> Any:
            found[name] = tf.reduce_min(value, [0, 1, 2]), tf.reduce_max(value, [0, 1, 2])
            return value

        forward(weights, picture, observe)
        names[:] = found
        return list(found.values())

    low: dict[str, Array] = {}
    high: dict[str, Array] = {}
    for picture in pictures:
        for (least, greatest), name in zip(extremes(picture[None].astype(np.float32)), names, strict=True):
            low[name] = np.minimum(low.get(name, np.inf), least.numpy())
            high[name] = np.maximum(high.get(name, -np.inf), greatest.numpy())
    return ChannelRanges(low, high)


def export(weights: Weights, ranges: Mapping[str, tuple[float, float]]) -> bytes:
    """Export the network with given ranges of its tensors; weights are rounded per channel.

    Args:
        weights: Weights with normalized heads.
        ranges: Least and greatest value of each tensor, by name.

    Returns:
        The .tflite file.

    Raises:
        ModelError: TensorFlow's converter refuses the network.
    """

    def rounded(name: str, value: Any) -> Any:
        low, high = ranges[name]
        return tf.quantization.fake_quant_with_min_max_args(value, low, high, narrow_range=low == -high)

    @tf.function(input_signature=[tf.TensorSpec(INPUT_SHAPE, tf.float32, name="picture")], autograph=False)
    def network(picture: Any) -> Any:
        return forward(weights, picture, rounded, clip=True)

    converter = tf.lite.TFLiteConverter.from_concrete_functions([network.get_concrete_function()], tf.Module())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    try:
        return bytes(converter.convert())
    except Exception as error:  # the converter raises ConverterError, ValueError and RuntimeError
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise ModelError(f"TensorFlow's converter refused the network: {reason}") from None
