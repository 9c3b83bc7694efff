"""The ResNet of dlib's face recognizer (King 2017; He et al. 2016, arXiv:1512.03385): a teacher pretrained on faces.

29 convolutions, with a quarter to a half of ResNet-34's channels. Where the size halves, the shortcut is an average
over 2x2, with zeros for the new channels. Pictures have 112 pixels and are padded at the borders; dlib takes 150.
"""

from __future__ import annotations

from typing import Any

from fer_edge.train.architectures.layers import head

NAME = "face_resnet"
SIZE = 112
TOP_FROM = "stage2_block1_conv1"

# (channels, whether each block halves the size)
STAGES = ((32, (0, 0, 0)), (64, (1, 0, 0, 0)), (128, (1, 0, 0)), (256, (1, 0, 0, 1)))


def build(keras: Any, size: int, classes: int) -> Any:
    """dlib's ResNet with the shared head: (N, size, size, 3) in [-1, 1] to (N, C) logits."""
    layers = keras.layers
    inputs = layers.Input((size, size, 3), name="image")
    x = layers.Conv2D(32, 7, strides=2, padding="same", use_bias=False, name="stem_conv")(inputs)
    x = layers.ReLU(name="stem_relu")(layers.BatchNormalization(momentum=0.97, name="stem_bn")(x))
    x = layers.MaxPooling2D(3, strides=2, padding="same", name="stem_pool")(x)
    for stage, (channels, halves) in enumerate(STAGES, start=1):
        for block, halved in enumerate(halves, start=1):
            x = _block(keras, x, channels, 1 + halved, f"stage{stage}_block{block}_")
    return keras.Model(inputs, head(keras, x, classes), name=NAME)


def _block(keras: Any, x: Any, channels: int, stride: int, prefix: str) -> Any:
    layers = keras.layers
    shortcut, new = x, channels - int(x.shape[-1])
    for index, step in ((1, stride), (2, 1)):
        name = f"{prefix}conv{index}"
        x = layers.Conv2D(channels, 3, strides=step, padding="same", use_bias=False, name=name)(x)
        x = layers.BatchNormalization(momentum=0.97, name=f"{name}_bn")(x)
        if index == 1:
            x = layers.ReLU(name=f"{name}_relu")(x)
    if stride == 2:
        shortcut = layers.AveragePooling2D(2, padding="same", name=f"{prefix}pool")(shortcut)
    if new:
        shortcut = layers.Concatenate(name=f"{prefix}widen")([shortcut, layers.Rescaling(0.0)(shortcut)])
    return layers.ReLU(name=f"{prefix}relu")(layers.Add(name=f"{prefix}add")([x, shortcut]))
