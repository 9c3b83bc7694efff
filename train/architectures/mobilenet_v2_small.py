"""MobileNetV2 cut down for boards such as the Raspberry Pi Zero 2: nine of its sixteen blocks, thinner expansions.

A width multiplier thins all stages alike. In int8 on a CPU, however, about half of the time goes into the few layers at
48 and 24 pixels (for a 96-px face), and most of the size into the last stage. So the stem and the expansions at those
resolutions are thinned most, one of two residual blocks at 24 pixels is left out, and so is everything from the last
stride on: the last features are 6x6, of 96 channels. The residual stream is as wide as MobileNetV2's except at 48
pixels, and the blocks keep its numbers, so that `train.pruning` can start the network from MobileNetV2's weights.
"""

from __future__ import annotations

from typing import Any

from fer_edge.edge.preprocess import INPUT_SIZE
from fer_edge.train.architectures.layers import head
from fer_edge.train.architectures.mobilenet_v2 import inverted_residual, normalize

NAME = "mobilenet_v2_small"
SIZE = INPUT_SIZE
TOP_FROM = "block_3_expand"
LAST_FROM = "block_11_expand"
PRUNED_FROM = "mobilenet_v2"

STEM = 16
"""Channels of the first convolution; MobileNetV2 has 32."""

# (number of the block in MobileNetV2, expanded channels, output channels, stride); MobileNetV2 has 16 output channels
# in block 0, and 96, 144, 192, 192, 192, 384, 384, 384 and 576 expanded ones in the others
BLOCKS = (
    (0, STEM, 8, 1),
    (1, 48, 24, 2),
    (3, 72, 32, 2),
    (4, 96, 32, 1),
    (5, 96, 32, 1),
    (6, 128, 64, 2),
    (7, 192, 64, 1),
    (8, 192, 64, 1),
    (10, 224, 96, 1),
    (11, 288, 96, 1),
)

FEATURES = 256
"""Channels before the global average."""


def build(keras: Any, size: int, classes: int) -> Any:
    """The small MobileNetV2 with the shared head: (N, size, size, 3) in [-1, 1] to (N, C) logits."""
    layers = keras.layers
    inputs = layers.Input((size, size, 3), name="image")
    x = layers.Conv2D(STEM, 3, strides=2, padding="same", use_bias=False, name="Conv1")(inputs)
    x = normalize(keras, x, "bn_Conv1", "Conv1_relu")
    for index, expanded, channels, stride in BLOCKS:
        x = inverted_residual(keras, x, index, channels, stride, expanded)
    x = layers.Conv2D(FEATURES, 1, use_bias=False, name="head_features")(x)
    x = normalize(keras, x, "head_features_bn", "head_features_relu")
    return keras.Model(inputs, head(keras, x, classes), name=NAME)
