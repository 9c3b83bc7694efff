"""YuNet in TensorFlow, channels last, for inputs of any shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from fer_edge.convert.face_detector.weights import Array, Pair, Weights
from fer_edge.edge.errors import ModelError

Hook = Callable[[str, Any], Any]
"""Called with the name and value of each tensor that is quantized, returns the value to go on with."""

POOLED_AFTER = (0, 4, 6, 8)
"""Units whose output is halved by max pooling."""


REBUILT_TOLERANCE = 1e-3
"""Largest difference of an output from the original's in float32, cells or probability; 1e-5 was measured."""


def forward(weights: Weights, picture: Any, hook: Hook = lambda name, value: value, clip: bool = False) -> list[Any]:
    """Run the network.

    Args:
        weights: The weights.
        picture: (1, H, W, 3) float32 BGR, 0..255, both sides a multiple of 32.
        hook: Sees every tensor that has a quantization of its own.
        clip: Whether outputs are clipped to [-1, 1], for normalized heads.

    Returns:
        The outputs for strides 8, 16 and 32, (1, h, w, 16) float32: the logits of class and object, box, key points.
    """

    def unit(value: Any, index: int) -> Any:
        return hook(f"unit{index}", tf.nn.relu(_pair(value, weights.units[index], f"unit{index}", hook)))

    padded = tf.pad(hook("picture", picture), [[0, 0], [1, 1], [1, 1], [0, 0]])
    value = tf.nn.conv2d(padded, _constant(weights.stem), 2, "VALID")
    value = hook("stem", tf.nn.relu(tf.nn.bias_add(value, _constant(weights.stem_bias))))
    features = []
    for index in range(11):  # the backbone
        value = unit(value, index)
        features.append(value)
        if index in POOLED_AFTER:
            value = tf.nn.max_pool2d(value, 2, 2, "VALID")
    coarse = unit(value, 11)  # the feature pyramid
    middle = unit(hook("sum16", features[8] + upsampled(coarse)), 12)
    fine = unit(hook("sum8", features[6] + upsampled(middle)), 13)
    outputs = []
    for index, value in enumerate((fine, middle, coarse)):
        output = _pair(value, weights.heads[index], f"head{index}", hook)
        if clip:
            output = tf.minimum(tf.maximum(output, -1.0), 1.0)  # becomes RELU_N1_TO_1
        outputs.append(hook(f"head{index}", output))
    return outputs


def check_rebuilt(weights: Weights, picture: NDArray[np.uint8], expected: Sequence[NDArray[np.float32]]) -> None:
    """Check that the weights in TensorFlow compute what the original computes.

    Args:
        weights: The weights before they are quantized.
        expected: The original's outputs for the picture, (h, w, 16) with probabilities in place of logits.
        picture: (H, W, 3) uint8 BGR, both sides a multiple of 32.

    Raises:
        ModelError: An output differs.
    """
    outputs = forward(weights, tf.constant(picture[None], tf.float32))
    for rebuilt, level in zip(outputs, expected, strict=True):
        cells = np.array(rebuilt)[0]
        cells[..., :2] = 1 / (1 + np.exp(-cells[..., :2]))
        difference = float(np.abs(cells - level).max())
        if not difference <= REBUILT_TOLERANCE:
            raise ModelError(
                f"the rebuilt float network differs from the original by {difference:.2g}, expected at most "
                f"{REBUILT_TOLERANCE:g}; nothing was written"
            )


def upsampled(value: Any) -> Any:
    """Double height and width by repetition. RESIZE_NEAREST_NEIGHBOR would fix the size of the input in the file."""
    return tf.nn.depth_to_space(tf.concat([value] * 4, axis=-1), 2)


def _pair(value: Any, pair: Pair, name: str, hook: Hook) -> Any:
    kernel = _constant(pair.pointwise[None, None])
    hidden = hook(f"{name}/hidden", tf.nn.bias_add(tf.nn.conv2d(value, kernel, 1, "SAME"), _constant(pair.hidden_bias)))
    kernel = _constant(pair.depthwise[..., None])
    return tf.nn.bias_add(tf.nn.depthwise_conv2d(hidden, kernel, [1, 1, 1, 1], "SAME"), _constant(pair.bias))


def _constant(values: Array) -> Any:
    return tf.constant(values.astype(np.float32))
