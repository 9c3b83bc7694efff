"""Where the float network comes from: a name, a run folder, or a file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras

from fer_edge.edge.errors import ModelError
from fer_edge.edge.expression.model_spec import FLOAT_KINDS, MODEL_NAMES, parse_model_spec
from fer_edge.edge.tflite.card import sha256
from fer_edge.train.data.arrays import read_arrays
from fer_edge.train.networks import open_network
from fer_edge.train.weights import assemble, read_half

ALIKE = 1e-3
"""By what part of the largest logit two Kerases may differ about the same weights."""


@dataclass(frozen=True, eq=False)
class Source:
    """A float network in tf_keras, the architecture's name, its file with its sha256, what is known of its training."""

    name: str
    path: Path
    model: Any
    training: dict[str, Any]
    digest: str = ""


def open_source(what: str, runs: Path) -> Source:
    """NAME (runs/NAME), a run folder, a .keras file, or a .npz file of weights or of a checkpoint.

    Raises ModelError where there is no such network, or the file holds another one.
    """
    spec = parse_model_spec(what, FLOAT_KINDS, runs)
    path = spec.path
    if not path.is_file():
        raise ModelError(f"{path}: no such file; train the network first with 'fer-edge train'")
    name, model = _from_keras(path) if spec.kind == "keras" else _from_arrays(path)
    if name not in MODEL_NAMES:
        raise ModelError(f"{path} holds {name}, which no device runs; expected one of {', '.join(MODEL_NAMES)}")
    return Source(name, path, model, _training(path.parent / "metrics.json"), sha256(path))


def _from_keras(path: Path) -> tuple[str, Any]:
    """A Keras 3 file: tf_keras cannot read it, but takes its weights in the same order.

    The graph is the one that is defined here today; ModelError where the file's says something else with them.
    """
    stored = open_network(path)
    model = assemble(stored.name, stored.get_weights(), path, tf_keras, int(stored.input_shape[1]))
    views = np.random.default_rng(0).uniform(-1, 1, (4, *stored.input_shape[1:])).astype(np.float32)
    said, says = (np.asarray(each.predict(views, verbose=0)) for each in (stored, model))
    if np.abs(said - says).max() > ALIKE * max(1.0, float(np.abs(said).max())):
        raise ModelError(f"{path} is a {stored.name} of another definition than today's; train it with this version")
    return stored.name, model


def _from_arrays(path: Path) -> tuple[str, Any]:
    """Weights alone, as save_half left them, or the best ones of a training checkpoint."""
    checkpoint = _checkpoint(path)
    name, values = checkpoint if checkpoint else read_half(path)
    return name, assemble(name, values, path, tf_keras)


def _checkpoint(path: Path) -> tuple[str, list[Any]] | None:
    """The network and best weights of a training checkpoint; None where it is none."""
    arrays = read_arrays(path, "weights or a checkpoint that training wrote")
    try:
        name = str(json.loads(arrays["about"].tobytes())["name"])
    except (KeyError, TypeError, ValueError):
        return None  # read_half says what it is instead
    group = "best/" if "best/00000" in arrays else "weights/"
    return name, [arrays[key] for key in sorted(arrays) if key.startswith(group)]


def _training(metrics: Path) -> dict[str, Any]:
    try:
        stored = json.loads(metrics.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return {key: stored[key] for key in ("recipe", "weights", "data", "keras", "backend", "date") if key in stored}
