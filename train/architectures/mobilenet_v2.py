"""MobileNetV2 1.0 (Sandler et al. 2018, arXiv:1801.04381): inverted residuals with linear bottlenecks.

Layer names and padding follow Keras Applications, so that its ImageNet weights fit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fer_edge.edge.preprocess import INPUT_SIZE
from fer_edge.train.architectures.layers import head, pad_for_stride

NAME = "mobilenet_v2"
SIZE = INPUT_SIZE
TOP_FROM = "block_3_expand"
LAST_FROM = "block_13_expand"

# (output channels, blocks, stride of the first block); the expansion is 6 but for the first block: table 2 of the paper
STAGES = ((16, 1, 1), (24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1))


def build(keras: Any, size: int, classes: int) -> Any:
    """MobileNetV2 with the shared head: (N, size, size, 3) in [-1, 1] to (N, C) logits."""
    inputs = keras.layers.Input((size, size, 3), name="image")
    return keras.Model(inputs, head(keras, backbone(keras, inputs), classes), name=NAME)


def backbone(keras: Any, x: Any, attend: Callable[[Any, str], Any] | None = None, output_stride: int = 32) -> Any:
    """MobileNetV2 without a head.

    Args:
        keras: The Keras module to build with.
        x: (N, S, S, 3) in [-1, 1].
        attend: What is applied to each block's expanded features, with the prefix of the layers' names.
        output_stride: 32 as in the paper, or 16, with which the sixth stage keeps the size of its input; the weights
            are the same.

    Returns:
        (N, S / output_stride, S / output_stride, 1280) features.
    """
    layers = keras.layers
    x = layers.Conv2D(32, 3, strides=2, padding="same", use_bias=False, name="Conv1")(x)
    x = normalize(keras, x, "bn_Conv1", "Conv1_relu")
    index = 0
    for stage, (channels, blocks, first) in enumerate(STAGES, start=1):
        stride = 1 if (stage, output_stride) == (6, 16) else first
        for block in range(blocks):
            x = inverted_residual(keras, x, index, channels, stride if block == 0 else 1, attend=attend)
            index += 1
    x = layers.Conv2D(1280, 1, use_bias=False, name="Conv_1")(x)
    return normalize(keras, x, "Conv_1_bn", "out_relu")


def inverted_residual(
    keras: Any,
    x: Any,
    index: int,
    channels: int,
    stride: int,
    expanded: int | None = None,
    attend: Callable[[Any, str], Any] | None = None,
) -> Any:
    """One block: 1x1 expansion, 3x3 depthwise convolution, linear 1x1 projection, and a residual where shapes agree.

    Args:
        keras: The Keras module to build with.
        x: (N, H, W, C).
        index: Of the block, in its layers' names; block 0 has no expansion.
        channels: Channels of the output.
        stride: Of the depthwise convolution, 1 or 2.
        expanded: Channels of the expansion; 6 C where None.
        attend: As `backbone` takes it.

    Returns:
        (N, H / stride, W / stride, channels).
    """
    layers = keras.layers
    entry, width = x, int(x.shape[-1])
    prefix = f"block_{index}_" if index else "expanded_conv_"
    if index:
        x = layers.Conv2D(expanded or 6 * width, 1, padding="same", use_bias=False, name=f"{prefix}expand")(x)
        x = normalize(keras, x, f"{prefix}expand_BN", f"{prefix}expand_relu")
    if stride == 2:
        x = pad_for_stride(keras, x, 3, f"{prefix}pad")
    padding = "same" if stride == 1 else "valid"
    x = layers.DepthwiseConv2D(3, strides=stride, padding=padding, use_bias=False, name=f"{prefix}depthwise")(x)
    x = normalize(keras, x, f"{prefix}depthwise_BN", f"{prefix}depthwise_relu")
    if attend:
        x = attend(x, prefix)
    x = layers.Conv2D(channels, 1, padding="same", use_bias=False, name=f"{prefix}project")(x)
    x = normalize(keras, x, f"{prefix}project_BN", None)
    if stride == 1 and channels == width:
        x = layers.Add(name=f"{prefix}add")([entry, x])
    return x


def normalize(keras: Any, x: Any, name: str, relu: str | None) -> Any:
    """Batch norm, and a ReLU6 of this name where there is one: (N, H, W, C) to the same shape."""
    x = keras.layers.BatchNormalization(epsilon=1e-3, momentum=0.99, name=name)(x)
    return keras.layers.ReLU(6.0, name=relu)(x) if relu else x
