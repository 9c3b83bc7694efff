"""Early exit: run the ensemble's members in order and stop at the first confident answer.

The scores of the members that have run so far are fused; their largest probability, calibrated for that number of
members, is compared with a threshold. A cascade of whole networks, after Viola and Jones (2001) and BranchyNet
(Teerapittayanon et al. 2017, arXiv:1709.01686).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.expression.model_input import Crops
from fer_edge.edge.expression.operating_point import Cascade, OperatingPoint
from fer_edge.edge.expression.scores import fuse
from fer_edge.edge.preprocess import FACE_SIZE

MemberLogits = Callable[[int, NDArray[np.intp]], NDArray[np.float32]]
"""Runs one member: (its index, (K,) indices of faces) to the faces' (K, C) logits."""


class Member(Protocol):
    """A model of the ensemble.

    Attributes:
        timings: Seconds of each invocation; None records nothing.
        classes: (C,) names of its classes.
        takes_own_crops: Whether it takes another crop than the gray one of 48 px.
    """

    classes: tuple[str, ...]
    timings: list[float] | None

    @property
    def takes_own_crops(self) -> bool: ...

    @property
    def name(self) -> str:
        """The model's name."""
        ...

    def logits(self, crops: Crops) -> NDArray[np.float32]:
        """N faces to (N, C) float32 logits."""
        ...


def run_cascade(
    member_logits: MemberLogits,
    count: int,
    weights: NDArray[np.floating],
    temperatures: Sequence[float],
    thresholds: Sequence[float],
    offsets: Sequence[float] | NDArray[np.floating] = (0.0,),
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Classify faces by as few members as their thresholds allow.

    Args:
        member_logits: Runs one member on the faces that are still undecided.
        count: Number of faces, N.
        weights: (M,) the members' weights in the ensemble.
        temperatures: (M,) temperatures of the first 1, 2 … M members fused; fewer than there are members limits how
            many run.
        thresholds: Confidences, 0..1, from which the next member is not run; one less than temperatures.
        offsets: (C,) class offsets, or one for all.

    Returns:
        (N, C) float32 probabilities, and (N,) int64 how many members ran on each face.
    """
    members, undecided = len(temperatures), np.arange(count)
    first = member_logits(0, undecided)
    logits = np.empty((members, *first.shape), np.float32)
    scores, invocations = np.empty_like(logits[0]), np.zeros(count, np.int64)
    for member, temperature in enumerate(temperatures):
        if not len(undecided):
            break
        logits[member, undecided] = member_logits(member, undecided) if member else first
        invocations[undecided] += 1
        share = weights[: member + 1] / weights[: member + 1].sum()
        scores[undecided] = fuse(logits[: member + 1, undecided], share, temperature, offsets)
        if member < members - 1:
            undecided = undecided[scores[undecided].max(axis=1) < thresholds[member]]
    return scores, invocations


class CascadeClassifier:
    """An ensemble with early exit.

    Attributes:
        members: The models in the order in which they run.
        classes: (C,) names of their classes.
        cascade: Its temperatures and operating points.
        point: The operating point in use.
        depth: Maximum members per face; lowered by `set_load`.
        faces: Faces classified so far.
        invocations: Models run on them so far.
        takes_own_crops: Whether a member takes another crop than the gray one of 48 px.
    """

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
        self.classes = self.members[0].classes
        self.cascade, self.point = cascade, point
        self.depth = len(self.members)
        self.takes_own_crops = any(member.takes_own_crops for member in self.members)
        self.faces = self.invocations = 0
        self._weights, self._offsets, self._name = weights, offsets, name

    @property
    def description(self) -> str:
        """The members and the share of faces that each is expected to run on."""
        shares = ", ".join(f"{100 * share:.0f} %" for share in self.point.reach)
        return f"{self._name}; early exit: its models are expected to run on {shares} of the faces"

    def __call__(self, crops: Crops) -> NDArray[np.float32]:
        """N faces to (N, C) float32 probabilities."""
        scores, invocations = self._run(lambda member, faces: self.members[member].logits(crops[faces]), len(crops))
        self.faces += len(crops)
        self.invocations += int(invocations.sum())
        return scores

    def set_load(self, level: int) -> str:
        """Run at most one model less per face with each load level; describes the new limit."""
        self.depth = max(1, len(self.members) - level)
        return f"up to {self.depth} of {len(self.members)} models per face"

    def record_timings(self) -> dict[str, list[float]]:
        """Record the seconds of every invocation from now on, in the lists that it returns by member name."""
        return record_timings(self.members)

    def scores_from_logits(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute the scores from logits that were collected before, to evaluate the early exit without running models.

        Args:
            logits: (M, N, C) logits of every member for every face.

        Returns:
            (N, C) float32 probabilities.
        """
        return self._run(lambda member, faces: logits[member, faces], logits.shape[1])[0]

    def _run(self, member_logits: MemberLogits, count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        depth = self.depth  # read once: the thermal monitor may change it from its own thread
        return run_cascade(
            member_logits,
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


def measure_members(
    members: Sequence[Member], rounds: int = 15, statistic: Callable[[list[float]], np.floating] = np.median
) -> list[float]:
    """Measure how long each member takes for one face.

    The members are timed in turns, so that a change of the machine's load meets all of them.

    Args:
        members: The M members.
        rounds: Timed calls per member, after two for warming up.
        statistic: Reduces a member's times to one number.

    Returns:
        (M,) milliseconds per face.
    """
    crop = np.random.default_rng(0).integers(0, 256, (1, FACE_SIZE, FACE_SIZE), np.uint8)
    times: list[list[float]] = [[] for _ in members]
    for turn in range(rounds + 2):
        for member, milliseconds in zip(members, times, strict=True):
            start = perf_counter()
            member.logits(crop)
            if turn >= 2:
                milliseconds.append(1000 * (perf_counter() - start))
    return [float(statistic(milliseconds)) for milliseconds in times]
