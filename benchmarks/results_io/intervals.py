"""The 95 % interval of a ratio of two times, from the turns in which they were measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 4000
"""Bootstrap resamples of an interval."""


def ratio_interval(
    above: Sequence[float] | NDArray[np.floating],
    below: Sequence[float] | NDArray[np.floating],
    *,
    paired: bool,
    middle: Callable[..., Any] = np.median,
) -> tuple[float, float]:
    """The interval of middle(above) / middle(below): percentile bootstrap (Efron 1979), with a fixed seed.

    above and below: a figure of each turn, in one unit. paired: both were measured in the same turns, of which one
    that was slow is drawn for both or for neither; what was measured at another time has turns of its own.
    """
    rng = np.random.default_rng(0)
    first = rng.integers(0, len(above), (RESAMPLES, len(above)))
    second = first if paired else rng.integers(0, len(below), (RESAMPLES, len(below)))
    ratios = middle(np.asarray(above)[first], axis=1) / middle(np.asarray(below)[second], axis=1)
    low, high = np.percentile(ratios, (2.5, 97.5))
    return float(low), float(high)
