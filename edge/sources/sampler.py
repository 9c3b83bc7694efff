"""Which frames of a recording are taken at an interval."""

from __future__ import annotations

TIME_STEP = 1e-4
"""Seconds by which a frame may come too early: containers round times."""


class Sampler:
    """Takes the first frame, and then the first one at or after each multiple of an interval.

    Args:
        interval: Seconds, counted from the first frame; 0 takes every frame.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._start: float | None = None
        self._due = 0

    def takes(self, time: float) -> bool:
        """Whether a frame is taken.

        Args:
            time: Its seconds, not before those of the last one.
        """
        if self._start is None:
            self._start = time
        elapsed = time - self._start + TIME_STEP
        if self._interval and elapsed < self._due * self._interval:
            return False
        if self._interval:
            self._due = int(elapsed / self._interval) + 1
        return True
