"""The ensemble: members' probabilities, each softened by one temperature, averaged by weight."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import ModelError
from fer_edge.edge.expression.cascade import (
    Cascade,
    CascadeClassifier,
    OperatingPoint,
    cascade_from,
    mean_time,
    member_times,
    point_within_budget,
    record_timings,
)
from fer_edge.edge.expression.classifier import Classifier, TFLiteClassifier, open_member
from fer_edge.edge.expression.model_spec import parse_model_spec
from fer_edge.edge.expression.scores import fuse
from fer_edge.edge.files import write_json
from fer_edge.edge.types import EMOTIONS

if TYPE_CHECKING:
    from concurrent.futures import Executor


@dataclass(frozen=True)
class EnsembleConfig:
    """What `ensemble.json` holds. members: .tflite files beside it. weights sum to 1.

    temperature divides every member's logits in the ensemble; alone has each member's where it runs by itself.
    offsets: (7,) what is added to each class's softened logit in the ensemble: what makes each as common as it is,
    and what favours rare ones.
    cascade: how it may stop early, its members being in the order in which they are asked.
    """

    members: tuple[str, ...]
    weights: tuple[float, ...]
    temperature: float
    alone: tuple[float, ...]
    offsets: tuple[float, ...] = (0.0,) * len(EMOTIONS)
    fitted_on: str = ""
    cascade: Cascade | None = None


class Ensemble:
    """Several members as one classifier; a single model is an ensemble of one.

    lanes: the members' indices by the thread that asks them; one lane, the caller's own, unless told otherwise.
    """

    def __init__(
        self,
        members: list[TFLiteClassifier],
        weights: Sequence[float],
        temperature: float,
        offsets: Sequence[float] = (0.0,),
        lanes: Sequence[Sequence[int]] = (),
    ) -> None:
        self.members = members
        self.temperature = temperature
        self.offsets = np.asarray(offsets, np.float32)
        self.weights = np.asarray(weights, np.float32)
        self._own, *self._others = lanes or [range(len(members))]
        self._pool = self._workers(len(self._others)) if self._others else None

    @staticmethod
    def _workers(count: int) -> Executor:
        from concurrent.futures import ThreadPoolExecutor  # here: every start would wait for it

        return ThreadPoolExecutor(count, "member")

    @property
    def description(self) -> str:
        """The members' names and their runtime."""
        names = " + ".join(member.path.stem for member in self.members)
        return f"{names} ({self.members[0].runtime})"

    def __call__(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, 48, 48) uint8 gray faces to (N, 7) float32 probabilities."""
        if len(crops) == 0:
            return np.empty((0, 7), np.float32)
        return self.fused(self._logits(crops))

    def _logits(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The members' (M, N, 7) logits, each lane's one after another, the lanes side by side."""
        logits = np.empty((len(self.members), len(crops), len(EMOTIONS)), np.float32)

        def ask(lane: Sequence[int]) -> None:
            for member in lane:
                logits[member] = self.members[member].logits(crops)

        others = [self._pool.submit(ask, lane) for lane in self._others] if self._pool else []
        ask(self._own)
        for other in others:
            other.result()
        return logits

    def record_timings(self) -> dict[str, list[float]]:
        """Record the seconds of every invocation from now on, in the lists that it returns by member name."""
        return record_timings(self.members)

    def cascade(self, cascade: Cascade, point: OperatingPoint | None = None) -> CascadeClassifier:
        """The same members as a cascade, at that point of it or the chosen one; they are shared, not opened again."""
        point = point or cascade.points[cascade.chosen]
        return CascadeClassifier(self.members, self.weights, self.offsets, cascade, point, self.description)

    def fused(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """The members' (M, N, 7) logits to (N, 7) probabilities."""
        return fuse(logits, self.weights, self.temperature, self.offsets)


def open_classifier(spec: str = "ensemble", threads: int = 1) -> Ensemble:
    """A shipped model by name, 'ensemble', or a path to a .tflite file or an ensemble .json.

    With more threads than one an ensemble's members run side by side, which gains more than threads within each
    (`fer-edge bench batching`).
    ModelError where a file is missing, has no card, or is not the one its card describes.
    """
    model = parse_model_spec(spec)
    if model.kind == "ensemble":
        return _open_ensemble(model.path, threads, most_lanes=threads)
    return _open_single(model.path, threads)


def _open_single(path: Path, threads: int) -> Ensemble:
    member, _ = open_member(path, threads)
    return Ensemble([member], [1.0], temperature_alone(path))


def temperature_alone(path: Path) -> float:
    """What calibrates a model that runs by itself: from the ensemble file beside it, 1 where there is none."""
    beside = path.parent / "ensemble.json"
    if not beside.exists():
        return 1.0
    config = read_ensemble(beside)
    return dict(zip(config.members, config.alone, strict=True)).get(path.name, 1.0)


def _open_ensemble(path: Path, threads: int, most_lanes: int) -> Ensemble:
    """Lanes share the threads; where some are left over, the lanes with the largest members have one more each."""
    config = read_ensemble(path)
    paths = [path.parent / name for name in config.members]
    lanes = share_out([file.stat().st_size if file.exists() else 0 for file in paths], most_lanes)
    members: dict[int, TFLiteClassifier] = {}
    for turn, lane in enumerate(lanes):
        crew = threads // len(lanes) + (turn < threads % len(lanes))
        members |= {member: open_member(paths[member], crew)[0] for member in lane}
    in_order = [members[member] for member in range(len(paths))]
    return Ensemble(in_order, config.weights, config.temperature, config.offsets, lanes)


def share_out(costs: Sequence[float], threads: int) -> list[list[int]]:
    """The members' indices in at most so many lanes, the costliest first, each to the lane with the least to do."""
    lanes: list[list[int]] = [[] for _ in range(min(max(threads, 1), len(costs)))]
    for member in sorted(range(len(costs)), key=lambda member: -costs[member]):
        min(lanes, key=lambda lane: sum(costs[each] for each in lane)).append(member)
    return lanes


def open_early_exit(spec: str = "ensemble", threads: int = 1, budget: float | None = None) -> Classifier:
    """The same as `open_classifier`, with an ensemble that stops as early as its file says.

    budget: milliseconds of classification a face on average; the members are timed here and now. ModelError where
    there is a budget and no cascade to fit into it. A single model, or an ensemble without a cascade, runs as it is.
    """
    model, cascade = parse_model_spec(spec), cascade_of(spec)
    if cascade is None:
        if budget is not None:
            raise ModelError(
                f"--latency-budget: {spec} has no cascade; expected ensemble, or what 'fer-edge ensemble fit' wrote"
            )
        return open_classifier(spec, threads)
    whole = _open_ensemble(model.path, threads, most_lanes=1)  # its members are asked one after another
    if budget is None:
        return whole.cascade(cascade)
    times = member_times(whole.members)
    point = point_within_budget(cascade, times, budget)
    least = mean_time(point, times)
    if least > budget:
        raise ModelError(
            f"--latency-budget {budget:g}: a face takes at least {least:.2f} ms here; expected more than that"
        )
    return whole.cascade(cascade, point)


def cascade_of(spec: str) -> Cascade | None:
    """What an ensemble's file says of stopping early; None for a single model, and where it says nothing."""
    model = parse_model_spec(spec)
    return read_ensemble(model.path).cascade if model.kind == "ensemble" else None


def member_files(spec: str) -> list[Path]:
    """The .tflite files of a model or of an ensemble's members, in order. Raises ModelError."""
    model = parse_model_spec(spec)
    if model.kind == "ensemble":
        return [model.path.parent / name for name in read_ensemble(model.path).members]
    return [model.path]


def read_ensemble(path: Path) -> EnsembleConfig:
    """The ensemble's file; ModelError where it is missing or says something impossible."""
    try:
        stored = json.loads(path.read_text("utf-8"))
        config = EnsembleConfig(
            tuple(str(name) for name in stored["members"]),
            tuple(float(weight) for weight in stored["weights"]),
            float(stored["temperature"]),
            tuple(float(temperature) for temperature in stored["alone"]),
            tuple(float(offset) for offset in stored["offsets"]),
            str(stored.get("fitted_on", "")),
            cascade_from(stored["cascade"], len(stored["members"])) if stored.get("cascade") else None,
        )
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}; 'fer-edge ensemble fit' writes it") from None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ModelError(f"{path} is no ensemble file: {error!r}; 'fer-edge ensemble fit' writes it") from None
    if not len(config.members) == len(config.weights) == len(config.alone) > 0:
        raise ModelError(f"{path}: expected as many weights and temperatures as members, and at least one")
    if len(config.offsets) != len(EMOTIONS):
        raise ModelError(f"{path}: expected {len(EMOTIONS)} offsets, one for each class, found {len(config.offsets)}")
    if not all(map(math.isfinite, (*config.weights, config.temperature, *config.alone, *config.offsets))):
        raise ModelError(f"{path}: a weight, temperature or offset is no finite number")
    if min(config.weights) <= 0 or abs(sum(config.weights) - 1) > 1e-3:  # a file's digits are rounded
        raise ModelError(f"{path}: the weights are {config.weights}, expected each above 0 and a sum of 1")
    if min(config.temperature, *config.alone) <= 0:
        raise ModelError(f"{path}: a temperature is {min(config.temperature, *config.alone)}, expected more than 0")
    return config


def write_ensemble(path: Path, config: EnsembleConfig) -> Path:
    """Write the ensemble's file, complete or not at all."""
    return write_json(path, asdict(config))
