"""EfficientNet-B0 (Tan and Le 2019, arXiv:1905.11946) with an output stride of 16: swish, SE, stochastic depth.

It differs from the paper in one stride: the sixth stage keeps the size of its input, so that the last features of a
96-px face are 6x6 and not 3x3. The number and shapes of its weights are those of B0.

Layer names and padding follow Keras Applications, so that its ImageNet weights fit. The input normalization that
Keras builds in as layers is folded into the first convolution and its batch norm instead (see weights.py).
"""

from __future__ import annotations

from typing import Any

from fer_edge.edge.preprocess import INPUT_SIZE
from fer_edge.train.architectures.layers import head, pad_for_stride, squeeze_excite

NAME = "efficientnet_b0"
SIZE = INPUT_SIZE
TOP_FROM = "block3a_expand_conv"
LAST_FROM = "block6a_expand_conv"

# (kernel, blocks, output channels, expansion, stride of the first block): table 1 of the paper, but for the stride of
# stage 6, which is 2 there
STAGES = (
    (3, 1, 16, 1, 1),
    (3, 2, 24, 6, 2),
    (5, 2, 40, 6, 2),
    (3, 3, 80, 6, 2),
    (5, 3, 112, 6, 1),
    (5, 4, 192, 6, 1),
    (3, 1, 320, 6, 1),
)
SURVIVAL_DROP = 0.2
"""Probability of dropping the last block's residual branch (stochastic depth); it grows linearly up to there."""


def build(keras: Any, size: int, classes: int) -> Any:
    """EfficientNet-B0 with the shared head: (N, size, size, 3) in [-1, 1] to (N, C) logits."""
    layers = keras.layers
    inputs = keras.layers.Input((size, size, 3), name="image")
    x = pad_for_stride(keras, inputs, 3, "stem_conv_pad")
    x = layers.Conv2D(32, 3, strides=2, padding="valid", use_bias=False, name="stem_conv")(x)
    x = _normalize(keras, x, "stem_bn", "stem_activation")
    index, total = 0, sum(blocks for _, blocks, *_ in STAGES)
    for stage, (kernel, blocks, channels, expansion, stride) in enumerate(STAGES, start=1):
        for block in range(blocks):
            prefix = f"block{stage}{'abcd'[block]}_"
            drop = SURVIVAL_DROP * index / total
            x = _block(keras, x, kernel, channels, expansion, stride if block == 0 else 1, drop, prefix)
            index += 1
    x = layers.Conv2D(1280, 1, padding="same", use_bias=False, name="top_conv")(x)
    x = _normalize(keras, x, "top_bn", "top_activation")
    return keras.Model(inputs, head(keras, x, classes), name=NAME)


# eight parameters: what varies between the blocks of the paper's table
def _block(
    keras: Any, x: Any, kernel: int, channels: int, expansion: int, stride: int, drop: float, prefix: str
) -> Any:
    layers = keras.layers
    entry, width = x, int(x.shape[-1])
    if expansion != 1:
        x = layers.Conv2D(expansion * width, 1, padding="same", use_bias=False, name=f"{prefix}expand_conv")(x)
        x = _normalize(keras, x, f"{prefix}expand_bn", f"{prefix}expand_activation")
    if stride == 2:
        x = pad_for_stride(keras, x, kernel, f"{prefix}dwconv_pad")
    padding = "same" if stride == 1 else "valid"
    x = layers.DepthwiseConv2D(kernel, strides=stride, padding=padding, use_bias=False, name=f"{prefix}dwconv")(x)
    x = _normalize(keras, x, f"{prefix}bn", f"{prefix}activation")
    x = squeeze_excite(keras, x, max(1, width // 4), "swish", prefix, opened=False)
    x = layers.Conv2D(channels, 1, padding="same", use_bias=False, name=f"{prefix}project_conv")(x)
    x = _normalize(keras, x, f"{prefix}project_bn", None)
    if stride == 1 and channels == width:
        if drop:
            x = layers.Dropout(drop, noise_shape=(None, 1, 1, 1), name=f"{prefix}drop")(x)
        x = layers.Add(name=f"{prefix}add")([x, entry])
    return x


def _normalize(keras: Any, x: Any, name: str, activation: str | None) -> Any:
    x = keras.layers.BatchNormalization(name=name)(x)
    return keras.layers.Activation("swish", name=activation)(x) if activation else x
