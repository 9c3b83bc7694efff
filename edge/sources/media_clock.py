"""Times of a recording's frames: from its time stamps, as far as they can be believed, and its frame rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

DEFAULT_RATE = 25.0
"""Frames per second where neither header nor time stamps have a rate."""

USUAL_RATES = (1.0, 120.0)
"""Frames per second that are believed in a header; others are as often the container's clock, 60000 or 90000."""

RATE_LIMITS = (0.01, 1000.0)
"""Least and largest frame rate that time stamps may give, frames per second."""

MAX_STEP = 24 * 3600.0
"""Largest gap between two frames, seconds; beyond it a time stamp is damaged."""

MAX_DISORDER = 0.5
"""Seconds by which a time stamp may lie before the last one; where it is more, the stamps begin anew."""


def usual_rate(header: float) -> float | None:
    """The frame rate of a header, frames per second; None where it is missing, no number or unusual."""
    return header if USUAL_RATES[0] <= header <= USUAL_RATES[1] else None


def measured_rate(stamps: Sequence[float]) -> float | None:
    """Measure a frame rate.

    Args:
        stamps: Time stamps of consecutive frames, seconds.

    Returns:
        Frames per second within RATE_LIMITS, by the median gap; None without two different stamps.
    """
    gaps = [after - before for before, after in pairwise(stamps) if 0 < after - before < MAX_STEP]
    if not gaps:
        return None
    return min(RATE_LIMITS[1], max(RATE_LIMITS[0], 1 / median(gaps)))


class MediaClock:
    """Makes rising media times of a recording's time stamps.

    A frame whose stamp is missing or repeated comes one frame's duration after the last one. Where stamps jump back, as
    in joined recordings, or far ahead, times go on from there.

    Args:
        rate: Frames per second, for frames without a usable stamp; None for DEFAULT_RATE.
    """

    def __init__(self, rate: float | None) -> None:
        self._step = 1 / (rate or DEFAULT_RATE)
        self._last_stamp = self._last = self._offset = 0.0
        self._started = False

    def time(self, stamp: float) -> float:
        """The next frame's media time.

        Args:
            stamp: Its time stamp as OpenCV gives it, seconds; 0 where it has none.

        Returns:
            Seconds; more than the last frame's.
        """
        if not self._started:
            self._started, self._last_stamp = True, stamp
            if 0 < stamp < MAX_STEP:
                self._last = stamp
            elif 0 < stamp < math.inf:
                self._offset = -stamp
            return self._last
        time = stamp + self._offset
        if not 0 < stamp < math.inf:
            time = self._last + self._step
        elif self._last < time <= self._last + MAX_STEP:
            self._last_stamp = stamp
        elif time > self._last or stamp < self._last_stamp - MAX_DISORDER:
            time = self._last + self._step
            self._offset, self._last_stamp = time - stamp, stamp
        elif stamp > self._last_stamp:  # right, but behind times that were counted: slower, until it has caught up
            time, self._last_stamp = self._last + self._step / 8, stamp
        else:
            time = self._last + self._step
        self._last = time
        return time
