"""An ensemble's weights, temperature and class offsets, fitted on a labelled split."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.expression.scores import fuse
from fer_edge.edge.types import EMOTIONS

Weigh = Callable[[NDArray[np.float32], NDArray[np.int64]], tuple[float, ...]]
"""(M, N, 7) logits and (N,) labels to the members' weights, which add up to 1."""


def even_weights(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> tuple[float, ...]:
    """Equal weights, whatever is so."""
    return (1 / len(logits),) * len(logits)


def fit_weights(logits: NDArray[np.float32], labels: NDArray[np.int64], step: float = 0.1) -> tuple[float, ...]:
    """The weights that, with a temperature of their own, minimize the negative log-likelihood.

    The likelihood, not the accuracy, chooses: it is smooth, and less is fitted to the split's noise. Tried are equal
    weights and the grid of that step, none of them 0: a cascade asks every member first or later.
    """
    grid = [even_weights(logits, labels), *_simplex(len(logits), round(1 / step))]
    return min(grid, key=lambda weights: fit_temperature(logits, labels, np.asarray(weights, np.float32))[0])


def _simplex(members: int, steps: int) -> list[tuple[float, ...]]:
    """Every way to share `steps` parts among the members, as fractions; each has one at least."""
    if members == 1:
        return [(1.0,)]
    shares: list[tuple[int, ...]] = [()]
    for left in range(members - 1, 0, -1):
        shares = [(*share, part) for share in shares for part in range(1, steps - sum(share) - left + 1)]
    return [tuple(part / steps for part in (*share, steps - sum(share))) for share in shares]


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


def _shares(labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """(7,) how common each class is; one that does not occur is taken to occur once."""
    counts = np.maximum(np.bincount(labels, minlength=len(EMOTIONS)), 1)
    return np.asarray(counts / counts.sum(), np.float64)


def rare_class_offsets(counts: NDArray[np.int64], strength: float) -> tuple[float, ...]:
    """(7,) offsets that weigh classes by their frequency to the power of -strength; their mean is 0."""
    logs = -strength * np.log(np.maximum(counts, 1))
    return tuple(round(float(value), 5) for value in logs - logs.mean())


@dataclass(frozen=True)
class Fold:
    """What was fitted on all faces but some: those, and the ensemble without them."""

    here: NDArray[np.bool_]  # (N,) the faces left out
    weights: tuple[float, ...]  # (M,)
    temperature: float
    prior: tuple[float, ...]  # (7,) offsets


def fit_folds(
    logits: NDArray[np.float32], labels: NDArray[np.int64], weigh: Weigh, count: int = 5, seed: int = 0
) -> list[Fold]:
    """(M, N, 7) logits to an ensemble fitted without each of so many parts; seed: of the partition into them."""
    folds = []
    for here in parts(len(labels), count, seed):
        weights = weigh(logits[:, ~here], labels[~here])
        folds.append(Fold(here, weights, *fit_prior(logits[:, ~here], labels[~here], weights)))
    return folds


def held_out(
    logits: NDArray[np.float32], folds: Sequence[Fold], favour: Sequence[float] = (0.0,)
) -> NDArray[np.float32]:
    """(M, N, 7) logits to (N, 7) probabilities, each face's by what was fitted without its fold.

    favour: (7,) offsets added to the fitted ones.
    """
    scores = np.empty(logits.shape[1:], np.float32)
    for fold in folds:
        offsets = np.add(fold.prior, favour)
        scores[fold.here] = fuse(logits[:, fold.here], np.asarray(fold.weights, np.float32), fold.temperature, offsets)
    return scores


def parts(count: int, folds: int, seed: int = 0) -> Iterator[NDArray[np.bool_]]:
    """(count,) masks that share out so many faces by chance, the same way each time a seed is given."""
    fold = np.random.default_rng(seed).permutation(count) % folds
    for left_out in range(folds):
        yield fold == left_out
