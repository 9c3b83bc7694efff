"""A network rebuilt like the integer graph, so that every int8 tensor is the output of a layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tf_keras

from fer_edge.edge.errors import ModelError

IMAGE = "image_int8"
"""The name of the layer whose output is the quantized input."""

SUPPORTED_LAYERS = (
    "Activation", "Add", "BatchNormalization", "Borders", "Concatenate", "Conv2D", "Dense", "DepthwiseConv2D",
    "Dropout", "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalMaxPooling1D", "GlobalMaxPooling2D",
    "InputLayer", "MaxPooling2D", "Multiply", "ReLU", "Reshape", "ZeroPadding2D",
)  # fmt: skip


class FrozenNorm(tf_keras.layers.BatchNormalization):
    """Batch norm with frozen statistics: a gain and an offset per channel, which still train.

    With statistics from fake-quantized batches, which lag behind the weights, fine-tuning was worse than none.
    """

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        """(N, H, W, C) to the same shape, in training too with the stored statistics."""
        return super().call(inputs, training=False)


def decompose(model: Any) -> Any:
    """Rebuild a network from layers of one integer operation each, without dropout.

    swish becomes a sigmoid and a Multiply, and a fused sigmoid becomes a layer of its own, as TFLite computes them:
    each intermediate result is an 8-bit tensor that needs a range.

    Args:
        model: A functional tf_keras model.

    Returns:
        A new tf_keras model that computes the same function.

    Raises:
        ModelError: A layer or an activation has no rule here.
    """
    for layer in model.layers:
        kind = layer.__class__.__name__
        if kind not in SUPPORTED_LAYERS:
            raise ModelError(f"layer {layer.name} is a {kind}; expected one of {', '.join(SUPPORTED_LAYERS)}")
    return rebuild(model, _decompose_layer)


def wrap_layers(model: Any, wrap: Callable[[Any], Any]) -> Any:
    """A copy of a decomposed model in which every layer but the input is wrap(its copy)."""
    return rebuild(model, lambda layer, inputs: _call(wrap(copy_layer(layer)), inputs))


def producer(tensor: Any) -> Any:
    """The layer whose output a functional tensor is, in Keras 3 or tf_keras."""
    history = tensor._keras_history
    return getattr(history, "layer", None) or history.operation


def producers(layer: Any) -> list[Any]:
    """The layers whose outputs a layer takes, in their order."""
    return [producer(tensor) for tensor in (layer.input if isinstance(layer.input, list) else [layer.input])]


def consumers(layer: Any) -> list[Any]:
    """The layers that take a layer's output."""
    return [node.outbound_layer for node in layer._outbound_nodes]


def copy_layer(layer: Any, **changes: Any) -> Any:
    """A new layer with the same configuration, except for the changes, and the same weights."""
    kind = FrozenNorm if layer.__class__.__name__ == "BatchNormalization" else layer.__class__
    new = kind.from_config({**layer.get_config(), **changes})
    if layer.weights:
        new.build(layer.input_shape)
        new.set_weights(layer.get_weights())
    return new


def rebuild(model: Any, emit: Callable[[Any, list[Any]], Any], shape: tuple[int, ...] | None = None) -> Any:
    """Rebuild a functional tf_keras model layer by layer.

    Args:
        model: The model to rebuild.
        emit: Called with each layer but the input and its inputs' tensors in the new model; returns its output tensor.
        shape: The new input shape without the batch axis; None keeps it.

    Returns:
        The new model.
    """
    tensors: dict[str, Any] = {}
    for layer in model.layers:
        if layer.__class__.__name__ == "InputLayer":
            image = tensors[layer.name] = tf_keras.layers.Input(shape or layer.input_shape[0][1:], name=layer.name)
            continue
        tensors[layer.name] = emit(layer, [tensors[entry.name] for entry in producers(layer)])
    return tf_keras.Model(image, tensors[model.layers[-1].name], name=model.name)


def _decompose_layer(layer: Any, inputs: list[Any]) -> Any:
    """The output of a layer in the decomposed model."""
    kind, layers = layer.__class__.__name__, tf_keras.layers
    activation = getattr(getattr(layer, "activation", None), "__name__", "")
    if producer(inputs[0]).__class__.__name__ == "InputLayer":
        inputs = [layers.Activation("linear", name=IMAGE)(inputs[0])]
    if kind == "Dropout":
        return inputs[0]
    if kind == "Conv2D" and activation == "sigmoid":
        x = copy_layer(layer, activation="linear")(inputs[0])
        return layers.Activation("sigmoid", name=f"{layer.name}_sigmoid")(x)
    if kind == "Activation" and activation in ("swish", "silu"):
        gate = layers.Activation("sigmoid", name=f"{layer.name}_sigmoid")(inputs[0])
        return layers.Multiply(name=layer.name)([inputs[0], gate])
    if activation not in ("", "linear", "relu", "sigmoid"):
        raise ModelError(f"layer {layer.name} has the activation {activation}; expected relu, sigmoid or swish")
    return _call(copy_layer(layer), inputs)


def _call(layer: Any, inputs: list[Any]) -> Any:
    return layer(inputs if len(inputs) > 1 else inputs[0])
