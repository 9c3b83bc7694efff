"""A source that is away, told to sinks which no frame reaches meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable

INTERVAL = 1.0
"""Seconds between two looks."""


class DisconnectMonitor:
    """A thread that looks now and then, and tells for how many seconds a source has been away, while it is.

    away: a source's, 0 while it is there.
    """

    def __init__(
        self, disconnected: Callable[[], float], tell: Callable[[float], None], interval: float = INTERVAL
    ) -> None:
        self._away, self._tell, self._interval = disconnected, tell, interval
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="absence", daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(self._interval):
            if seconds := self._away():
                self._tell(seconds)

    def close(self) -> None:
        """Tell nothing more."""
        self._ended.set()
        self._thread.join(1.0)
