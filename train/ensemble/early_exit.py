"""Early-exit thresholds, fitted on a labelled split: as cheap as a maximum accuracy drop allows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.expression.operating_point import Cascade, OperatingPoint, mean_time
from fer_edge.edge.expression.scores import fuse
from fer_edge.train.ensemble.calibration import fit_temperature

THRESHOLDS = (*(round(0.2 + 0.02 * step, 2) for step in range(41)), 1.01)
"""Confidences tried at each stage: from 0.2 to 1, and one above 1, at which the next model always runs."""

MAX_DROP = 0.002
"""Accuracy, 0..1, that the default operating point may lose against the whole ensemble, expected and measured."""


def fit_cascade(
    logits: NDArray[np.float32],
    labels: NDArray[np.int64],
    weights: Sequence[float] | NDArray[np.floating],
    times: Sequence[float],
    max_drop: float = MAX_DROP,
    prior: Sequence[float] = (0.0,),
    balance: Sequence[float] = (0.0,),
) -> Cascade:
    """Temperatures and operating points of early exit for members that run in the given order.

    The operating points are those that no other beats in both mean time and expected loss; the default is the cheapest
    that loses at most max_drop against all members, expected and measured.

    The expected loss is by how much all members together, calibrated, think an earlier answer worse than their own.
    Accuracy measured on a few thousand faces has a standard error of several times max_drop: by that alone, a member
    that was lucky there would be trusted with everything.

    Args:
        logits: (M, N, C) logits of the members in the order in which they run.
        labels: (N,) true classes.
        weights: (M,) weights of the members.
        times: (M,) time of each member, in any unit.
        max_drop: Accuracy, 0..1, that the default operating point may lose.
        prior: (C,) class offsets, as `fit_prior` gives them. Temperatures and expected loss take these alone.
        balance: (C,) offsets in favour of rare classes, which shift answers but make them no truer.
    """
    members, weighted = len(logits), np.asarray(weights, np.float32)
    shares = [weighted[:count] / weighted[:count].sum() for count in range(1, members + 1)]
    temperatures = [fit_temperature(logits[: len(each)], labels, each, prior)[1] for each in shares]
    offsets = np.add(prior, balance)
    scores = [
        fuse(logits[: len(each)], each, temperature, offsets)
        for each, temperature in zip(shares, temperatures, strict=True)
    ]
    answers = np.stack([score.argmax(axis=1) for score in scores])  # (M, N)
    belief = np.take_along_axis(fuse(logits, shares[-1], temperatures[-1], prior).T, answers, axis=0)
    outcomes = np.stack([answers == labels, belief[-1] - belief])  # (2, M, N): right or not, and expected loss
    confidences = [score.max(axis=1) for score in scores[:-1]]
    front = _pareto_front(*_every_point(outcomes, confidences), times)
    least = float(outcomes[0, -1].mean()) - max_drop
    acceptable = (point.loss <= max_drop + 1e-9 and point.accuracy >= least - 1e-5 for point in front)
    default = next((index for index, good in enumerate(acceptable) if good), len(front) - 1)
    return Cascade(tuple(temperatures), tuple(front), default)


def cheapest_cascade(
    logits: NDArray[np.float32],
    labels: NDArray[np.int64],
    weights: Sequence[float],
    times: Sequence[float],
    max_drop: float = MAX_DROP,
    prior: Sequence[float] = (0.0,),
    balance: Sequence[float] = (0.0,),
) -> tuple[tuple[int, ...], Cascade]:
    """The order of the members whose default operating point is the cheapest, and the cascade in that order.

    Of two orders that cost the same, it is the one with the cheaper members first. The arguments are those of
    `fit_cascade`, in any order of the members.
    """
    fits: list[tuple[float, list[float], tuple[int, ...], Cascade]] = []
    for order in permutations(range(len(logits))):
        indices, ordered_times = list(order), [times[member] for member in order]
        ordered_weights = np.take(weights, indices)
        cascade = fit_cascade(logits[indices], labels, ordered_weights, ordered_times, max_drop, prior, balance)
        cost = mean_time(cascade.default_point, ordered_times) / sum(times)
        fits.append((round(cost, 6), ordered_times, order, cascade))
    _, _, order, cascade = min(fits, key=lambda fit: fit[:2])
    return order, cascade


def _every_point(
    outcomes: NDArray[np.floating], confidences: Sequence[NDArray[np.floating]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Reach and mean outcomes at every combination of THRESHOLDS, which are T.

    A face is undecided behind a member where the threshold is above its confidence. So it counts for all combinations
    from a corner on, and the sums over the corners give them all at once: T ** 3 one by one would take minutes.

    Args:
        outcomes: (2, M, N) right or not, and expected loss, where each member answers.
        confidences: (N,) of each member but the last.

    Returns:
        (T, …, T, M) shares of the faces that each member runs on, and (T, …, T, 2) mean outcomes, with an axis for each
        threshold.
    """
    _, members, count = outcomes.shape
    size, axes = len(THRESHOLDS), members - 1
    corners = [np.searchsorted(THRESHOLDS, confidence, side="right") for confidence in confidences]
    reach, means = np.ones((size,) * axes + (members,)), np.zeros((size,) * axes + (2,))

    def undecided(values: NDArray[np.floating], behind: int) -> NDArray[np.float64]:
        """(T, …, T, 1…) means of (N,) values over all faces, 0 where one of the first members decides."""
        cells = np.zeros(count, np.int64)
        for corner in corners[:behind]:
            cells = cells * (size + 1) + corner
        sums = np.bincount(cells, values / count, (size + 1) ** behind).reshape((size + 1,) * behind)
        for axis in range(behind):
            sums = sums.cumsum(axis=axis)
        return sums[(slice(size),) * behind].reshape((size,) * behind + (1,) * (axes - behind))

    for member in range(members):
        reach[..., member] = undecided(np.ones(count), member)
        for kind, values in enumerate(outcomes[:, member]):
            means[..., kind] += undecided(values, member)
            if member < axes:
                means[..., kind] -= undecided(values, member + 1)
    return reach, means


def _pareto_front(
    reach: NDArray[np.float64], means: NDArray[np.float64], times: Sequence[float]
) -> list[OperatingPoint]:
    """The points that no other beats in both mean time and expected loss, the cheapest first."""
    shape = reach.shape[:-1]
    reach = np.round(reach.reshape(-1, reach.shape[-1]), 5)
    accuracies, losses = np.round(means[..., 0].ravel(), 5), np.round(means[..., 1].ravel(), 4)
    front: list[OperatingPoint] = []
    for index in np.lexsort((losses, reach @ np.asarray(times))):
        if not front or losses[index] < front[-1].loss:
            thresholds = tuple(THRESHOLDS[axis] for axis in np.unravel_index(index, shape))
            front.append(
                OperatingPoint(thresholds, tuple(reach[index].tolist()), float(accuracies[index]), float(losses[index]))
            )
    return front
