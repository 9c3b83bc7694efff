"""The three networks and their teachers, one file each, all from the same few layers.

Every definition takes the Keras module to build with (Keras 3 on any backend, or tf_keras for quantization-aware
training), is one flat functional graph, and gives logits: `build(keras, size) -> Model`, input (N, size, size, 3) in
[-1, 1], output (N, 7). The same definition at another size, or in the other Keras, takes the same weights;
a module whose network cannot take any size says which as SIZES, the least and the most.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from fer_edge.edge.errors import ModelError
from fer_edge.train.architectures import (
    efficientnet_b0,
    face_resnet,
    inception_resnet_v1,
    mobilenet,
    mobilenet_v2,
    se_mobilenet_v2,
    se_resnet18,
    vgg,
)

ARCHITECTURES: dict[str, ModuleType] = {
    "mobilenet_v2": mobilenet_v2,
    "se_mobilenet_v2": se_mobilenet_v2,
    "efficientnet_b0": efficientnet_b0,
    # teachers: too large for a device; the latter two are trained from nothing on the pictures as they are
    "mobilenet": mobilenet,
    "face_resnet": face_resnet,
    "inception_resnet_v1": inception_resnet_v1,
    "se_resnet18": se_resnet18,
    "vgg": vgg,
}


def architecture(name: str) -> ModuleType:
    """The module that defines the named network; ModelError names the ones there are."""
    if name not in ARCHITECTURES:
        raise ModelError(f"unknown architecture '{name}'; expected one of {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]


def size(name: str) -> int:
    """The side of the named network's input, pixels."""
    return int(architecture(name).SIZE)


def build(name: str, keras: Any, side: int | None = None) -> Any:
    """The named network with random weights, input (N, side, side, 3), its own size unless another is given.

    ModelError where it takes no such size.
    """
    defined, side = architecture(name), side or size(name)
    least, most = getattr(defined, "SIZES", (32, 299))
    if not least <= side <= most:
        wanted = f"{least}" if least == most else f"{least} to {most}"
        raise ModelError(f"{name} takes pictures of {wanted} px; given {side}")
    return defined.build(keras, side)


def top_layers(name: str, model: Any) -> list[Any]:
    """The layers of the top blocks and the head: what the second phase trains first."""
    names = [layer.name for layer in model.layers]
    return list(model.layers[names.index(architecture(name).TOP_FROM) :])


def head_layers(model: Any) -> list[Any]:
    """The layers behind the backbone: what the warm-up trains."""
    return [layer for layer in model.layers if layer.name.startswith("head_")]
