"""Inception-ResNet v1 (Szegedy et al. 2016, arXiv:1602.07261) as FaceNet has it (Sandberg 2018): a large teacher.

21 million weights, pretrained on faces. Layers are named as in the Keras file that the weights come from, see
face_recognizers.py. Pictures have 112 pixels; FaceNet takes 160.
"""

from __future__ import annotations

from typing import Any

from fer_edge.train.architectures.layers import head

NAME = "inception_resnet_v1"
SIZE = 112
SIZES = (75, 299)  # three convolutions and three halvings without padding need 75
TOP_FROM = "Block17_6_Branch_0_Conv2d_1x1"

# name, filters, kernel, stride, padding
STEM = (
    ("Conv2d_1a_3x3", 32, 3, 2, "valid"),
    ("Conv2d_2a_3x3", 32, 3, 1, "valid"),
    ("Conv2d_2b_3x3", 64, 3, 1, "same"),
    ("MaxPool_3a_3x3", 0, 3, 2, "valid"),
    ("Conv2d_3b_1x1", 80, 1, 1, "valid"),
    ("Conv2d_4a_3x3", 192, 3, 1, "valid"),
    ("Conv2d_4b_3x3", 256, 3, 2, "valid"),
)

# branches of a residual block: names, filters and kernels of their convolutions
BLOCK35 = (
    (("1x1", 32, 1),),
    (("0a_1x1", 32, 1), ("0b_3x3", 32, 3)),
    (("0a_1x1", 32, 1), ("0b_3x3", 32, 3), ("0c_3x3", 32, 3)),
)
BLOCK17 = ((("1x1", 128, 1),), (("0a_1x1", 128, 1), ("0b_1x7", 128, (1, 7)), ("0c_7x1", 128, (7, 1))))
BLOCK8 = ((("1x1", 192, 1),), (("0a_1x1", 192, 1), ("0b_1x3", 192, (1, 3)), ("0c_3x1", 192, (3, 1))))

# where the size halves: filters of the branches, the last of which have stride 2; one more branch is a max pooling
MIXED_6A = ((384,), (192, 192, 256))
MIXED_7A = ((256, 384), (256, 256), (256, 256, 256))


def build(keras: Any, size: int, classes: int) -> Any:
    """FaceNet's network with the shared head: (N, size, size, 3) in [-1, 1] to (N, C) logits; size from 75."""
    inputs = keras.layers.Input((size, size, 3), name="image")
    x = inputs
    for name, filters, kernel, stride, padding in STEM:
        if filters:
            x = _convolution(keras, x, name, filters, kernel, stride, padding)
        else:
            x = keras.layers.MaxPooling2D(kernel, strides=stride, padding=padding, name=name)(x)
    for index in range(1, 6):
        x = _residual(keras, x, f"Block35_{index}", BLOCK35, 0.17)
    x = _reduction(keras, x, "Mixed_6a", MIXED_6A)
    for index in range(1, 11):
        x = _residual(keras, x, f"Block17_{index}", BLOCK17, 0.1)
    x = _reduction(keras, x, "Mixed_7a", MIXED_7A)
    for index in range(1, 6):
        x = _residual(keras, x, f"Block8_{index}", BLOCK8, 0.2)
    x = _residual(keras, x, "Block8_6", BLOCK8, 1.0, last=True)
    return keras.Model(inputs, head(keras, x, classes), name=NAME)


def _convolution(
    keras: Any, x: Any, name: str, filters: int, kernel: Any, stride: int = 1, padding: str = "same"
) -> Any:
    layers = keras.layers
    x = layers.Conv2D(filters, kernel, strides=stride, padding=padding, use_bias=False, name=name)(x)
    x = layers.BatchNormalization(momentum=0.97, scale=False, name=f"{name}_BatchNorm")(x)
    return layers.ReLU(name=f"{name}_Activation")(x)


def _residual(keras: Any, x: Any, name: str, branches: Any, share: float, last: bool = False) -> Any:
    layers, outputs = keras.layers, []
    for branch, convolutions in enumerate(branches):
        y = x
        for part, filters, kernel in convolutions:
            y = _convolution(keras, y, f"{name}_Branch_{branch}_Conv2d_{part}", filters, kernel)
        outputs.append(y)
    concatenated = layers.Concatenate(name=f"{name}_Concatenate")(outputs)
    change = layers.Conv2D(int(x.shape[-1]), 1, name=f"{name}_Conv2d_1x1")(concatenated)
    total = layers.Add(name=f"{name}_Add")([x, layers.Rescaling(share, name=f"{name}_Scale")(change)])
    return total if last else layers.ReLU(name=f"{name}_Activation")(total)


def _reduction(keras: Any, x: Any, name: str, branches: tuple[tuple[int, ...], ...]) -> Any:
    outputs = []
    for branch, filters in enumerate(branches):
        y = x
        for letter, count in zip("ab", filters[:-1], strict=False):
            kernel = 1 if letter == "a" else 3
            y = _convolution(keras, y, f"{name}_Branch_{branch}_Conv2d_0{letter}_{kernel}x{kernel}", count, kernel)
        outputs.append(_convolution(keras, y, f"{name}_Branch_{branch}_Conv2d_1a_3x3", filters[-1], 3, 2, "valid"))
    pool = f"{name}_Branch_{len(branches)}_MaxPool_1a_3x3"
    outputs.append(keras.layers.MaxPooling2D(3, strides=2, name=pool)(x))
    return keras.layers.Concatenate(name=name)(outputs)
