"""When a picture of a recording is shown: a constant rate, at which each frame appears at its time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

MAX_RATE, MAX_LIVE_RATE, MIN_RATE = 240.0, 60.0, 1.0
"""Pictures per second of a recording, beyond which no container, player or board is asked to go."""

DEFAULT_RATE, DEFAULT_LIVE_RATE = 25.0, 10.0
"""Where neither header nor times give a rate."""

MAX_REPEAT = 4.0
"""A header's rate of more than so many times the measured one would only repeat pictures."""


def measured_rate(times: Sequence[float]) -> float | None:
    """Frames per second from the times of successive frames, by their median; None where they do not advance."""
    gaps = [b - a for a, b in pairwise(times) if b > a]
    return 1 / median(gaps) if gaps else None


def live_rate(times: Sequence[float]) -> float:
    """The rate of a live source's video."""
    return min(MAX_LIVE_RATE, max(MIN_RATE, round(measured_rate(times) or DEFAULT_LIVE_RATE, 2)))


def recorded_rate(header: float, times: Sequence[float]) -> float:
    """The rate of a recording's video: its header's, unless that cannot be, or contradicts the frames' times.

    Args:
        header: Nominal rate, frames per second; any number.
        times: Seconds of the first frames.

    Returns:
        Frames per second.
    """
    measured = measured_rate(times)
    rate = header if math.isfinite(header) and 0 < header <= MAX_RATE else measured or DEFAULT_RATE
    if measured is not None and not 0.9 * measured <= rate <= MAX_REPEAT * measured:
        rate = measured
    return min(MAX_RATE, max(MIN_RATE, round(rate, 3)))


class Timeline:
    """Places frames on the pictures of a constant rate: each at its time, off by at most one picture or so.

    Args:
        rate: Pictures per second.
        max_gap: Seconds without a frame that are filled; the rest of a longer gap is left out.
    """

    def __init__(self, rate: float, max_gap: float) -> None:
        self.rate = rate
        self.count = 0
        self._max_gap = max_gap
        self._start = self._last = 0.0

    def left_out(self, time: float) -> float:
        """Seconds before a frame that will be left out."""
        return max(0.0, time - self._last - self._max_gap) if self.count else 0.0

    def place(self, time: float) -> tuple[int, bool]:
        """Place a frame.

        Args:
            time: Its seconds; where they do not advance, it follows the last one at the constant rate.

        Returns:
            How often the frame before it is repeated until then, and whether it gets a picture itself: frames that
            come faster than the rate do not all.
        """
        if self.count == 0:
            self._start = self._last = time
            self.count = 1
            return 0, True
        if time <= self._last:
            time = self._last + 1 / self.rate
        self._start += self.left_out(time)
        self._last = time
        target = round((time - self._start) * self.rate)
        if target < self.count - 1:
            return 0, False
        repeats = max(0, target - self.count)  # one that is a picture early, by a time that jitters, comes next
        self.count += repeats + 1
        return repeats, True
