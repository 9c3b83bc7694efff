"""A network rebuilt as the integer graph will have it, so that every int8 tensor is some layer's output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tf_keras

from fer_edge.convert.equalize import producer
from fer_edge.edge.errors import ModelError

IMAGE = "image_int8"
"""The layer that stands for the quantized input."""

KNOWN = (
    "Activation", "Add", "BatchNormalization", "Borders", "Conv2D", "Dense", "DepthwiseConv2D", "Dropout",
    "GlobalAveragePooling2D", "InputLayer", "Multiply", "ReLU", "ZeroPadding2D",
)  # fmt: skip


class FrozenNorm(tf_keras.layers.BatchNormalization):
    """Batch norm with its statistics held: a per-channel gain and offset that still train.

    Statistics gathered from fake-quantized batches lag behind the weights and made fine-tuning worse than none.
    """

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        """(N, H, W, C) to the same shape, with the stored statistics in training too."""
        return super().call(inputs, training=False)


def unfold(model: Any) -> Any:
    """The same function from tf_keras layers of one integer operation each, without dropout.

    swish becomes sigmoid and Multiply and a fused sigmoid a layer of its own, as TFLite computes them: each
    intermediate result is a tensor of 8 bits that wants a range. Raises ModelError for a layer that has no rule here.
    """
    for layer in model.layers:
        if layer.__class__.__name__ not in KNOWN:
            raise ModelError(f"layer {layer.name} is a {layer.__class__.__name__}; convert knows {', '.join(KNOWN)}")
    return replay(model, _unfolded)


def rewrap(model: Any, wrap: Callable[[Any], Any]) -> Any:
    """A copy of an unfolded model, every layer but the input put through wrap(layer with its weights)."""
    return replay(model, lambda layer, inputs: _call(wrap(copied(layer)), inputs))


def consumers(layer: Any) -> list[Any]:
    """The layers that read a layer's output."""
    return [node.outbound_layer for node in layer._outbound_nodes]


def copied(layer: Any, **changes: Any) -> Any:
    """A new layer of the same configuration, built and with the same weights."""
    kind = FrozenNorm if layer.__class__.__name__ == "BatchNormalization" else layer.__class__
    new = kind.from_config({**layer.get_config(), **changes})
    if layer.weights:
        new.build(layer.input_shape)
        new.set_weights(layer.get_weights())
    return new


def replay(model: Any, emit: Callable[[Any, list[Any]], Any], shape: tuple[int, ...] | None = None) -> Any:
    """A new model of what emit(layer, its inputs) makes of every layer but the input, which may get another shape."""
    tensors: dict[str, Any] = {}
    for layer in model.layers:
        if layer.__class__.__name__ == "InputLayer":
            image = tensors[layer.name] = tf_keras.layers.Input(shape or layer.input_shape[0][1:], name=layer.name)
            continue
        entries = layer.input if isinstance(layer.input, list) else [layer.input]
        tensors[layer.name] = emit(layer, [tensors[producer(entry).name] for entry in entries])
    return tf_keras.Model(image, tensors[model.layers[-1].name], name=model.name)


def _unfolded(layer: Any, inputs: list[Any]) -> Any:
    kind, layers = layer.__class__.__name__, tf_keras.layers
    activation = getattr(getattr(layer, "activation", None), "__name__", "")
    if producer(inputs[0]).__class__.__name__ == "InputLayer":
        inputs = [layers.Activation("linear", name=IMAGE)(inputs[0])]
    if kind == "Dropout":
        return inputs[0]
    if kind == "Conv2D" and activation == "sigmoid":
        x = copied(layer, activation="linear")(inputs[0])
        return layers.Activation("sigmoid", name=f"{layer.name}_sigmoid")(x)
    if kind == "Activation" and activation in ("swish", "silu"):
        gate = layers.Activation("sigmoid", name=f"{layer.name}_sigmoid")(inputs[0])
        return layers.Multiply(name=layer.name)([inputs[0], gate])
    if activation not in ("", "linear", "relu", "sigmoid"):
        raise ModelError(f"layer {layer.name} has the activation {activation}; convert knows relu, sigmoid and swish")
    return _call(copied(layer), inputs)


def _call(layer: Any, inputs: list[Any]) -> Any:
    return layer(inputs if len(inputs) > 1 else inputs[0])
