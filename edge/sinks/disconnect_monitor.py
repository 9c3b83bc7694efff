"""Reports that a source is disconnected to sinks, which get no frame meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable

INTERVAL = 1.0
"""Seconds between two checks."""


class DisconnectMonitor:
    """Calls `report` from a thread of its own, every `interval` seconds while the source is disconnected.

    Args:
        disconnected: Gives the seconds since the source was lost, 0 while it is connected.
        report: Gets those seconds.
        interval: Seconds between two checks.
    """

    def __init__(
        self, disconnected: Callable[[], float], report: Callable[[float], None], interval: float = INTERVAL
    ) -> None:
        self._disconnected, self._report, self._interval = disconnected, report, interval
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="disconnect-monitor", daemon=True)
        self._thread.start()

    def _loop(self) -> None:
        while not self._closing.wait(self._interval):
            if seconds := self._disconnected():
                self._report(seconds)

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        self._thread.join(1.0)
