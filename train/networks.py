"""Open and run models of either kind, float Keras or TFLite; Keras is imported for the former only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import ModelError
from fer_edge.edge.expression.classifier import open_member
from fer_edge.edge.expression.ensemble import read_temperature
from fer_edge.edge.expression.model_spec import FLOAT_KINDS, parse_model_spec
from fer_edge.edge.preprocess import network_input
from fer_edge.train.data.class_order import class_order
from fer_edge.train.evaluation.predictions import LogitsFunction


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
        """(N, 48, 48) uint8 faces to (N, C) float32 logits."""
        return predict_logits(self.model, faces)


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
    spec_of = parse_model_spec(spec, ("tflite", *FLOAT_KINDS))
    model = open_member(spec_of.path, threads)[0] if spec_of.kind == "tflite" else open_network(spec_of.path)
    order = class_order(model.classes, classes, spec)
    return lambda faces: model.logits(faces)[:, order]


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
    try:
        if spec.kind == "npz":
            stored = read_half(path)
            return KerasNetwork(assemble(stored, path, keras), stored.classes)
        network = keras.models.load_model(path, compile=False)
    except ModelError:
        raise
    except Exception as error:  # Keras raises ValueError, OSError, TypeError, KeyError or BadZipFile
        reason = (str(error).splitlines() or ["damaged"])[0][:160]
        raise ModelError(f"{path} cannot be loaded by Keras: {reason}") from None
    inputs, outputs = getattr(network, "input_shape", None), getattr(network, "output_shape", None)
    pictures = isinstance(inputs, tuple) and len(inputs) == 4 and inputs[1] == inputs[2] and inputs[3] in (1, 3)
    if not pictures or not (isinstance(outputs, tuple) and len(outputs) == 2 and isinstance(outputs[1], int)):
        raise ModelError(
            f"{path} maps {inputs} to {outputs}; expected pictures (None, S, S, 3) to logits (None, C) of C classes"
        )
    check_finite(network.get_weights(), path)
    return KerasNetwork(network, checked_classes(path, read_classes(path), outputs[1]))


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
