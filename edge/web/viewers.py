"""Who looks: at the page, at the stream, at one picture after another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from starlette.requests import Request

RECENT = 10.0
"""Seconds for which one who has asked for a single picture is a viewer: as long as `/frame.jpg` waits for the next."""


class Viewers:
    """Open pages and streams, and those who have asked for a picture of late and have neither; the server's alone.

    A page asks for pictures, too, and is one viewer: its browser is known by its address and what it calls itself.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._open = Counter[tuple[str, str]]()
        self._asked: dict[tuple[str, str], float] = {}

    def asked(self, request: Request) -> None:
        """Somebody has asked for one picture."""
        self._forget()
        self._asked[_who(request)] = self._clock()

    @contextmanager
    def looking(self, request: Request) -> Iterator[None]:
        """Somebody has the page or the stream open for as long as the context is."""
        who = _who(request)
        self._open[who] += 1
        try:
            yield
        finally:
            self._open[who] -= 1
            self._open += Counter()  # keeps what is more than nothing
            self._asked.pop(who, None)  # who closes a page looks no more, though it has just asked

    def count(self) -> int:
        """How many look."""
        self._forget()
        return self._open.total() + len(self._asked.keys() - self._open.keys())

    def _forget(self) -> None:
        now = self._clock()
        self._asked = {who: when for who, when in self._asked.items() if now - when <= RECENT}


def _who(request: Request) -> tuple[str, str]:
    return request.client.host if request.client else "", request.headers.get("user-agent", "")
