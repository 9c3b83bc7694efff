"""Models of either kind, float Keras or TFLite, on a labelled split; Keras is imported for the former only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import ModelError
from fer_edge.edge.expression.cascade import Cascade, run_cascade
from fer_edge.edge.expression.classifier import open_member
from fer_edge.edge.expression.ensemble import temperature_alone
from fer_edge.edge.expression.model_spec import FLOAT_KINDS, parse_model_spec
from fer_edge.edge.expression.scores import fuse
from fer_edge.edge.terminal import progress_bar
from fer_edge.edge.types import EMOTIONS

_BATCH = 256  # pictures between two steps of progress; of a float network two batches

Logits = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""(N, 48, 48) uint8 faces to (N, 7) float32 logits."""


def open_logits(spec: str, threads: int = 2) -> Logits:
    """A model by shipped name or path as a function to logits.

    A path is a .tflite with its card, a run folder, its .keras, or weights alone (.npz) of a network defined here.
    """
    model = parse_model_spec(spec, ("tflite", *FLOAT_KINDS))
    if model.kind == "tflite":
        return open_member(model.path, threads)[0].logits
    from fer_edge.train.loop import predict_logits

    network = open_network(model.path)
    return lambda faces: predict_logits(network, faces)


def open_network(path: Path) -> Any:
    """The Keras model of a run folder, a .keras file, or weights alone (.npz) of a network defined here."""
    import keras

    from fer_edge.train.weights import assemble, read_half

    path = parse_model_spec(str(path), FLOAT_KINDS).path
    if not path.is_file():
        raise ModelError(f"{path}: no such model; expected a .keras or .npz file as 'fer-edge train' writes it")
    try:
        if path.suffix == ".npz":
            name, values = read_half(path)
            return assemble(name, values, path, keras)
        network = keras.models.load_model(path, compile=False)
    except ModelError:
        raise
    except Exception as error:  # Keras raises ValueError, OSError, TypeError, KeyError or BadZipFile
        what = (str(error).splitlines() or ["damaged"])[0][:160]
        raise ModelError(f"{path} cannot be loaded by Keras: {what}") from None
    taken, given = getattr(network, "input_shape", None), getattr(network, "output_shape", None)
    pictures = isinstance(taken, tuple) and len(taken) == 4 and taken[1] == taken[2] and taken[3] in (1, 3)
    if not pictures or given != (None, len(EMOTIONS)):
        raise ModelError(f"{path} maps {taken} to {given}; expected pictures (None, S, S, 3) to logits (None, 7)")
    return network


def collect(
    model: Logits, faces: NDArray[np.uint8], *, flip: bool = False, label: str = "faces"
) -> NDArray[np.float32]:
    """(V, N, 7) logits of V views: the pictures themselves and, with flip, their mirror images; with progress."""
    views = [faces, np.ascontiguousarray(faces[:, :, ::-1])] if flip else [faces]
    parts = []
    with progress_bar(label, len(views) * len(faces)) as bar:
        for view in views:
            for start in range(0, len(faces), _BATCH):
                parts.append(model(view[start : start + _BATCH]))
                bar.update(len(parts[-1]))
    return np.concatenate(parts).reshape(len(views), len(faces), -1)


def temperature(spec: str) -> float:
    """What a model's logits are divided by when it is measured alone: 1 for float models."""
    model = parse_model_spec(spec, ("tflite", *FLOAT_KINDS))
    return temperature_alone(model.path) if model.kind == "tflite" else 1.0


def probabilities(
    views: list[NDArray[np.float32]], weights: Sequence[float], temperature: float, offsets: Sequence[float] = (0.0,)
) -> NDArray[np.float32]:
    """Members' (V, N, 7) logits to (N, 7) probabilities: members by weight, views equally."""
    count = views[0].shape[0]
    logits = np.concatenate(views)  # (M * V, N, 7)
    return fuse(logits, np.repeat(np.asarray(weights, np.float32), count) / count, temperature, offsets)


def cascaded(
    views: Sequence[NDArray[np.float32]] | NDArray[np.float32],
    weights: Sequence[float],
    offsets: Sequence[float] | NDArray[np.floating],
    cascade: Cascade,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Members' (V, N, 7) logits to (N, 7) probabilities and (N,) members asked, by the first view alone."""
    return run_cascade(
        lambda member, chosen: views[member][0, chosen],
        views[0].shape[1],
        np.asarray(weights, np.float32),
        cascade.temperatures,
        cascade.points[cascade.chosen].thresholds,
        offsets,
    )
