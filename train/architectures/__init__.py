"""The four networks for devices, a larger one and the teachers, one file each, built from the same few layers.

Every module defines `build(keras, size, classes) -> Model`: a flat functional graph from pictures (N, size, size, 3) in
[-1, 1] to logits (N, classes), built with the Keras module that it is given (Keras 3 on any backend, or tf_keras for
quantization-aware training). The network takes the same weights at any size and in either Keras. NAME is its name, SIZE
the side of its input, TOP_FROM the first layer of the top blocks, LAST_FROM that of the last few of them, SIZES its
smallest and largest side where it does not take every size, PRUNED_FROM the larger network from whose weights it starts
by pruning.
"""

from __future__ import annotations

from typing import Any

from fer_edge.edge.errors import ModelError
from fer_edge.train.architectures import (
    efficientnet_b0,
    face_resnet,
    inception_resnet_v1,
    mobilenet,
    mobilenet_v2,
    mobilenet_v2_small,
    resnet50_cbam,
    se_mobilenet_v2,
    se_resnet18,
    vgg,
)

ARCHITECTURES: dict[str, Any] = {
    "mobilenet_v2": mobilenet_v2,
    "se_mobilenet_v2": se_mobilenet_v2,
    "efficientnet_b0": efficientnet_b0,
    "mobilenet_v2_small": mobilenet_v2_small,
    # larger, for a laptop
    "resnet50_cbam": resnet50_cbam,
    # teachers: too large for a device; the last two are trained from random weights on 48-px pictures
    "mobilenet": mobilenet,
    "face_resnet": face_resnet,
    "inception_resnet_v1": inception_resnet_v1,
    "se_resnet18": se_resnet18,
    "vgg": vgg,
}

QUANTIZABLE = ("mobilenet_v2", "se_mobilenet_v2", "efficientnet_b0", "mobilenet_v2_small", "resnet50_cbam")
"""The networks that become int8 files: conversion has a rule for each of their layers."""


def architecture(name: str) -> Any:
    """The module that defines a network, or a registered one of the user's own; ModelError for an unknown name."""
    if name not in ARCHITECTURES:
        raise ModelError(f"unknown architecture '{name}'; expected one of {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]


def size(name: str) -> int:
    """The side of a network's input, pixels; ModelError for an unknown name."""
    return int(architecture(name).SIZE)


def build(name: str, keras: Any, side: int | None = None, *, classes: int) -> Any:
    """Build a network with random weights.

    Args:
        name: A key of ARCHITECTURES.
        keras: The Keras module to build with, Keras 3 or tf_keras.
        side: Side of the input in pixels; the network's own where None.
        classes: Number of classes, which is that of the outputs.

    Returns:
        A Keras model from pictures (N, side, side, 3) in [-1, 1] to logits (N, classes).

    Raises:
        ModelError: The name is unknown, or the network does not take this size.
    """
    module, side = architecture(name), side or size(name)
    smallest, largest = getattr(module, "SIZES", (32, 299))
    if not smallest <= side <= largest:
        limits = f"{smallest}" if smallest == largest else f"{smallest} to {largest}"
        raise ModelError(f"{name} takes pictures of {limits} px; given {side}")
    return module.build(keras, side, classes)


def top_layers(name: str, model: Any) -> list[Any]:
    """The layers of the top blocks and the head, which the phase 'top' trains; every layer without TOP_FROM."""
    return _layers_from(model, architecture(name).TOP_FROM)


def last_layers(name: str, model: Any) -> list[Any]:
    """The layers of the last blocks and the head, which the phase 'top' trains on frozen features."""
    module = architecture(name)
    return _layers_from(model, getattr(module, "LAST_FROM", module.TOP_FROM))


def _layers_from(model: Any, first: str | None) -> list[Any]:
    names = [layer.name for layer in model.layers]
    return list(model.layers[0 if first is None else names.index(first) :])


def head_layers(model: Any) -> list[Any]:
    """The layers behind the backbone, which the warm-up trains: head_…, or the last one where none is named so."""
    named = [layer for layer in model.layers if layer.name.startswith("head_")]
    return named or [layer for layer in model.layers if layer.weights][-1:]
