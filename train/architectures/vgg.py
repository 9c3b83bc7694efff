"""VGG for 48-pixel pictures (Simonyan and Zisserman 2015, arXiv:1409.1556), with batch norm: a teacher.

Four stages of two 3x3 convolutions and a max pooling, the depth that Khaireddin and Chen (2021, arXiv:2105.03588) found
best on FER2013. The features are flattened, which keeps their positions; global average pooling would lose them.
"""

from __future__ import annotations

from typing import Any

from fer_edge.edge.preprocess import FACE_SIZE

NAME = "vgg"
SIZE = FACE_SIZE
SIZES = (SIZE, SIZE)  # its dense layers depend on each pixel's position
TOP_FROM = "stage3_conv1"

STAGES = (64, 128, 256, 512)


def build(keras: Any, size: int, classes: int) -> Any:
    """VGG with two dense layers of 1024: (N, size, size, 3) in [-1, 1] to (N, C) logits."""
    layers = keras.layers
    inputs = x = layers.Input((size, size, 3), name="image")
    for stage, channels in enumerate(STAGES, start=1):
        for index in (1, 2):
            name = f"stage{stage}_conv{index}"
            x = layers.Conv2D(channels, 3, padding="same", use_bias=False, kernel_initializer="he_normal", name=name)(x)
            x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)
            x = layers.ReLU(name=f"{name}_relu")(x)
        x = layers.MaxPooling2D(name=f"stage{stage}_pool")(x)
    x = layers.Flatten(name="head_flatten")(x)
    for index in (1, 2):
        x = layers.Dropout(0.5, name=f"head_dropout{index}")(x)
        x = layers.Dense(1024, activation="relu", name=f"head_dense{index}")(x)
    return keras.Model(inputs, layers.Dense(classes, dtype="float32", name="head_logits")(x), name=NAME)
