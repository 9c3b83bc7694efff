"""The float network to convert, from a name, a run folder or a file, rebuilt in tf_keras."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tf_keras

from fer_edge.convert.from_keras3 import check_same, to_tf_keras
from fer_edge.edge.errors import ModelError
from fer_edge.edge.expression.model_spec import FLOAT_KINDS, parse_model_spec
from fer_edge.edge.files.documents import parse_json, read_json
from fer_edge.edge.tflite.card import sha256
from fer_edge.train.architectures import ARCHITECTURES, QUANTIZABLE
from fer_edge.train.backend import keras
from fer_edge.train.data.arrays import read_arrays
from fer_edge.train.keras_graphs import network_name
from fer_edge.train.networks import KerasNetwork, open_network
from fer_edge.train.own_architectures import own_architecture, remembered
from fer_edge.train.stored_classes import checked_classes
from fer_edge.train.weights import StoredWeights, assemble, read_half

_TRAINING = (
    "architecture",
    "recipe",
    "weights",
    "data",
    "data_name",
    "weights_data",
    "licence",
    "keras",
    "backend",
    "date",
)
"""What a card takes from a run's metrics.json."""


@dataclass(frozen=True, eq=False)
class FloatNetwork:
    """A trained float network in tf_keras.

    Attributes:
        architecture: The architecture's name, one of QUANTIZABLE or of the user's own.
        path: The file that it came from.
        model: The functional tf_keras model, (N, S, S, 1 or 3) float32 in [-1, 1] to (N, C) logits; where `refusal`
            says why there is none, the Keras 3 model.
        classes: (C,) names of its classes, in the order of the logits.
        training: What the run's metrics.json says of its training; empty where there is none.
        sha256: The file's sha256.
        own: Whether the network is not one of the package's.
        refusal: Why the network cannot be rebuilt in tf_keras; empty where it is.
    """

    architecture: str
    path: Path
    model: Any
    classes: tuple[str, ...]
    training: dict[str, Any]
    sha256: str = ""
    own: bool = False
    refusal: str = ""

    def companion(self, suffix: str) -> Path:
        """The path of a file that belongs to the network's: `float_finetuned.npz` in the folder of `float.npz`."""
        return self.path.with_name(f"{self.path.stem}_{suffix}")


def open_float_network(name: str, runs: Path) -> FloatNetwork:
    """Open a float network.

    Args:
        name: An architecture's name (for RUNS/NAME), a run folder, a .keras or .h5 file, or a .npz file of weights or
            of a training checkpoint.
        runs: The folder of the run folders.

    Returns:
        The network, in tf_keras where it can be.

    Raises:
        ModelError: There is no such network, or the file holds another one than the devices run.
    """
    spec = parse_model_spec(name, FLOAT_KINDS, runs)
    path = spec.path
    if not path.is_file():
        raise ModelError(f"{path}: no such file; train the network first with 'fer-edge train'")
    training = _training(path.parent / "metrics.json")
    with remembered(path.parent):
        original = open_network(path) if spec.kind == "keras" else None
        stored = _stored(original) if original else _checkpoint(path) or read_half(path)
        name, common = stored.architecture, (path, stored.classes, training, sha256(path))
        if name not in ARCHITECTURES or own_architecture(name):
            return _own_network(name, original.model if original else assemble(stored, path, keras), *common)
        if name not in QUANTIZABLE:
            raise ModelError(f"{path} is a {name}, which no device runs; expected one of {', '.join(QUANTIZABLE)}")
        model = assemble(stored, path, tf_keras, int(original.model.input_shape[1]) if original else None)
    if original:
        _check_definition(original.model, model, path)
    return FloatNetwork(name, path, model, *common[1:])


def _own_network(
    name: str, model: Any, path: Path, classes: tuple[str, ...], training: dict[str, Any], digest: str
) -> FloatNetwork:
    """A network of the user's own, which tf_keras may or may not be able to hold."""
    if keras.backend.backend() != "tensorflow":
        raise ModelError(f"{path}: a network of your own is converted with KERAS_BACKEND=tensorflow alone")
    try:
        other, refusal = to_tf_keras(model), ""
    except ModelError as error:
        other, refusal = model, str(error)
    return FloatNetwork(network_name(name), path, other, classes, training, digest, own=True, refusal=refusal)


def _stored(network: KerasNetwork) -> StoredWeights:
    """The weights of a Keras 3 file, which tf_keras cannot read; it takes them in the same order."""
    return StoredWeights(network.model.name, network.classes, network.model.get_weights())


def _check_definition(original: Any, model: Any, path: Path) -> None:
    """ModelError where a stored model computes something else than this version's definition with its weights."""
    try:
        check_same(original, model, path)
    except ModelError:
        raise ModelError(
            f"{path} is a {original.name} of another definition than this version's; train it again"
        ) from None


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
    return {key: stored[key] for key in _TRAINING if key in stored}
