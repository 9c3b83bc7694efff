"""ResNet-50 (He et al. 2016, arXiv:1512.03385) with CBAM (Woo et al. 2018, arXiv:1807.06521) in every block.

27 million weights with its head, for 64-px pictures. Layer names and padding follow Keras Applications' ResNet50, so
that its ImageNet weights fit. Its convolutions' biases and its input normalization are folded into the batch norms (see
keras_applications.py).
"""

from __future__ import annotations

from typing import Any

from fer_edge.train.architectures.layers import head, opened_gate

NAME = "resnet50_cbam"
SIZE = 64
TOP_FROM = "conv4_block1_1_conv"
LAST_FROM = "conv5_block1_1_conv"

# (channels of the 3x3 convolutions, blocks, stride of the first block): table 1 of the ResNet paper
STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
EPSILON = 1.001e-5
REDUCTION = 16
"""Channels of a block divided by those between the two layers of its channel attention."""


def build(keras: Any, size: int, classes: int) -> Any:
    """ResNet-50 with CBAM and the shared head: (N, size, size, 3) in [-1, 1] to (N, C) logits."""
    layers = keras.layers
    inputs = layers.Input((size, size, 3), name="image")
    x = layers.ZeroPadding2D(3, name="conv1_pad")(inputs)
    x = layers.Conv2D(64, 7, strides=2, use_bias=False, name="conv1_conv")(x)
    x = layers.BatchNormalization(epsilon=EPSILON, name="conv1_bn")(x)
    x = layers.ReLU(name="conv1_relu")(x)
    x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x)
    for stage, (channels, blocks, stride) in enumerate(STAGES, start=2):
        for block in range(1, blocks + 1):
            x = bottleneck(keras, x, channels, stride if block == 1 else 1, block == 1, f"conv{stage}_block{block}_")
    return keras.Model(inputs, head(keras, x, classes), name=NAME)


# six parameters: what varies between the blocks of the paper's table
def bottleneck(keras: Any, x: Any, channels: int, stride: int, projected: bool, prefix: str) -> Any:
    """A residual block whose last batch norm is followed by CBAM.

    Args:
        keras: The Keras module to build with.
        x: (N, H, W, C).
        channels: Of the 3x3 convolution; the block's output has four times as many.
        stride: Of the first convolution.
        projected: Whether the shortcut is a 1x1 convolution, as where size or channels change.
        prefix: Prefix of the layers' names.

    Returns:
        (N, H / stride, W / stride, 4 * channels).
    """
    layers, shortcut = keras.layers, x
    if projected:
        shortcut = _convolve(keras, x, 4 * channels, 1, stride, f"{prefix}0", relu=False)
    x = _convolve(keras, x, channels, 1, stride, f"{prefix}1", relu=True)
    x = _convolve(keras, x, channels, 3, 1, f"{prefix}2", relu=True)
    x = _convolve(keras, x, 4 * channels, 1, 1, f"{prefix}3", relu=False)
    x = _spatial_attention(keras, _channel_attention(keras, x, prefix), prefix)
    return layers.ReLU(name=f"{prefix}out")(layers.Add(name=f"{prefix}add")([shortcut, x]))


def _convolve(keras: Any, x: Any, channels: int, kernel: int, stride: int, name: str, *, relu: bool) -> Any:
    layers = keras.layers
    x = layers.Conv2D(channels, kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_conv")(x)
    x = layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x) if relu else x


def _channel_attention(keras: Any, x: Any, prefix: str) -> Any:
    """(N, H, W, C) scaled by a gate per channel, from its mean and its maximum over the pixels.

    Mean and maximum are the two pixels of a small picture, so that 1x1 convolutions are the two layers which they
    share. The paper adds the two results; their mean is the same with half the weights.
    """
    layers, name = keras.layers, f"{prefix}channel_"
    channels = int(x.shape[-1])
    mean = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}mean")(x)  # (N, 1, 1, C)
    largest = layers.GlobalMaxPooling2D(keepdims=True, name=f"{name}max")(x)
    gate = layers.Concatenate(axis=1, name=f"{name}both")([mean, largest])  # (N, 2, 1, C)
    gate = layers.Conv2D(max(1, channels // REDUCTION), 1, activation="relu", name=f"{name}reduce")(gate)
    gate = layers.Conv2D(channels, 1, name=f"{name}expand", **opened_gate(keras))(gate)
    gate = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}join")(gate)  # (N, 1, 1, C)
    gate = layers.Activation("sigmoid", name=f"{name}gate")(gate)
    return layers.Multiply(name=f"{name}scale")([x, gate])


def _spatial_attention(keras: Any, x: Any, prefix: str) -> Any:
    """(N, H, W, C) scaled by a gate per pixel, from the mean and the maximum over its channels.

    The paper's 7x7 convolution of both maps is the sum of one for each, which lets int8 give them a scale each: the
    mean over hundreds of channels is much smaller than the maximum.
    """
    layers, name = keras.layers, f"{prefix}spatial_"
    height, width, channels = (int(side) for side in x.shape[1:])
    pixels = layers.Reshape((height * width, channels), name=f"{name}pixels")(x)
    parts = []
    for kind, pooling in (("mean", layers.GlobalAveragePooling1D), ("max", layers.GlobalMaxPooling1D)):
        # of (N, features, steps), the mean over the steps
        part = pooling(data_format="channels_first", keepdims=True, name=f"{name}{kind}")(pixels)  # (N, H * W, 1)
        part = layers.Reshape((height, width, 1), name=f"{name}{kind}_map")(part)
        initial = opened_gate(keras) if kind == "mean" else {"use_bias": False}
        parts.append(layers.Conv2D(1, 7, padding="same", name=f"{name}{kind}_conv", **initial)(part))
    gate = layers.Activation("sigmoid", name=f"{name}gate")(layers.Add(name=f"{name}join")(parts))
    return layers.Multiply(name=f"{name}scale")([x, gate])  # (N, H, W, C) by (N, H, W, 1)
