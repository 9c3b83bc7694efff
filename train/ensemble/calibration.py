"""An ensemble's weights, temperature and class offsets, fitted on a labelled split."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.expression.scores import fuse

MAX_FITTED_OFFSET = 20.0
"""Class offsets, in logits, that a fit may give; a class that no model ever predicts would get any."""

WeightsFit = Callable[[NDArray[np.float32], NDArray[np.int64]], tuple[float, ...]]
"""(M, N, C) logits and (N,) labels to the members' (M,) weights, which sum to 1."""


def equal_weights(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> tuple[float, ...]:
    """Equal weights, whatever the labels."""
    return (1 / len(logits),) * len(logits)


def fit_weights(logits: NDArray[np.float32], labels: NDArray[np.int64], step: float = 0.1) -> tuple[float, ...]:
    """The weights that, each with its own best temperature, minimize the negative log-likelihood.

    The likelihood is smooth where the accuracy is not, so that less is fitted to the split's noise.

    Args:
        logits: (M, N, C) logits of the members.
        labels: (N,) true classes.
        step: Step of the grid of weights that is searched beside equal weights. No weight is 0: with early exit, every
            member runs on some faces.

    Returns:
        (M,) weights, which sum to 1.
    """
    grid = [equal_weights(logits, labels), *_simplex(len(logits), round(1 / step))]
    return min(grid, key=lambda weights: fit_temperature(logits, labels, np.asarray(weights, np.float32))[0])


def _simplex(members: int, steps: int) -> list[tuple[float, ...]]:
    """Every way to share `steps` parts among the members, as fractions; each member has at least one."""
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
    """The temperature that minimizes the negative log-likelihood, by a golden-section search between 0.2 and 5.

    Args:
        logits: (M, N, C) logits of the members.
        labels: (N,) true classes.
        weights: (M,) weights of the members.
        offsets: (C,) class offsets, or one for all.

    Returns:
        The loss there, and the temperature.
    """

    def loss(temperature: float) -> float:
        likelihoods = fuse(logits, weights, temperature, offsets)[np.arange(len(labels)), labels]
        return float(-np.mean(np.log(np.maximum(likelihoods, 1e-9))))

    low, high, ratio = 0.2, 5.0, (5**0.5 - 1) / 2
    for _ in range(30):
        inner, outer = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, outer) if loss(inner) < loss(outer) else (inner, high)
    best = (low + high) / 2
    return loss(best), round(best, 4)


def fit_prior(
    logits: NDArray[np.float32], labels: NDArray[np.int64], weights: Sequence[float]
) -> tuple[float, tuple[float, ...]]:
    """The temperature and class offsets with which an ensemble predicts each class as often as it occurs.

    Class weights and soft targets shift the class prior that a network learns; this shifts it back. Temperature and
    offsets are fitted in turns, the offsets by the ratio of true to predicted class frequencies (Saerens et al. 2002,
    doi:10.1162/089976602753284446); for one network these are the maximum-likelihood biases per class (Alexandari et
    al. 2020, arXiv:1901.06852).

    Args:
        logits: (M, N, C) logits of the members.
        labels: (N,) true classes.
        weights: (M,) weights of the members.

    Returns:
        The temperature, and (C,) offsets with mean 0.
    """
    frequencies, weighted = _frequencies(labels, logits.shape[2]), np.asarray(weights, np.float32)
    offsets = np.zeros(logits.shape[2])
    for _ in range(5):
        _, temperature = fit_temperature(logits, labels, weighted, offsets)
        for _ in range(10):
            predicted = fuse(logits, weighted, temperature, offsets).mean(axis=0)
            offsets += np.log(frequencies / np.maximum(predicted, 1e-9))  # a class that no model predicts
            offsets = np.clip(offsets - offsets.mean(), -MAX_FITTED_OFFSET, MAX_FITTED_OFFSET)
    return fit_temperature(logits, labels, weighted, offsets)[1], tuple(round(float(value), 5) for value in offsets)


def _frequencies(labels: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """(C,) relative frequency of each class; a class that does not occur is counted once."""
    counts = np.maximum(np.bincount(labels, minlength=classes), 1)
    return np.asarray(counts / counts.sum(), np.float64)


def rare_class_offsets(counts: NDArray[np.int64], strength: float) -> tuple[float, ...]:
    """(C,) offsets, with mean 0, that weight each class by its frequency to the power of -strength.

    Args:
        counts: (C,) pictures per class.
        strength: 0 for no effect, 1 for the inverse of the frequency.
    """
    logs = -strength * np.log(np.maximum(counts, 1))
    return tuple(round(float(value), 5) for value in logs - logs.mean())
