"""MobileNet 1.0 (Howard et al. 2017, arXiv:1704.04861): a teacher, with weights from a face recognizer.

Layer names and padding follow Keras Applications, so that its ImageNet weights fit.
"""

from __future__ import annotations

from typing import Any

from fer_edge.edge.preprocess import INPUT_SIZE
from fer_edge.train.architectures.layers import head, pad_for_stride

NAME = "mobilenet"
SIZE = INPUT_SIZE
TOP_FROM = "conv_dw_4"

# (output channels, stride) of each depthwise-separable convolution: table 1 of the paper
BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))


def build(keras: Any, size: int, classes: int) -> Any:
    """MobileNet with the shared head: (N, size, size, 3) in [-1, 1] to (N, C) logits."""
    layers = keras.layers
    inputs = layers.Input((size, size, 3), name="image")
    x = pad_for_stride(keras, inputs, 3, "conv1_pad")
    x = layers.Conv2D(32, 3, strides=2, padding="valid", use_bias=False, name="conv1")(x)
    x = _normalize(keras, x, "conv1")
    for index, (channels, stride) in enumerate(BLOCKS, start=1):
        if stride == 2:
            x = pad_for_stride(keras, x, 3, f"conv_pad_{index}")
        padding = "same" if stride == 1 else "valid"
        name = f"conv_dw_{index}"
        x = layers.DepthwiseConv2D(3, strides=stride, padding=padding, use_bias=False, name=name)(x)
        x = _normalize(keras, x, name)
        x = layers.Conv2D(channels, 1, padding="same", use_bias=False, name=f"conv_pw_{index}")(x)
        x = _normalize(keras, x, f"conv_pw_{index}")
    return keras.Model(inputs, head(keras, x, classes), name=NAME)


def _normalize(keras: Any, x: Any, name: str) -> Any:
    x = keras.layers.BatchNormalization(name=f"{name}_bn")(x)
    return keras.layers.ReLU(6.0, name=f"{name}_relu")(x)
