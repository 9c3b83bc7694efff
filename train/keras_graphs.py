"""Keras models of others: load them, and rebuild their graph flat, for this project's input and for logits."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fer_edge.edge.errors import ModelError, shortened

Emit = Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]
"""Called with an operation of a graph and its arguments in the new graph; returns its output there."""

PROBABILITIES = ("softmax", "sigmoid")
"""Last activations that make probabilities of logits."""


def load_keras(path: Path) -> Any:
    """Load a .keras or .h5 file of Keras.

    Args:
        path: The file.

    Returns:
        The model, not compiled.

    Raises:
        ModelError: Keras cannot load it.
    """
    from fer_edge.train.backend import keras

    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises ValueError, OSError, TypeError, KeyError or BadZipFile
        reason = (str(error).splitlines() or ["damaged"])[0][:160]
        raise ModelError(f"{path} cannot be loaded by Keras: {reason}") from None


def check_shapes(model: Any, path: Path | str) -> None:
    """Check that a model maps square pictures to one value for each class.

    Args:
        model: A Keras model.
        path: Where it comes from, for the error message.

    Raises:
        ModelError: It maps something else.
    """
    inputs, outputs = getattr(model, "input_shape", None), getattr(model, "output_shape", None)
    pictures = isinstance(inputs, tuple) and len(inputs) == 4 and inputs[1] == inputs[2] and inputs[3] in (1, 3)
    if not (pictures and isinstance(outputs, tuple) and len(outputs) == 2 and isinstance(outputs[1], int)):
        raise ModelError(
            f"{path} maps {inputs} to {outputs}; expected pictures (None, S, S, 3) to logits (None, C) of C classes"
        )


def rebuild(model: Any, image: Any, emit: Emit) -> Any:
    """Walk through a model's graph in the order of its calls, and through those of the models in it.

    Args:
        model: A functional or sequential model of Keras 3 with one input and one output.
        image: What stands for its input.
        emit: Called with each operation but inputs and models.

    Returns:
        What stands for its output.

    Raises:
        ModelError: The model has no graph, or several inputs or outputs.
    """
    graph = getattr(model, "_functional", None) or model
    depths = getattr(graph, "_nodes_by_depth", None)
    if depths is None or len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise ModelError(f"{model.name} is no functional or sequential Keras model with one input and one output")
    tensors = {id(graph.inputs[0]): image}
    for depth in sorted(depths, reverse=True):
        for node in depths[depth]:
            if node.is_input:
                continue
            args, values = node.arguments.fill_in(tensors)
            operation = node.operation
            inner = hasattr(operation, "layers")  # training=False of its call is for the trainings of its maker
            result = rebuild(operation, args[0], emit) if inner else emit(operation, args, values)
            tensors[id(node.outputs[0])] = result
    return tensors[id(graph.outputs[0])]


def final_activation(model: Any) -> str | None:
    """The name of the activation that a model ends in, as far as its graph says: 'softmax', 'relu', …; or None."""
    names = [_activation(operation) for operation in _tail(model)]
    return next((name for name in names if name not in ("", "linear")), None)


def begins_with_rescaling(model: Any) -> bool:
    """Whether a model's first layer is a Rescaling, as that of a model for gray values of 0..255."""
    return _operations(model)[0].__class__.__name__ == "Rescaling"


def with_logits(model: Any, name: str) -> Any:
    """A copy of a model of others for pictures in [-1, 1] and logits, with its weights.

    A Rescaling at the start, which expects gray values of 0..255, gets other factors, or is left out where nothing is
    left for it to do. Softmax or sigmoid at the end are left out.

    Args:
        model: A functional or sequential model of Keras 3.
        name: The copy's name.

    Returns:
        A functional model without models inside.

    Raises:
        ModelError: The graph cannot be rebuilt.
    """
    tail, first = _tail(model), _operations(model)[0]

    def change(operation: Any) -> dict[str, Any] | None:
        if operation is first and operation.__class__.__name__ == "Rescaling":
            factors = _rescaling(operation)
            return None if np.all(np.equal(factors["scale"], 1)) and not np.any(factors["offset"]) else factors
        if operation in tail and _activation(operation) in PROBABILITIES:
            return {"activation": "linear"} if operation.__class__.__name__ == "Dense" else None
        return {}

    return _rebuilt(model, name, change)


def with_head(model: Any, classes: int, name: str) -> Any:
    """A copy of a model with a head for other classes, of random weights, and its own weights otherwise.

    Args:
        model: A functional or sequential model of Keras 3 to logits.
        classes: Number of classes; the head stays where it has as many outputs.
        name: The copy's name.

    Returns:
        A functional model without models inside.

    Raises:
        ModelError: The graph cannot be rebuilt, or does not end in a Dense layer.
    """
    head, outputs = _tail(model)[-1], int(model.output_shape[1])
    if outputs != classes and head.__class__.__name__ != "Dense":
        raise ModelError(
            f"{model.name} ends in {head.name}, a {head.__class__.__name__}, with {outputs} outputs; expected a Dense "
            f"layer, which can be replaced by one for {classes} classes"
        )
    changes = {"units": classes, "name": "head_logits"} if outputs != classes else {}
    return _rebuilt(model, name, lambda operation: changes if operation is head else {})


def _rebuilt(model: Any, name: str, change: Callable[[Any], dict[str, Any] | None]) -> Any:
    """A flat copy of a model with its weights.

    change: returns the settings of a layer that differ, or None for one that is left out. One with another number of
    units keeps no weights.
    """
    from fer_edge.train.backend import keras

    copies: dict[int, Any] = {}
    names: set[str] = set()

    def emit(operation: Any, args: tuple[Any, ...], values: dict[str, Any]) -> Any:
        changes = change(operation)
        if changes is None:
            return args[0]
        if id(operation) not in copies:
            copies[id(operation)] = _copy(operation, changes, names)
        return copies[id(operation)](*args, **values)

    image = keras.Input(model.input_shape[1:], name="image")
    try:
        result = keras.Model(image, rebuild(model, image, emit), name=name)
    except ModelError:
        raise
    except Exception as error:  # a layer of somebody's own without get_config, or a graph that no one thought of
        raise ModelError(f"{model.name} cannot be rebuilt: {shortened(error, 160)}") from None
    for operation in _operations(model):
        copy = copies.get(id(operation))
        if copy is not None and getattr(copy, "weights", None) and "units" not in (change(operation) or {}):
            copy.set_weights(operation.get_weights())
    return result


def _operations(model: Any) -> list[Any]:
    """A model's operations in the order of their calls."""
    operations: list[Any] = []
    rebuild(model, None, lambda operation, args, values: operations.append(operation))
    if not operations:
        raise ModelError(f"{model.name} has no layers")
    return operations


def _tail(model: Any) -> list[Any]:
    """The last operations, from the end: activations, and the layer before them."""
    tail: list[Any] = []
    for operation in reversed(_operations(model)):
        tail.append(operation)
        if operation.__class__.__name__ not in ("Activation", "Softmax", "Sigmoid"):
            break
    return tail


def _activation(operation: Any) -> str:
    kind = operation.__class__.__name__
    if kind in ("Softmax", "Sigmoid"):
        return kind.lower()
    return str(getattr(getattr(operation, "activation", None), "__name__", ""))


def _copy(operation: Any, changes: dict[str, Any], names: set[str]) -> Any:
    """A new operation with the same configuration, except for the changes and, where it is taken, the name."""
    config = {**operation.get_config(), **changes}
    name = base = str(config.get("name", operation.name))
    count = 1
    while name in names:
        count += 1
        name = f"{base}_{count}"
    names.add(name)
    if "name" in config:
        config["name"] = name
    return operation.__class__.from_config(config)


def _rescaling(layer: Any) -> dict[str, Any]:
    """Factors for pictures in [-1, 1], of a layer for gray values of 0..255."""
    scale, offset = np.asarray(layer.scale, np.float64), np.asarray(layer.offset, np.float64)
    return {"scale": (127.5 * scale).round(9).tolist(), "offset": (127.5 * scale + offset).round(9).tolist()}


def network_name(text: str) -> str:
    """A name for a network from that of a file: letters, digits and underscores."""
    return re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_")[:60] or "network"
