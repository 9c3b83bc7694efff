"""The operating points of an early exit: how sure an answer must be, what that costs and what it loses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.001, 1000.0
"""Range of a temperature; beyond it all scores are 0 and 1, or equal, or no numbers in float32."""


@dataclass(frozen=True)
class OperatingPoint:
    """One trade-off between accuracy and time for a cascade of M members.

    Attributes:
        thresholds: (M - 1,) confidences, 0..1, from which the next member is not run; above 1 it always is.
        reach: (M,) share of the faces, 0..1, that each member ran on, on the split that the cascade was fitted on.
        accuracy: Accuracy on that split, 0..1.
        loss: Accuracy, 0..1, that the whole ensemble is expected to lose there, by its own calibrated scores.
    """

    thresholds: tuple[float, ...]
    reach: tuple[float, ...]
    accuracy: float
    loss: float


@dataclass(frozen=True)
class Cascade:
    """The early exit of an ensemble of M members.

    Attributes:
        temperatures: (M,) temperatures that calibrate the fused scores of the first 1, 2 … M members.
        points: Operating points, from the cheapest to the one that loses least.
        default: Index of the point to run unless a latency budget selects another.
    """

    temperatures: tuple[float, ...]
    points: tuple[OperatingPoint, ...]
    default: int

    @property
    def default_point(self) -> OperatingPoint:
        """The operating point to run unless a latency budget selects another."""
        return self.points[self.default]


def select_point(cascade: Cascade, times: Sequence[float], budget: float) -> OperatingPoint:
    """Select the operating point that loses least accuracy within a latency budget.

    Args:
        cascade: The cascade of M members.
        times: (M,) time of each member per face.
        budget: Mean time per face, in the same unit.

    Returns:
        The point, or the cheapest one where none is within the budget.
    """
    affordable = [point for point in cascade.points if mean_time(point, times) <= budget]
    if not affordable:
        return min(cascade.points, key=lambda point: mean_time(point, times))
    return min(affordable, key=lambda point: (point.loss, mean_time(point, times)))


def mean_time(point: OperatingPoint, times: Sequence[float]) -> float:
    """The expected time per face at an operating point, in the unit of the members' (M,) times."""
    return float(np.dot(point.reach, times))


def parse_cascade(stored: Any, members: int) -> Cascade:
    """Read the "cascade" of an ensemble's JSON file.

    Args:
        stored: The JSON value.
        members: Number of the ensemble's members, M.

    Returns:
        The cascade, checked.

    Raises:
        ValueError, KeyError, TypeError: The value is no cascade of that many members.
    """
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
    if not 0 <= cascade.default < len(points) or not all(
        MIN_TEMPERATURE <= each <= MAX_TEMPERATURE for each in cascade.temperatures
    ):
        raise ValueError(
            f"expected 'chosen' to be the index of a point, temperatures {MIN_TEMPERATURE} to {MAX_TEMPERATURE}"
        )
    if not all(map(math.isfinite, (value for each in points for value in (*each.thresholds, *each.reach, each.loss)))):
        raise ValueError("expected finite thresholds, reach and loss")
    return cascade
