"""95 % intervals: of a ratio of two times, of a share, of a mean, of a difference of shares on the same cases."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 4000
"""Bootstrap resamples of an interval."""


def ratio_interval(
    numerator: Sequence[float] | NDArray[np.floating],
    denominator: Sequence[float] | NDArray[np.floating],
    *,
    paired: bool,
    average: Callable[..., Any] = np.median,
) -> tuple[float, float]:
    """The 95 % interval of average(numerator) / average(denominator).

    Percentile bootstrap (Efron 1979) with a fixed seed.

    Args:
        numerator: One value per round.
        denominator: One value per round, in the same unit.
        paired: Whether both were measured in the same rounds, which are then resampled together, so that a slow round
            counts for both.
        average: np.median or np.mean.

    Returns:
        Lower and upper end.
    """
    rng = np.random.default_rng(0)
    first = rng.integers(0, len(numerator), (RESAMPLES, len(numerator)))
    second = first if paired else rng.integers(0, len(denominator), (RESAMPLES, len(denominator)))
    ratios = average(np.asarray(numerator)[first], axis=1) / average(np.asarray(denominator)[second], axis=1)
    low, high = np.percentile(ratios, (2.5, 97.5))
    return float(low), float(high)


def share_interval(hits: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927), which holds for few and for extreme counts.

    Args:
        hits: Number of hits.
        total: Number of trials.

    Returns:
        Lower and upper end, 0..1.
    """
    if not total:
        return 0.0, 1.0
    z, share = 1.96, hits / total
    middle = share + z**2 / (2 * total)
    half = z * (share * (1 - share) / total + z**2 / (4 * total**2)) ** 0.5
    return (middle - half) / (1 + z**2 / total), (middle + half) / (1 + z**2 / total)


def paired_interval(old: NDArray[np.bool_], new: NDArray[np.bool_]) -> tuple[float, float]:
    """The 95 % interval of the difference in accuracy on the same pictures, from the normal distribution.

    Args:
        old: (N,) whether each picture was classified correctly before.
        new: (N,) whether it is now.

    Returns:
        Lower and upper end of accuracy(new) - accuracy(old), -1..1.
    """
    change = new.astype(np.float64) - old
    half = 1.96 * float(np.std(change)) / math.sqrt(len(change))
    return float(change.mean()) - half, float(change.mean()) + half


def mean_interval(values: NDArray[np.floating] | NDArray[np.integer]) -> tuple[float, float]:
    """The 95 % interval of a mean over pictures, from a percentile bootstrap (Efron 1979) with a fixed seed.

    A picture's value may be a mean over changed versions of it: they are resampled together.

    Args:
        values: (N,) values, of which only few differ, such as counts; N at least 1.

    Returns:
        Lower and upper end.
    """
    levels, counts = np.unique(values, return_counts=True)
    resampled = np.random.default_rng(0).multinomial(len(values), counts / len(values), RESAMPLES)
    low, high = np.percentile(resampled @ levels / len(values), (2.5, 97.5))
    return float(low), float(high)
