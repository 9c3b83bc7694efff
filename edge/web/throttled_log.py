"""Warnings about what others may cause as often as they like."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic

INTERVAL = 60.0
"""Seconds between two lines."""


class ThrottledLog:
    """Logs one warning a minute, and how many others were left out since.

    Args:
        name: The logger's name.
        clock: Seconds.
    """

    def __init__(self, name: str, clock: Callable[[], float] = monotonic) -> None:
        self._logger, self._clock = logging.getLogger(name), clock
        self._next, self._left_out = clock(), 0

    def warning(self, text: str) -> None:
        """Log the line, or count it."""
        now = self._clock()
        if now < self._next:
            self._left_out += 1
            return
        more = f" ({self._left_out} more like this since the last line)" if self._left_out else ""
        self._next, self._left_out = now + INTERVAL, 0
        self._logger.warning("%s%s", text, more)
