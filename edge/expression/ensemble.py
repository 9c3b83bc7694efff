"""Several models as one classifier: their calibrated probabilities averaged by weight."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import ModelError, shortened
from fer_edge.edge.expression.cascade import CascadeClassifier, measure_members, record_timings
from fer_edge.edge.expression.classifier import Classifier, TFLiteClassifier, open_member
from fer_edge.edge.expression.ensemble_config import read_ensemble
from fer_edge.edge.expression.model_input import Crops
from fer_edge.edge.expression.model_spec import parse_model_spec
from fer_edge.edge.expression.operating_point import Cascade, OperatingPoint, mean_time, select_point
from fer_edge.edge.expression.scores import fuse
from fer_edge.edge.types import Acceleration

if TYPE_CHECKING:
    from concurrent.futures import Executor


class Ensemble:
    """Several models as one classifier; a single model is an ensemble of one.

    Attributes:
        members: The M models.
        classes: (C,) names of their classes.
        weights: (M,) float32 weights, which sum to 1.
        temperature: Divides the members' logits.
        offsets: (C,) float32 class offsets.
        takes_own_crops: Whether a member takes another crop than the gray one of 48 px.
    """

    def __init__(
        self,
        members: list[TFLiteClassifier],
        weights: Sequence[float],
        temperature: float,
        offsets: Sequence[float] | None = None,
        groups: Sequence[Sequence[int]] = (),
    ) -> None:
        """Make an ensemble of open models.

        Args:
            members: The M models.
            weights: (M,) weights, which sum to 1.
            temperature: Divides the members' logits.
            offsets: (C,) class offsets; None for zeros.
            groups: Indices of the members that each thread runs, the first group in the caller's thread; by default
                one group of all.

        Raises:
            ModelError: The members have different classes.
        """
        self.members, self.classes = members, members[0].classes
        for member in members[1:]:
            if member.classes != self.classes:
                raise ModelError(
                    f"{member.path} has the classes {shortened(', '.join(member.classes))}; expected those of "
                    f"{members[0].path}, {shortened(', '.join(self.classes))}, in the same order"
                )
        self.takes_own_crops = any(member.takes_own_crops for member in members)
        self.temperature = temperature
        self.offsets = np.zeros(len(self.classes), np.float32) if offsets is None else np.asarray(offsets, np.float32)
        self.weights = np.asarray(weights, np.float32)
        self._own_group, *self._other_groups = groups or [range(len(members))]
        self._pool = self._workers(len(self._other_groups)) if self._other_groups else None

    def put_in_order(self, classes: tuple[str, ...]) -> None:
        """Give the scores in another order of the classes from now on; ModelError where the names differ."""
        for member in self.members:
            member.put_in_order(classes)
        self.offsets = self.offsets[[self.classes.index(name) for name in classes]]
        self.classes = classes

    @staticmethod
    def _workers(count: int) -> Executor:
        from concurrent.futures import ThreadPoolExecutor  # here: every start would wait for it

        return ThreadPoolExecutor(count, "member")

    @property
    def description(self) -> str:
        """The members' names and their runtime, for each where they differ."""
        if len({member.runtime for member in self.members}) > 1:
            return " + ".join(member.description for member in self.members)
        names = " + ".join(member.name for member in self.members)
        return f"{names} ({self.members[0].runtime})"

    def __call__(self, crops: Crops) -> NDArray[np.float32]:
        """N faces to (N, C) float32 probabilities."""
        if len(crops) == 0:
            return np.empty((0, len(self.classes)), np.float32)
        return self.fuse(self._logits(crops))

    def _logits(self, crops: Crops) -> NDArray[np.float32]:
        """The members' (M, N, C) logits; the groups run in parallel, a group's members one after another."""
        logits = np.empty((len(self.members), len(crops), len(self.classes)), np.float32)

        def run(group: Sequence[int]) -> None:
            for member in group:
                logits[member] = self.members[member].logits(crops)

        futures = [self._pool.submit(run, group) for group in self._other_groups] if self._pool else []
        run(self._own_group)
        for future in futures:
            future.result()
        return logits

    def record_timings(self) -> dict[str, list[float]]:
        """Record the seconds of every invocation from now on, in the lists that it returns by member name."""
        return record_timings(self.members)

    def cascade(self, cascade: Cascade, point: OperatingPoint | None = None) -> CascadeClassifier:
        """Run the same members, which are shared and not opened again, with early exit.

        Args:
            cascade: Temperatures and operating points.
            point: The operating point; None for the cascade's default.

        Returns:
            The classifier.
        """
        point = point or cascade.default_point
        return CascadeClassifier(self.members, self.weights, self.offsets, cascade, point, self.description)

    def fuse(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """The members' (M, N, C) logits to (N, C) float32 probabilities."""
        return fuse(logits, self.weights, self.temperature, self.offsets)


def open_classifier(spec: str = "ensemble", threads: int = 1, acceleration: Acceleration | None = None) -> Ensemble:
    """Open a model or an ensemble without early exit.

    With more than one thread the members of an ensemble run in parallel, which gains more than threads within each
    (`fer-edge bench batching`).

    Args:
        spec: A shipped model's name, "ensemble", or the path of a .tflite or ensemble .json file.
        threads: Threads in all.
        acceleration: Delegate or accelerator; None for the interpreter alone.

    Returns:
        The classifier.

    Raises:
        ModelError: A file is missing, has no card, or is not the one that its card describes; or what is to accelerate
            it cannot.
    """
    model = parse_model_spec(spec)
    if model.kind == "ensemble":
        return _open_ensemble(model.path, threads, threads, acceleration)
    member, _ = open_member(model.path, threads, acceleration)
    return Ensemble([member], [1.0], read_temperature(model.path))


def open_early_exit(
    spec: str = "ensemble",
    threads: int = 1,
    budget: float | None = None,
    acceleration: Acceleration | None = None,
) -> Classifier:
    """Open an ensemble with early exit; a single model or an ensemble without it opens as `open_classifier` does.

    Args:
        spec: As for `open_classifier`.
        threads: Threads of each model; with early exit they run one after another.
        budget: Mean milliseconds per face that the models may take; the members are timed now, on this machine. None
            for the default operating point.
        acceleration: As for `open_classifier`.

    Returns:
        The classifier.

    Raises:
        ModelError: As for `open_classifier`; or there is a budget, and no early exit or no point within the budget.
    """
    model, cascade = parse_model_spec(spec), read_cascade(spec)
    if cascade is None:
        if budget is not None:
            raise ModelError(
                f"--latency-budget: {spec} has no early exit; expected ensemble, or what 'fer-edge ensemble fit' wrote"
            )
        return open_classifier(spec, threads, acceleration)
    whole = _open_ensemble(model.path, threads, 1, acceleration)
    if budget is None:
        return whole.cascade(cascade)
    times = measure_members(whole.members)
    point = select_point(cascade, times, budget)
    cheapest = mean_time(point, times)
    if cheapest > budget:
        raise ModelError(
            f"--latency-budget {budget:g}: the models take at least {cheapest:.2f} ms per face on this machine; "
            "expected more than that"
        )
    return whole.cascade(cascade, point)


def read_cascade(spec: str) -> Cascade | None:
    """The early exit of an ensemble; None for a single model and for an ensemble without it. Raises ModelError."""
    model = parse_model_spec(spec)
    return read_ensemble(model.path).cascade if model.kind == "ensemble" else None


def member_files(spec: str) -> list[Path]:
    """The .tflite files of an ensemble's members, in order, or the one of a single model. Raises ModelError."""
    model = parse_model_spec(spec)
    if model.kind == "ensemble":
        return [model.path.parent / name for name in read_ensemble(model.path).members]
    return [model.path]


def read_temperature(path: Path) -> float:
    """The temperature of a .tflite model that runs by itself, from ensemble.json beside it; 1 where that has none.

    Raises ModelError where the ensemble.json is damaged.
    """
    beside = path.parent / "ensemble.json"
    if not beside.exists():
        return 1.0
    config = read_ensemble(beside)
    return dict(zip(config.members, config.member_temperatures, strict=True)).get(path.name, 1.0)


def _open_ensemble(path: Path, threads: int, max_groups: int, acceleration: Acceleration | None) -> Ensemble:
    """Open an ensemble whose groups share the threads; where some are left over, the first groups have one more."""
    config = read_ensemble(path)
    paths = [path.parent / name for name in config.members]
    groups = balanced_groups([file.stat().st_size if os.path.isfile(file) else 0 for file in paths], max_groups)
    members: dict[int, TFLiteClassifier] = {}
    for index, group in enumerate(groups):
        group_threads = threads // len(groups) + (index < threads % len(groups))
        members |= {member: open_member(paths[member], group_threads, acceleration)[0] for member in group}
    in_order = [members[member] for member in range(len(paths))]
    classes = config.classes or in_order[0].classes
    for member in in_order:
        if sorted(member.classes) != sorted(classes) or len(classes) != len(config.offsets):
            named = shortened(", ".join(config.classes)) if config.classes else f"{len(config.offsets)} offsets"
            raise ModelError(
                f"{member.path} has the classes {shortened(', '.join(member.classes))}; {path} has {named}"
            )
        member.put_in_order(classes)
    return Ensemble(in_order, config.weights, config.temperature, config.offsets, groups)


def balanced_groups(costs: Sequence[float], count: int) -> list[list[int]]:
    """Distribute the members over at most `count` threads: the costliest first, each to the group that costs least.

    Args:
        costs: (M,) cost of each member, in any unit.
        count: Number of groups at most; at least one is made.

    Returns:
        The members' indices by group, the group of the costliest member first.
    """
    groups: list[list[int]] = [[] for _ in range(min(max(count, 1), len(costs)))]
    for member in sorted(range(len(costs)), key=lambda member: -costs[member]):
        min(groups, key=lambda group: sum(costs[each] for each in group)).append(member)
    return groups
