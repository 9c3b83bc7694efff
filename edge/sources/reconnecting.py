"""A live source that is opened again when it is lost: a cable that was pulled, a server that was restarted."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources.capture import BaseSource
from fer_edge.edge.types import Frame

if TYPE_CHECKING:
    from fer_edge.edge.sources import Source

log = logging.getLogger(__name__)

FIRST_PAUSE = 0.5
"""Seconds before the first attempt to open it again; each pause is twice the one before."""

STEADY = 10.0
"""Seconds of pictures after which a source that is lost again is tried at once again, not after the last pause."""


class ReconnectingSource(BaseSource):
    """A source, and what `again` opens when it is lost; frames are numbered and timed through all of them.

    The first must give a picture, else its SourceError is raised: a wrong address is no loose cable.
    reconnect_timeout: seconds to try to reconnect, 0 not at all; SourceError after that. longest: seconds that a pause
    between attempts grows to. The logger reports when the source is lost and when it is back.
    """

    live = True

    def __init__(
        self,
        source: Source,
        again: Callable[[], Source],
        reconnect_timeout: float,
        longest: float,
    ) -> None:
        self._source, self._again = source, again
        self._reconnect_timeout, self._longest = reconnect_timeout, longest
        self.name, self.fps, self.continuous = source.name, source.fps, source.continuous
        self._stopped = threading.Event()
        self._began = self._back = time.monotonic()
        self._lost: float | None = None
        self._pause = FIRST_PAUSE

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while True:
            why: SourceError | None = None
            try:
                for frame in self._source:
                    yield replace(frame, index=index, time=time.monotonic() - self._began)
                    index += 1
                    if self._lost is not None:  # away until its frame was taken: whoever waits for one waits on
                        self._welcome(self._lost)
            except SourceError as error:
                why = error
            if index == 0 or self._reconnect_timeout == 0:
                if why is not None:
                    raise why
                return
            if self._stopped.is_set():
                return
            if self._lost is None:
                self._lost = time.monotonic()
                self._miss(self._lost, why)
            if not self._opened(self._lost + self._reconnect_timeout):
                return

    @property
    def disconnected(self) -> float:  # type: ignore[override]
        lost = self._lost  # once: the reader's thread may change it
        return 0.0 if lost is None else time.monotonic() - lost

    def _miss(self, lost: float, why: SourceError | None) -> None:
        if lost - self._back >= STEADY:
            self._pause = FIRST_PAUSE
        log.info("source: lost: %s; reconnecting", why or f"{self.name} ended")

    def _welcome(self, lost: float) -> None:
        self._lost, self._back = None, time.monotonic()
        log.info("source: back after %.0f s: %s", self._back - lost, self._source.name)

    def _opened(self, end: float) -> bool:
        """Try to reconnect until it works; False when stopped, SourceError after the reconnect timeout."""
        self._source.close()
        while True:
            left = end - time.monotonic()
            if left <= 0:
                raise SourceError(f"{self.name} was lost and not back after {self._reconnect_timeout:g} s")
            if self._stopped.wait(min(self._pause, left)):
                return False
            self._pause = min(2 * self._pause, self._longest)
            try:
                self._source = self._again()
                return True
            except SourceError:
                continue

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        self._stopped.set()
        self._source.close()
