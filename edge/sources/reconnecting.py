"""A live source that is reconnected when it is lost: a cable that was pulled, a server that was restarted."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace

from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources.base_source import SourceWrapper
from fer_edge.edge.types import Frame, Source

log = logging.getLogger(__name__)

FIRST_PAUSE = 0.5
"""Seconds before the first attempt to reconnect; each pause is twice the one before."""

JITTER = 0.25
"""Share by which a pause is randomly shorter or longer, so that many devices do not all come back at once."""

STABLE_AFTER = 0.5
"""Seconds of pictures after which the pauses of a source that is lost again start from the first one."""

SHORT_PAUSE = 2.0
"""Longest pause, seconds, after a connection that gave pictures for less than that: what comes back is worth a try."""

REPORT_AFTER, REPORT_INTERVAL = 60.0, 3600.0
"""Seconds after which the log says why the source is not back yet, and between further such messages."""

LOG_INTERVAL, LOGGED_LOSSES = 60.0, 5
"""Seconds in which at most so many losses are logged; further ones are counted."""


class ReconnectingSource(SourceWrapper):
    """A live source that is reopened when it is lost; frame indices and times rise through all connections.

    The logger reports when the source is lost and when it is back.
    """

    def __init__(
        self, source: Source, reopen: Callable[[], Source], reconnect_timeout: float, max_pause: float
    ) -> None:
        """Wrap an opened source.

        The first connection must give a picture, else iterating raises its SourceError: a wrong address is no loose
        cable.

        Args:
            source: The opened source.
            reopen: Opens it again; raises SourceError while it cannot.
            reconnect_timeout: Seconds to keep reconnecting, after which iterating raises SourceError; 0 not at all.
            max_pause: Longest pause between two attempts, seconds.
        """
        super().__init__(source)
        self.live = True
        self._reopen, self._reconnect_timeout, self._max_pause = reopen, reconnect_timeout, max_pause
        self._stopped = threading.Event()
        self._start = self._back_at = time.monotonic()
        self._logged: deque[float] = deque(maxlen=LOGGED_LOSSES)
        self._not_logged = 0
        self._lost_at: float | None = None
        self._reason: str | None = None
        self._pause = FIRST_PAUSE

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while True:
            failure: SourceError | None = None
            try:
                for frame in self._source:
                    yield replace(frame, index=index, time=time.monotonic() - self._start)
                    index += 1
                    # disconnected until its first frame was taken, so that a waiting reader does not give up before
                    if self._lost_at is not None:
                        self._report_back(self._lost_at)
            except SourceError as error:
                failure = error
            if index == 0 or self._reconnect_timeout == 0:
                if failure is not None:
                    raise failure
                return
            if self._stopped.is_set():
                return
            self._reason = str(failure or f"{self.name} ended")
            if self._lost_at is None:
                self._lost_at = time.monotonic()
                self._report_lost(self._lost_at)
            if not self._reconnect(self._lost_at + self._reconnect_timeout):
                return

    @property
    def disconnected(self) -> float:
        lost_at = self._lost_at  # read once: another thread may change it
        return 0.0 if lost_at is None else time.monotonic() - lost_at

    @property
    def disconnect_reason(self) -> str | None:
        return None if self._lost_at is None else self._reason

    def _report_lost(self, lost_at: float) -> None:
        stable = lost_at - self._back_at >= STABLE_AFTER
        self._pause = FIRST_PAUSE if stable else min(self._pause, SHORT_PAUSE)
        if len(self._logged) == LOGGED_LOSSES and lost_at - self._logged[0] < LOG_INTERVAL:
            self._not_logged += 1
            return
        more = f" ({self._not_logged} more times since the last message)" if self._not_logged else ""
        log.info("source: lost%s: %s; reconnecting", more, self._reason)
        self._logged.append(lost_at)
        self._not_logged = 0

    def _report_back(self, lost_at: float) -> None:
        self._lost_at, self._back_at = None, time.monotonic()
        if not self._not_logged:
            log.info("source: back after %.0f s: %s", self._back_at - lost_at, self._source.name)

    def _reconnect(self, deadline: float) -> bool:
        """Try to reopen the source until it works; False when stopped, SourceError after the deadline."""
        self._source.close()
        next_report = time.monotonic() + REPORT_AFTER
        while True:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise SourceError(
                    f"{self.name} was lost and not back after {self._reconnect_timeout:g} s: {self._reason}"
                )
            pause = self._pause * random.uniform(1 - JITTER, 1 + JITTER)
            if self._stopped.wait(min(pause, remaining)):
                return False
            self._pause = min(2 * self._pause, self._max_pause)
            try:
                self._source = self._reopen()
                return True
            except SourceError as error:
                self._reason = str(error)
            if time.monotonic() >= next_report:
                log.info("source: still disconnected after %.0f s: %s", self.disconnected, self._reason)
                next_report = time.monotonic() + REPORT_INTERVAL

    def stop(self) -> None:
        self._stopped.set()
        self._source.stop()

    def close(self) -> None:
        self._stopped.set()
        self._source.close()
