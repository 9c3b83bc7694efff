"""Thresholds of a cascade, chosen on a labelled split: as cheap as a given loss of accuracy allows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.expression.cascade import Cascade, OperatingPoint, mean_time
from fer_edge.edge.expression.scores import fuse
from fer_edge.train.calibration import Fold, fit_temperature
from fer_edge.train.evaluation.networks import cascaded

THRESHOLDS = (*(round(0.2 + 0.02 * step, 2) for step in range(41)), 1.01)
"""What is tried at each stage: confidences from 0.2 to 1, and always going on."""

DROP = 0.002
"""How much accuracy, 0..1, the chosen point may lose against the whole ensemble, expected and counted."""


def fit_cascade(
    logits: NDArray[np.float32],
    labels: NDArray[np.int64],
    weights: Sequence[float] | NDArray[np.floating],
    times: Sequence[float],
    drop: float = DROP,
    prior: Sequence[float] = (0.0,),
    favour: Sequence[float] = (0.0,),
) -> Cascade:
    """(M, N, 7) logits of members in the order in which they are asked, to a cascade of them.

    prior and favour: the two parts of the ensemble's offsets, (7,) each. What is calibrated has the prior alone: favour
    shifts answers for the rare classes' sake and not for truth's.
    times: (M,) what each member costs, in any unit. Its points are those that no other beats in both mean cost and
    expected loss; the chosen one is the cheapest that loses at most `drop` against all members, expected and counted.

    The expected loss is what all members together, calibrated, think an earlier answer worse than their own. Right
    answers counted on a few thousand faces have a standard error of several drops: by them alone a member that was
    lucky there would be trusted with everything.
    """
    members, weighted = len(logits), np.asarray(weights, np.float32)
    shares = [weighted[:count] / weighted[:count].sum() for count in range(1, members + 1)]
    temperatures = [fit_temperature(logits[: len(each)], labels, each, prior)[1] for each in shares]
    offsets = np.add(prior, favour)
    scores = [
        fuse(logits[: len(each)], each, temperature, offsets)
        for each, temperature in zip(shares, temperatures, strict=True)
    ]
    answers = np.stack([score.argmax(axis=1) for score in scores])  # (M, N)
    belief = np.take_along_axis(fuse(logits, shares[-1], temperatures[-1], prior).T, answers, axis=0)
    found = np.stack([answers == labels, belief[-1] - belief])  # (2, M, N): right or not, and expected loss
    sure = np.stack([score.max(axis=1) for score in scores[:-1]]) if members > 1 else np.empty((0, len(labels)))
    points = [_point(found, sure, chosen) for chosen in product(THRESHOLDS, repeat=members - 1)]
    front = _front(points, times)
    least = float(found[0, -1].mean()) - drop
    enough = (point.loss <= drop + 1e-9 and point.accuracy >= least - 1e-5 for point in front)
    chosen = next((index for index, good in enumerate(enough) if good), len(front) - 1)
    return Cascade(tuple(temperatures), tuple(front), chosen)


def cheapest_cascade(
    logits: NDArray[np.float32],
    labels: NDArray[np.int64],
    weights: Sequence[float],
    times: Sequence[float],
    drop: float = DROP,
    prior: Sequence[float] = (0.0,),
    favour: Sequence[float] = (0.0,),
) -> tuple[tuple[int, ...], Cascade]:
    """The order in which to ask the members, and the cascade in that order; all is as fit_cascade takes it.

    It is the order whose chosen point costs least, of two the one with the cheaper members first.
    """
    fits: list[tuple[float, list[float], tuple[int, ...], Cascade]] = []
    for order in permutations(range(len(logits))):
        chosen, ordered = list(order), [times[member] for member in order]
        cascade = fit_cascade(logits[chosen], labels, np.take(weights, chosen), ordered, drop, prior, favour)
        cost = mean_time(cascade.points[cascade.chosen], ordered) / sum(times)
        fits.append((round(cost, 6), ordered, order, cascade))
    _, _, order, cascade = min(fits, key=lambda fit: fit[:2])
    return order, cascade


def held_out_cascade(
    logits: NDArray[np.float32],
    labels: NDArray[np.int64],
    folds: Sequence[Fold],
    times: Sequence[float],
    drop: float = DROP,
    favour: Sequence[float] = (0.0,),
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(N, 7) probabilities and (N,) members asked, each face's by an ensemble and a cascade fitted without its fold.

    The order in which they are asked is the one that is given.
    """
    scores, asked = np.empty(logits.shape[1:], np.float32), np.empty(len(labels), np.int64)
    for fold in folds:
        here, weights, prior = fold.here, fold.weights, fold.prior
        cascade = fit_cascade(logits[:, ~here], labels[~here], weights, times, drop, prior, favour)
        scores[here], asked[here] = cascaded(logits[:, None, here], weights, np.add(prior, favour), cascade)
    return scores, asked


def _point(found: NDArray[np.floating], sure: NDArray[np.floating], thresholds: tuple[float, ...]) -> OperatingPoint:
    _, members, count = found.shape
    answered, undecided, reach = np.zeros((2, count)), np.ones(count, bool), []
    for member in range(members):
        reach.append(float(undecided.mean()))
        answered[:, undecided] = found[:, member, undecided]
        if member < members - 1:
            undecided &= sure[member] < thresholds[member]
    accuracy, loss = answered.mean(axis=1)
    return OperatingPoint(
        thresholds, tuple(round(share, 5) for share in reach), round(float(accuracy), 5), round(float(loss), 4)
    )


def _front(points: Sequence[OperatingPoint], times: Sequence[float]) -> list[OperatingPoint]:
    """The points that no other is both cheaper and expected to lose less than, the cheapest first."""
    front: list[OperatingPoint] = []
    for point in sorted(points, key=lambda point: (mean_time(point, times), point.loss)):
        if not front or point.loss < front[-1].loss:
            front.append(point)
    return front
