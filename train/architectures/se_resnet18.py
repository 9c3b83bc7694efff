"""SE-ResNet-18 (He et al. 2016, arXiv:1512.03385; Hu et al. 2018, arXiv:1709.01507) for 48-pixel pictures: a teacher.

The stem is one 3x3 convolution of stride 1, as for small pictures in the paper, so that the stages have 48, 24, 12
and 6 pixels. No max pooling, no ImageNet weights.
"""

from __future__ import annotations

from typing import Any

from fer_edge.edge.preprocess import FACE_SIZE
from fer_edge.train.architectures.layers import head, squeeze_excite

NAME = "se_resnet18"
SIZE = FACE_SIZE
TOP_FROM = "stage3_1_conv1"

STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))  # channels, stride of the first of two blocks


def build(keras: Any, size: int, classes: int) -> Any:
    """SE-ResNet-18 with the shared head: (N, size, size, 3) in [-1, 1] to (N, C) logits."""
    inputs = keras.layers.Input((size, size, 3), name="image")
    x = _convolve(keras, inputs, 64, 3, 1, "stem", relu=True)
    for stage, (channels, stride) in enumerate(STAGES, start=1):
        for block in (1, 2):
            x = _block(keras, x, channels, stride if block == 1 else 1, f"stage{stage}_{block}_")
    return keras.Model(inputs, head(keras, x, classes), name=NAME)


def _block(keras: Any, x: Any, channels: int, stride: int, prefix: str) -> Any:
    entry, width = x, int(x.shape[-1])
    x = _convolve(keras, x, channels, 3, stride, f"{prefix}conv1", relu=True)
    x = _convolve(keras, x, channels, 3, 1, f"{prefix}conv2", relu=False)
    x = squeeze_excite(keras, x, channels // 16, "relu", prefix, opened=False)
    if stride != 1 or width != channels:
        entry = _convolve(keras, entry, channels, 1, stride, f"{prefix}shortcut", relu=False)
    return keras.layers.ReLU(name=f"{prefix}relu")(keras.layers.Add(name=f"{prefix}add")([x, entry]))


def _convolve(keras: Any, x: Any, channels: int, kernel: int, stride: int, name: str, *, relu: bool) -> Any:
    layers = keras.layers
    x = layers.Conv2D(
        channels, kernel, strides=stride, padding="same", use_bias=False, kernel_initializer="he_normal", name=name
    )(x)
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x) if relu else x
