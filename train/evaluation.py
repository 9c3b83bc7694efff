"""Models of either kind, float Keras or TFLite, on a labelled split; Keras is imported for the former only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.cascade import Cascade, staged
from fer_edge.edge.catalog import model_file
from fer_edge.edge.classifier import open_member
from fer_edge.edge.ensemble import NAMES, temperature_alone
from fer_edge.edge.errors import ModelError
from fer_edge.edge.scores import fuse
from fer_edge.edge.types import EMOTIONS
from fer_edge.train.progress import Progress

_BATCH = 256  # pictures between two steps of progress; of a float network two batches

Logits = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""(N, 48, 48) uint8 faces to (N, 7) float32 logits."""


def open_logits(spec: str, threads: int = 2) -> Logits:
    """A model by shipped name or path as a function to logits.

    A path is a .tflite with its card, a run folder, its .keras, or weights alone (.npz) of a network defined here.
    """
    path = Path(spec)
    if path.is_dir() or path.suffix in (".keras", ".npz"):
        from fer_edge.train.loop import predict_logits

        network = open_network(path)
        return lambda faces: predict_logits(network, faces)
    if spec in NAMES or path.suffix == ".tflite":
        member, _ = open_member(model_file(spec), threads)
        return member.logits
    raise ModelError(
        f"unknown model '{spec}'; expected {', '.join(NAMES)}, a .tflite, .keras or .npz file, or a run folder"
    )


def open_network(path: Path) -> Any:
    """The Keras model of a run folder, a .keras file, or weights alone (.npz) of a network defined here."""
    import keras

    from fer_edge.train.weights import assemble, read_half

    path = path / "float.keras" if path.is_dir() else path
    if not path.is_file() or path.suffix not in (".keras", ".npz"):
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
    parts, total = [], len(views) * len(faces)
    with Progress() as progress:
        for view in views:
            for start in range(0, len(faces), _BATCH):
                parts.append(model(view[start : start + _BATCH]))
                progress(label, sum(map(len, parts)), total)
    return np.concatenate(parts).reshape(len(views), len(faces), -1)


def temperature(spec: str) -> float:
    """What a model's logits are divided by when it is measured alone: 1 for float models."""
    return temperature_alone(model_file(spec)) if spec in NAMES or spec.endswith(".tflite") else 1.0


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
    return staged(
        lambda member, chosen: views[member][0, chosen],
        views[0].shape[1],
        np.asarray(weights, np.float32),
        cascade.temperatures,
        cascade.points[cascade.chosen].thresholds,
        offsets,
    )


def fit_ensemble(
    logits: NDArray[np.float32], labels: NDArray[np.int64], *, equal: bool = True, step: float = 0.1
) -> tuple[tuple[float, ...], float]:
    """(M, N, 7) logits to (weights, temperature) that minimize the negative log-likelihood.

    The likelihood, not the accuracy, chooses: it is smooth in both, and less is fitted to the split's noise. With
    equal, only the temperature is fitted; else weights come from the grid of that step, none of them 0: a cascade asks
    every member first or later.
    """
    members = len(logits)
    even = tuple(1 / members for _ in range(members))
    grid = [even] if equal else [even, *_simplex(members, round(1 / step))]
    fits = [(*fit_temperature(logits, labels, np.asarray(weights, np.float32)), weights) for weights in grid]
    _, temperature, weights = min(fits)
    return weights, temperature


def rare_class_offsets(counts: NDArray[np.int64], strength: float) -> tuple[float, ...]:
    """(7,) offsets that weigh classes by their frequency to the power of -strength; their mean is 0."""
    logs = -strength * np.log(np.maximum(counts, 1))
    return tuple(round(float(value), 5) for value in logs - logs.mean())


def fit_prior(
    logits: NDArray[np.float32], labels: NDArray[np.int64], weights: Sequence[float]
) -> tuple[float, tuple[float, ...]]:
    """The temperature and the (7,) offsets with which (M, N, 7) logits, fused, think each class as common as it is.

    Class weights and soft targets shift what a network thinks common; labels shift it back. The two are fitted in
    turns, the offsets by the ratio of what is so to what is thought (Saerens et al. 2002,
    doi:10.1162/089976602753284446); for one network that is the likeliest bias per class (Alexandari et al. 2020,
    arXiv:1901.06852). The offsets' mean is 0.
    """
    shares, weighted = _shares(labels), np.asarray(weights, np.float32)
    offsets = np.zeros(len(EMOTIONS))
    for _ in range(5):
        _, temperature = fit_temperature(logits, labels, weighted, offsets)
        for _ in range(10):
            offsets += np.log(shares / fuse(logits, weighted, temperature, offsets).mean(axis=0))
            offsets -= offsets.mean()
    return fit_temperature(logits, labels, weighted, offsets)[1], tuple(round(float(value), 5) for value in offsets)


def held_out(
    logits: NDArray[np.float32],
    labels: NDArray[np.int64],
    weights: Sequence[float],
    favour: Sequence[float] = (0.0,),
    folds: int = 5,
    seed: int = 0,
) -> NDArray[np.float32]:
    """(M, N, 7) logits to (N, 7) probabilities, each face's by a temperature and offsets fitted without its fold.

    favour: (7,) offsets added to the fitted ones. seed: of the partition into folds.
    """
    scores = np.empty(logits.shape[1:], np.float32)
    for here in parts(len(labels), folds, seed):
        temperature, prior = fit_prior(logits[:, ~here], labels[~here], weights)
        scores[here] = fuse(logits[:, here], np.asarray(weights, np.float32), temperature, np.add(prior, favour))
    return scores


def parts(count: int, folds: int, seed: int = 0) -> Iterator[NDArray[np.bool_]]:
    """(count,) masks that share out so many faces by chance, the same way each time a seed is given."""
    fold = np.random.default_rng(seed).permutation(count) % folds
    for left_out in range(folds):
        yield fold == left_out


def _shares(labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """(7,) how common each class is; one that does not occur is taken to occur once."""
    counts = np.maximum(np.bincount(labels, minlength=len(EMOTIONS)), 1)
    return np.asarray(counts / counts.sum(), np.float64)


def fit_temperature(
    logits: NDArray[np.float32],
    labels: NDArray[np.int64],
    weights: NDArray[np.float32],
    offsets: Sequence[float] | NDArray[np.floating] = (0.0,),
) -> tuple[float, float]:
    """(loss, temperature) of (M, N, 7) logits fused by weight: a golden-section search between 0.2 and 5."""

    def loss(temperature: float) -> float:
        chosen = fuse(logits, weights, temperature, offsets)[np.arange(len(labels)), labels]
        return float(-np.mean(np.log(np.maximum(chosen, 1e-9))))

    low, high, ratio = 0.2, 5.0, (5**0.5 - 1) / 2
    for _ in range(30):
        inner, outer = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, outer) if loss(inner) < loss(outer) else (inner, high)
    best = (low + high) / 2
    return loss(best), round(best, 4)


def _simplex(members: int, steps: int) -> list[tuple[float, ...]]:
    """Every way to share `steps` parts among the members, as fractions; each has one at least."""
    if members == 1:
        return [(1.0,)]
    shares: list[tuple[int, ...]] = [()]
    for left in range(members - 1, 0, -1):
        shares = [(*share, part) for share in shares for part in range(1, steps - sum(share) - left + 1)]
    return [tuple(part / steps for part in (*share, steps - sum(share))) for share in shares]
