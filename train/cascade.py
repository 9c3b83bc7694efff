"""Thresholds of a cascade, chosen on a labelled split: as cheap as a given loss of accuracy allows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.cascade import Cascade, Point, mean_time
from fer_edge.edge.scores import fuse
from fer_edge.train.evaluation import fit_temperature

THRESHOLDS = (*(round(0.2 + 0.02 * step, 2) for step in range(41)), 1.01)
"""What is tried at each stage: confidences from 0.2 to 1, and always going on."""

DROP = 0.002
"""How much accuracy, 0..1, the chosen point may lose against the whole ensemble."""


def fit_cascade(
    logits: NDArray[np.float32],
    labels: NDArray[np.int64],
    weights: Sequence[float],
    times: Sequence[float],
    drop: float = DROP,
    offsets: Sequence[float] = (0.0,),
) -> Cascade:
    """(M, N, 7) logits of members in the order in which they are asked, to a cascade of them.

    Temperatures are fitted as without offsets, which shift answers for the rare classes' sake and not for truth's.
    times: (M,) what each member costs, in any unit. Its points are those that no other beats in both mean cost and
    accuracy; the chosen one is the cheapest that loses at most `drop` against all members.
    """
    members, weighted = len(logits), np.asarray(weights, np.float32)
    shares = [weighted[:count] / weighted[:count].sum() for count in range(1, members + 1)]
    temperatures = [fit_temperature(logits[: len(each)], labels, each)[1] for each in shares]
    scores = [
        fuse(logits[: len(each)], each, temperature, offsets)
        for each, temperature in zip(shares, temperatures, strict=True)
    ]
    right = np.stack([score.argmax(axis=1) == labels for score in scores])  # (M, N)
    sure = np.stack([score.max(axis=1) for score in scores[:-1]]) if members > 1 else np.empty((0, len(labels)))
    points = [_point(right, sure, chosen) for chosen in product(THRESHOLDS, repeat=members - 1)]
    front = _front(points, times)
    least = float(right[-1].mean()) - drop
    chosen = next(index for index, point in enumerate(front) if point.accuracy >= least - 1e-9)
    return Cascade(tuple(temperatures), tuple(front), chosen)


def _point(right: NDArray[np.bool_], sure: NDArray[np.floating], thresholds: tuple[float, ...]) -> Point:
    members, count = right.shape
    answered, undecided, reach = np.zeros(count, bool), np.ones(count, bool), []
    for member in range(members):
        reach.append(float(undecided.mean()))
        answered[undecided] = right[member, undecided]
        if member < members - 1:
            undecided &= sure[member] < thresholds[member]
    return Point(thresholds, tuple(round(share, 5) for share in reach), round(float(answered.mean()), 5))


def _front(points: Sequence[Point], times: Sequence[float]) -> list[Point]:
    """The points that none is both cheaper and better than, the cheapest first; of equals the first."""
    front: list[Point] = []
    for point in sorted(points, key=lambda point: (mean_time(point, times), -point.accuracy)):
        if not front or point.accuracy > front[-1].accuracy:
            front.append(point)
    return front
