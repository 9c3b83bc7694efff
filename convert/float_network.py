"""The float network to convert, from a name, a run folder or a file, rebuilt in tf_keras."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras

from fer_edge.edge.errors import ModelError
from fer_edge.edge.expression.model_spec import FLOAT_KINDS, parse_model_spec
from fer_edge.edge.files.documents import parse_json, read_json
from fer_edge.edge.tflite.card import sha256
from fer_edge.train.architectures import QUANTIZABLE
from fer_edge.train.data.arrays import read_arrays
from fer_edge.train.networks import open_network
from fer_edge.train.stored_classes import checked_classes
from fer_edge.train.weights import StoredWeights, assemble, read_half

TOLERANCE = 1e-3
"""By what share of the largest logit Keras 3 and tf_keras may differ with the same weights."""


@dataclass(frozen=True, eq=False)
class FloatNetwork:
    """A trained float network in tf_keras.

    Attributes:
        architecture: The architecture's name, one of QUANTIZABLE.
        path: The file that it came from.
        model: The functional tf_keras model, (N, S, S, 3) float32 in [-1, 1] to (N, C) logits.
        classes: (C,) names of its classes, in the order of the logits.
        training: What the run's metrics.json says of its training; empty where there is none.
        sha256: The file's sha256.
    """

    architecture: str
    path: Path
    model: Any
    classes: tuple[str, ...]
    training: dict[str, Any]
    sha256: str = ""

    def companion(self, suffix: str) -> Path:
        """The path of a file that belongs to the network's: `float_finetuned.npz` in the folder of `float.npz`."""
        return self.path.with_name(f"{self.path.stem}_{suffix}")


def open_float_network(name: str, runs: Path) -> FloatNetwork:
    """Open a float network.

    Args:
        name: An architecture's name (for RUNS/NAME), a run folder, a .keras file, or a .npz file of weights or of a
            training checkpoint.
        runs: The folder of the run folders.

    Returns:
        The network in tf_keras.

    Raises:
        ModelError: There is no such network, or the file holds another one than the devices run.
    """
    spec = parse_model_spec(name, FLOAT_KINDS, runs)
    path = spec.path
    if not path.is_file():
        raise ModelError(f"{path}: no such file; train the network first with 'fer-edge train'")
    stored, model = _from_keras(path) if spec.kind == "keras" else _from_arrays(path)
    if stored.architecture not in QUANTIZABLE:
        expected = ", ".join(QUANTIZABLE)
        raise ModelError(f"{path} is a {stored.architecture}, which no device runs; expected one of {expected}")
    training = _training(path.parent / "metrics.json")
    return FloatNetwork(stored.architecture, path, model, stored.classes, training, sha256(path))


def _from_keras(path: Path) -> tuple[StoredWeights, Any]:
    """The network of a Keras 3 file, which tf_keras cannot read; it takes the weights in the same order.

    The architecture is the one defined in this version. Raises ModelError where the stored model computes something
    else with these weights.
    """
    network = open_network(path)
    original = network.model
    stored = StoredWeights(original.name, network.classes, original.get_weights())
    model = assemble(stored, path, tf_keras, int(original.input_shape[1]))
    views = np.random.default_rng(0).uniform(-1, 1, (4, *original.input_shape[1:])).astype(np.float32)
    expected, logits = (np.asarray(each.predict(views, verbose=0)) for each in (original, model))
    if np.abs(expected - logits).max() > TOLERANCE * max(1.0, float(np.abs(expected).max())):
        raise ModelError(f"{path} is a {original.name} of another definition than this version's; train it again")
    return stored, model


def _from_arrays(path: Path) -> tuple[StoredWeights, Any]:
    """Weights alone, as save_half wrote them, or the best weights of a training checkpoint."""
    stored = _checkpoint(path) or read_half(path)
    return stored, assemble(stored, path, tf_keras)


def _checkpoint(path: Path) -> StoredWeights | None:
    """The best weights of a training checkpoint; None where the file is none."""
    arrays = read_arrays(path, "weights or a checkpoint that training wrote")
    try:
        about = parse_json(arrays["about"].tobytes())
        architecture, names = str(about["name"]), about.get("classes")
        group = "best/" if "best/00000" in arrays else "weights/"
        values = [arrays[key] for key in sorted(arrays) if key.startswith(group)]
        classes = checked_classes(path, None if names is None else tuple(names), values[-1].size)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        return None  # read_half says what it is instead
    return StoredWeights(architecture, classes, values)


def _training(metrics: Path) -> dict[str, Any]:
    """What a run's metrics.json says of the training."""
    try:
        stored = read_json(metrics)
    except (OSError, ValueError):
        return {}
    if not isinstance(stored, dict):
        return {}
    keys = ("recipe", "weights", "data", "data_name", "weights_data", "licence", "keras", "backend", "date")
    return {key: stored[key] for key in keys if key in stored}
