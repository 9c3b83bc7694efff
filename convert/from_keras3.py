"""A Keras 3 model rebuilt in tf_keras, layer by layer, for quantization-aware training; or why that cannot be."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import tf_keras

from fer_edge.edge.errors import ModelError, shortened
from fer_edge.train.keras_graphs import rebuild

TOLERANCE = 1e-3
"""By what share of the largest logit Keras 3 and tf_keras may differ with the same weights."""

_TRAINING = ("initializer", "regularizer", "constraint", "dtype", "quantization", "autocast")
"""Parts of the names of a layer's settings that matter to its training alone, or are Keras 3's."""


def to_tf_keras(model: Any) -> Any:
    """Rebuild a functional or sequential Keras 3 model in tf_keras, with its weights.

    Args:
        model: The Keras 3 model.

    Returns:
        A functional tf_keras model of the same name that computes the same function.

    Raises:
        ModelError: A layer has none of its name in tf_keras, or computes something else there.
    """
    copies: dict[int, tuple[Any, Any]] = {}

    def emit(operation: Any, args: tuple[Any, ...], values: dict[str, Any]) -> Any:
        if id(operation) not in copies:
            copies[id(operation)] = operation, _copy(operation)
        kept = {key: value for key, value in values.items() if key not in ("training", "mask")}
        return copies[id(operation)][1](*args, **kept)

    image = tf_keras.layers.Input(model.input_shape[1:], name="image")
    try:
        result = tf_keras.Model(image, rebuild(model, image, emit), name=model.name)
        for operation, copy in copies.values():
            if operation.weights:
                copy.set_weights(operation.get_weights())
    except ModelError:
        raise
    except Exception as error:  # Keras and TensorFlow raise almost anything
        raise ModelError(f"{model.name} cannot be rebuilt in tf_keras: {shortened(error, 160)}") from None
    check_same(model, result, model.name)
    return result


def check_same(model: Any, other: Any, what: object) -> None:
    """Check that two models compute the same.

    Args:
        model: A Keras model.
        other: Another one of the same input.
        what: What they are of, for the error message.

    Raises:
        ModelError: Their logits differ.
    """
    views = np.random.default_rng(0).uniform(-1, 1, (4, *model.input_shape[1:])).astype(np.float32)
    expected, logits = (np.asarray(each.predict(views, verbose=0)) for each in (model, other))
    if np.abs(expected - logits).max() > TOLERANCE * max(1.0, float(np.abs(expected).max())):
        raise ModelError(f"{what} computes something else in tf_keras")


def _copy(operation: Any) -> Any:
    """The layer of tf_keras with the same settings. Raises ModelError where there is none."""
    kind = operation.__class__.__name__
    layer = getattr(tf_keras.layers, kind, None)
    own = not operation.__class__.__module__.startswith("keras.")
    if layer is None or own or not hasattr(operation, "weights"):
        raise ModelError(f"layer {operation.name} is a {kind}, which tf_keras has not")
    known = inspect.signature(layer.__init__).parameters
    config = {key: value for key, value in operation.get_config().items() if key in known or key == "name"}
    config = {key: value for key, value in config.items() if not any(part in key for part in _TRAINING)}
    if isinstance(config.get("activation"), dict):
        raise ModelError(f"layer {operation.name} has the activation {_activation(operation)}, which tf_keras has not")
    return layer.from_config(config)


def _activation(operation: Any) -> str:
    return str(getattr(operation.activation, "__name__", operation.activation))
