"""Timed calls in rounds, and what is reported of their times."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

ROUNDS = 10
"""Rounds in which calls are measured: each round has some of every model's, so that slow drift affects all alike."""

SEED = 0
"""Seed of the random pictures that are timed; the kernels' time does not depend on the values."""


def timed(call: Callable[[], object], count: int) -> list[float]:
    """Call a function several times.

    Args:
        call: The function.
        count: Number of calls.

    Returns:
        The milliseconds of each call, by the monotonic clock.
    """
    times = []
    for _ in range(count):
        start = time.perf_counter_ns()
        call()
        times.append((time.perf_counter_ns() - start) / 1e6)
    return times


def summary(times: Sequence[float] | NDArray[np.floating]) -> dict[str, float]:
    """Summarize times.

    Args:
        times: (N,) times in any unit.

    Returns:
        p50, p90, p99 (linear between neighbours), mean, standard deviation, minimum and maximum in the same unit, and
        the count.
    """
    p50, p90, p99 = np.percentile(times, (50, 90, 99))
    figures = {"p50": p50, "p90": p90, "p99": p99, "mean": np.mean(times), "std": np.std(times)}
    figures |= {"min": np.min(times), "max": np.max(times)}
    return {**{name: round(float(value), 4) for name, value in figures.items()}, "count": len(times)}


def percentiles(times: Sequence[float]) -> list[float]:
    """The 0th to 100th percentile, linear between neighbours: a distribution to draw."""
    return [round(float(value), 4) for value in np.percentile(times, range(101))]


def calls_in_round(total: int, index: int, rounds: int = ROUNDS) -> int:
    """How many of the calls belong to a round, where they are spread over the rounds as evenly as possible.

    Args:
        total: All calls.
        index: The round, from 0.
        rounds: Number of rounds.
    """
    return total // rounds + (index < total % rounds)
