"""The cheapest member first: the next one is asked only where its calibrated confidence is too low.

The early exit of Viola and Jones (2001) and of BranchyNet (Teerapittayanon et al. 2017, arXiv:1709.01686), between
whole networks. What the members asked so far say is fused; its largest probability, calibrated for just so many
members, is compared with a threshold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.expression.scores import fuse
from fer_edge.edge.preprocess import FACE_SIZE

Ask = Callable[[int, NDArray[np.intp]], NDArray[np.float32]]
"""(member, (K,) indices of faces) to their (K, 7) logits."""


@dataclass(frozen=True)
class OperatingPoint:
    """One way to run a cascade of M members.

    thresholds: (M - 1,) confidences, 0..1, from which no further member is asked; above 1 it always is. reach: (M,)
    shares of the faces that each member saw, and accuracy, 0..1, both on the split the cascade was fitted on. loss: how
    much of its accuracy, 0..1, the whole ensemble would expect to lose there, by its own calibrated scores.
    """

    thresholds: tuple[float, ...]
    reach: tuple[float, ...]
    accuracy: float
    loss: float


@dataclass(frozen=True)
class Cascade:
    """How an ensemble may stop early.

    temperatures: (M,) what calibrates the first 1, 2 … M members fused. points: from the cheapest to the one that
    loses least. chosen: which of them is the default.
    """

    temperatures: tuple[float, ...]
    points: tuple[OperatingPoint, ...]
    chosen: int


class Member(Protocol):
    """A model of the ensemble.

    Attributes:
        timings: Seconds of each invocation; None records nothing.
    """

    timings: list[float] | None

    @property
    def name(self) -> str:
        """The model's name."""
        ...

    def logits(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, 48, 48) uint8 gray faces to (N, 7) float32 logits."""
        ...


def run_cascade(
    ask: Ask,
    count: int,
    weights: NDArray[np.floating],
    temperatures: Sequence[float],
    thresholds: Sequence[float],
    offsets: Sequence[float] | NDArray[np.floating] = (0.0,),
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(count, 7) probabilities, and how many members each face was shown to, (count,)."""
    members = len(temperatures)
    logits = np.empty((members, count, 7), np.float32)
    scores, asked = np.empty((count, 7), np.float32), np.zeros(count, np.int64)
    undecided = np.arange(count)
    for member, temperature in enumerate(temperatures):
        if not len(undecided):
            break
        logits[member, undecided] = ask(member, undecided)
        asked[undecided] += 1
        share = weights[: member + 1] / weights[: member + 1].sum()
        scores[undecided] = fuse(logits[: member + 1, undecided], share, temperature, offsets)
        if member < members - 1:
            undecided = undecided[scores[undecided].max(axis=1) < thresholds[member]]
    return scores, asked


class CascadeClassifier:
    """An ensemble's members asked one after another, as far as needed."""

    def __init__(
        self,
        members: Sequence[Member],
        weights: NDArray[np.floating],
        offsets: NDArray[np.floating],
        cascade: Cascade,
        point: OperatingPoint,
        name: str,
    ) -> None:
        self.members = list(members)
        self.cascade, self.point = cascade, point
        self.depth = len(self.members)
        """At most so many members are asked: fewer where the machine is too hot for all."""
        self.faces = self.invocations = 0
        """Faces seen and members asked since the start."""
        self._weights, self._offsets, self._name = weights, offsets, name

    @property
    def description(self) -> str:
        """The members and the share of faces that each is expected to see."""
        shares = ", ".join(f"{100 * share:.0f} %" for share in self.point.reach)
        return f"{self._name}; a cascade whose members see {shares} of the faces"

    def __call__(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, 48, 48) uint8 gray faces to (N, 7) float32 probabilities."""
        scores, asked = self._staged(lambda member, chosen: self.members[member].logits(crops[chosen]), len(crops))
        self.faces += len(crops)
        self.invocations += int(asked.sum())
        return scores

    def set_load(self, level: int) -> str:
        """Run at most one model less per face with each load level; describes the new limit."""
        self.depth = max(1, len(self.members) - level)
        return f"up to {self.depth} of {len(self.members)} models per face"

    def record_timings(self) -> dict[str, list[float]]:
        """Record the seconds of every invocation from now on, in the lists that it returns by member name."""
        return record_timings(self.members)

    def scores_from_logits(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """All members' (M, N, 7) logits to the (N, 7) probabilities that it would have given."""
        return self._staged(lambda member, chosen: logits[member, chosen], logits.shape[1])[0]

    def _staged(self, ask: Ask, count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        depth = self.depth  # once: the watch on heat may change it from its own thread
        return run_cascade(
            ask,
            count,
            self._weights,
            self.cascade.temperatures[:depth],
            self.point.thresholds[: depth - 1],
            self._offsets,
        )


def record_timings(members: Sequence[Member]) -> dict[str, list[float]]:
    """Have each member record the seconds of its invocations, in the lists that it returns by member name."""
    timings: dict[str, list[float]] = {}
    for member in members:
        member.timings = timings.setdefault(member.name, [])
    return timings


def point_within_budget(cascade: Cascade, times: Sequence[float], budget: float) -> OperatingPoint:
    """The point that loses least of those whose mean time is within the budget; the cheapest where none is.

    times: (M,) what each member takes for a face, in the budget's unit.
    """
    affordable = [point for point in cascade.points if mean_time(point, times) <= budget]
    if not affordable:
        return min(cascade.points, key=lambda point: mean_time(point, times))
    return min(affordable, key=lambda point: (point.loss, mean_time(point, times)))


def mean_time(point: OperatingPoint, times: Sequence[float]) -> float:
    """What a face takes on average, in the unit of the members' times."""
    return float(np.dot(point.reach, times))


def member_times(
    members: Sequence[Member], rounds: int = 15, of: Callable[[list[float]], np.floating] = np.median
) -> list[float]:
    """Milliseconds that each member takes for one face: the median of calls in turns, after two for warming up.

    of: what else to take of them.
    """
    crop = np.random.default_rng(0).integers(0, 256, (1, FACE_SIZE, FACE_SIZE), np.uint8)
    times: list[list[float]] = [[] for _ in members]
    for turn in range(rounds + 2):
        for member, taken in zip(members, times, strict=True):
            start = perf_counter()
            member.logits(crop)
            if turn >= 2:
                taken.append(1000 * (perf_counter() - start))
    return [float(of(taken)) for taken in times]


def cascade_from(stored: Any, members: int) -> Cascade:
    """What `ensemble.json` holds under "cascade"; ValueError, KeyError or TypeError where it is no cascade."""
    points = tuple(
        OperatingPoint(
            tuple(float(value) for value in point["thresholds"]),
            tuple(float(value) for value in point["reach"]),
            float(point["accuracy"]),
            float(point["loss"]),
        )
        for point in stored["points"]
    )
    cascade = Cascade(tuple(float(value) for value in stored["temperatures"]), points, int(stored["chosen"]))
    lengths = {(len(point.thresholds), len(point.reach)) for point in points}
    if len(cascade.temperatures) != members or lengths != {(members - 1, members)}:
        raise ValueError("expected a temperature and a reach for each member and a threshold for all but the last")
    if not 0 <= cascade.chosen < len(points) or not all(0 < each < math.inf for each in cascade.temperatures):
        raise ValueError("expected 'chosen' to be one of the points, and temperatures above 0")
    if not all(map(math.isfinite, (value for each in points for value in (*each.thresholds, *each.reach, each.loss)))):
        raise ValueError("expected finite thresholds, reach and loss")
    return cascade
