"""Initial weights from Keras Applications: ImageNet's, or a file of the same network."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import ModelError

BACKBONES = {
    "mobilenet": "MobileNet",
    "mobilenet_v2": "MobileNetV2",
    "se_mobilenet_v2": "MobileNetV2",
    "efficientnet_b0": "EfficientNetB0",
    "resnet50_cbam": "ResNet50",
}
"""Networks of keras.applications with the same backbone."""


def initialize(name: str, model: Any, weights: str, keras: Any) -> None:
    """Set the weights of the layers that a network of keras.applications has too, by their names.

    Args:
        name: The network, a key of BACKBONES.
        model: The Keras model, with random weights.
        weights: 'imagenet', or a Keras 3 `.weights.h5` of keras.applications' network (include_top=False).
        keras: The Keras module of the model.

    Raises:
        ModelError: The weights do not fit.
    """
    reference = _reference(name, weights, keras)
    count = 0
    for layer in model.layers:
        if not layer.weights or layer.name.startswith("head_"):
            continue
        try:
            values = reference.get_layer(layer.name).get_weights()
        except ValueError:  # squeeze-and-excitation in MobileNetV2 and CBAM have no counterpart
            continue
        layer.set_weights(values[: len(layer.weights)])  # ResNet50's biases follow below
        count += 1
    if name == "efficientnet_b0":
        _fold_input_normalization(model, *_input_layers(reference), "stem_conv", "stem_bn")
    if name == "resnet50_cbam":
        _fold_biases(model, reference)
        _fold_bgr_means(model, keras)
    if not count:
        raise ModelError(f"--weights {weights}: no layer of {name} was found in it")


def _reference(name: str, weights: str, keras: Any) -> Any:
    """Keras Applications' network with the same backbone, with the weights."""
    source = "imagenet" if weights == "imagenet" else None
    try:
        reference = getattr(keras.applications, BACKBONES[name])(
            include_top=False, weights=source, input_shape=(96, 96, 3)
        )
        if source is None:
            reference.load_weights(weights)
    except Exception as error:  # Keras raises ValueError, KeyError, OSError or URLError depending on what is wrong
        reason = str(error).splitlines()[0][:160]
        raise ModelError(f"--weights {weights} cannot be loaded into {name}: {reason}") from None
    return reference


def _input_layers(reference: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What EfficientNet's layers before its stem make of black and of white, (3,) each: they compute a·x + b."""
    before = reference.__class__(reference.inputs, reference.get_layer("stem_conv_pad").input)
    shape = (1, *reference.input_shape[1:])
    black, white = (np.asarray(before(np.full(shape, value, np.float32)))[0, 0, 0] for value in (0.0, 255.0))
    return black, white


def _fold_input_normalization(
    model: Any, black: NDArray[np.float32], white: NDArray[np.float32], convolution: str, norm: str
) -> None:
    """Fold what a network does with its pixels, a·x + b per channel, into its first layers, for input in [-1, 1].

    The factor goes into the kernel, the offset through the kernel into the batch norm's mean. This is exact but for the
    zero-padded border, where the padding now stands for the input's mid-gray.

    Args:
        model: The model, whose first convolution has no bias.
        black: (3,) what the convolution was trained on for a pixel of 0.
        white: The same for a pixel of 255.
        convolution: The name of the first convolution.
        norm: The name of its batch norm.
    """
    scale, offset = (white - black) / 2, (white + black) / 2  # per channel, for x = pixel / 127.5 - 1
    stem, after = model.get_layer(convolution), model.get_layer(norm)
    (kernel,) = stem.get_weights()  # (H, W, 3, C)
    gamma, beta, mean, variance = after.get_weights()
    after.set_weights([gamma, beta, mean - np.einsum("hwcf,c->f", kernel, offset), variance])
    stem.set_weights([kernel * scale[None, None, :, None]])


def _fold_biases(model: Any, reference: Any) -> None:
    """Fold the biases of ResNet50's convolutions into the means of the batch norms that follow them."""
    for layer in reference.layers:
        if layer.name.endswith("_conv"):
            norm = model.get_layer(f"{layer.name.removesuffix('_conv')}_bn")
            gamma, beta, mean, variance = norm.get_weights()
            norm.set_weights([gamma, beta, mean - layer.get_weights()[1], variance])


def _fold_bgr_means(model: Any, keras: Any) -> None:
    """Fold ResNet50's input normalization: blue, green and red less their means over ImageNet."""
    black, white = (
        keras.applications.resnet50.preprocess_input(np.full((1, 1, 1, 3), value, np.float32))[0, 0, 0]
        for value in (0.0, 255.0)
    )
    _fold_input_normalization(model, black, white, "conv1_conv", "conv1_bn")
    stem = model.get_layer("conv1_conv")
    (kernel,) = stem.get_weights()
    stem.set_weights([kernel[:, :, ::-1]])
