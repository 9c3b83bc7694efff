"""Open and run models of either kind, float Keras or TFLite; Keras is imported for the former only."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import ModelError
from fer_edge.edge.expression.classifier import TFLiteClassifier, open_member
from fer_edge.edge.expression.ensemble import read_temperature
from fer_edge.edge.expression.model_spec import FLOAT_KINDS, parse_model_spec
from fer_edge.edge.preprocess import network_input
from fer_edge.train.architectures import ARCHITECTURES
from fer_edge.train.data.class_order import class_order
from fer_edge.train.evaluation.predictions import LogitsFunction
from fer_edge.train.keras_graphs import (
    PROBABILITIES,
    begins_with_rescaling,
    check_shapes,
    final_activation,
    load_keras,
    with_logits,
)
from fer_edge.train.own_architectures import remembered

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class KerasNetwork:
    """A float network.

    Attributes:
        model: The Keras model, from pictures (N, S, S, 1 or 3) to logits (N, C).
        classes: (C,) names of its classes, in the order of the logits.
    """

    model: Any
    classes: tuple[str, ...]

    def logits(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, 48, 48) uint8 faces to (N, C) float32 logits; of a model that gives probabilities, their logarithms."""
        logits = predict_logits(self.model, faces)
        if np.all(logits >= 0) and np.allclose(logits.sum(axis=1), 1, atol=1e-3):
            _logger.warning(f"{self.model.name} gives probabilities: no softmax is taken of them again")
            return np.log(np.maximum(logits, np.finfo(np.float32).eps))
        return logits


def open_logits(spec: str, classes: tuple[str, ...], threads: int = 2) -> LogitsFunction:
    """A model as a function from faces to logits.

    Args:
        spec: A shipped model's name, a .tflite file with its card, a run folder, a .keras file, or weights alone (.npz)
            of a network of `train.architectures`.
        classes: (C,) names of the data's classes, in whose order the logits are.
        threads: Threads of the TFLite interpreter.

    Raises:
        ModelError: There is no such model, it cannot be loaded, or it has other classes.
    """
    return open_workers(spec, classes, threads, 1)[0]


def open_workers(spec: str, classes: tuple[str, ...], threads: int, workers: int) -> list[LogitsFunction]:
    """A model as functions from faces to logits, each for a thread of its own.

    Args:
        spec: As `open_logits` takes it.
        classes: (C,) names of the data's classes, in whose order the logits are.
        threads: Threads of each TFLite interpreter.
        workers: How often a TFLite model is opened. A float model is opened once, as Keras uses all cores by itself.

    Raises:
        ModelError: There is no such model, it cannot be loaded, or it has other classes.
    """
    spec_of = parse_model_spec(spec, ("tflite", *FLOAT_KINDS))
    models: list[TFLiteClassifier] | list[KerasNetwork]
    if spec_of.kind == "tflite":
        models = [open_member(spec_of.path, threads)[0] for _ in range(workers)]
    else:
        models = [open_network(spec_of.path)]
    order = class_order(models[0].classes, classes, spec)
    return [partial(_ordered_logits, each, order) for each in models]


def _ordered_logits(
    model: TFLiteClassifier | KerasNetwork, order: NDArray[np.intp], faces: NDArray[np.uint8]
) -> NDArray[np.float32]:
    return model.logits(faces)[:, order]


def open_network(path: Path) -> KerasNetwork:
    """Open a float network.

    Args:
        path: A run folder, a .keras file, or weights alone (.npz) of a network of `train.architectures`.

    Raises:
        ModelError: There is no such model, it cannot be loaded, it has other inputs or outputs, or it does not say what
            its classes are.
    """
    from fer_edge.train.backend import keras
    from fer_edge.train.stored_classes import checked_classes, read_classes
    from fer_edge.train.weights import assemble, check_finite, read_half

    spec = parse_model_spec(str(path), FLOAT_KINDS)
    path = spec.path
    if not path.is_file():
        raise ModelError(f"{path}: no such model; expected a .keras or .npz file as 'fer-edge train' writes it")
    with remembered(path.parent):
        if spec.kind == "npz":
            stored = read_half(path)
            return KerasNetwork(assemble(stored, path, keras), stored.classes)
        network = load_keras(path)
    check_shapes(network, path)
    check_finite(network.get_weights(), path)
    names = read_classes(path)
    classes = checked_classes(path, names, network.output_shape[1])
    if names is None and network.name not in ARCHITECTURES:  # of others: training names the classes
        _logger.warning(f"{path} does not name its classes: taken for {', '.join(classes)}, in this order")
        network = _with_logits(network, path)
    return KerasNetwork(network, classes)


def _with_logits(network: Any, path: Path) -> Any:
    """A model of others for pictures in [-1, 1] and logits: a last softmax is left out, with a warning.

    It would be taken twice otherwise, and scores would be nearly equal.
    """
    try:
        activation, rescales = final_activation(network), begins_with_rescaling(network)
    except ModelError:  # of a class of its own: it is run as it is
        return network
    probabilities = activation in PROBABILITIES
    if probabilities:
        _logger.warning(f"{path} ends in {activation}: it is left out, and taken once, after its logits")
    if rescales:
        _logger.info(f"{path} begins with a Rescaling: it gets gray values of 0..255")
    return with_logits(network, network.name) if probabilities or rescales else network


@contextmanager
def dtype_policy(policy: str) -> Iterator[None]:
    """Layers that are built inside the block compute by this Keras policy; weights stay float32."""
    from fer_edge.train.backend import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def predict_logits(model: Any, faces: NDArray[np.uint8], batch: int = 128) -> NDArray[np.float32]:
    """Run a Keras model on faces, at its own input size and channels.

    Args:
        model: A Keras model to logits (N, C).
        faces: (N, 48, 48) uint8 gray.
        batch: Faces per call.

    Returns:
        (N, C) float32 logits.
    """
    from fer_edge.train.backend import keras

    shape = model.input_shape[2:]
    parts = [
        np.asarray(keras.ops.convert_to_numpy(model.predict_on_batch(network_input(faces[i : i + batch], *shape))))
        for i in range(0, len(faces), batch)
    ]
    return np.concatenate(parts).astype(np.float32)


def temperature(spec: str) -> float:
    """The temperature that calibrates a model by itself; 1 for float models."""
    model = parse_model_spec(spec, ("tflite", *FLOAT_KINDS))
    return read_temperature(model.path) if model.kind == "tflite" else 1.0
