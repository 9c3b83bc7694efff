"""Counts the viewers: open pages, streams, and clients that fetch single pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from starlette.requests import Request

RECENT_SECONDS = 10.0
"""How long a client that fetched a single picture counts as a viewer: as long as `/frame.jpg` waits for the next."""


class Viewers:
    """Open pages and streams, and recent clients of single pictures that have neither; for the server's thread only.

    A page fetches pictures, too, and is one viewer: a client is known by its address and user agent.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._open = Counter[tuple[str, str]]()
        self._requests: dict[tuple[str, str], float] = {}

    def record_request(self, request: Request) -> None:
        """Note that a client fetches a single picture."""
        self._expire()
        self._requests[_client(request)] = self._clock()

    @contextmanager
    def viewing(self, request: Request) -> Iterator[None]:
        """Count the client as a viewer while the block runs."""
        client = _client(request)
        self._open[client] += 1
        try:
            yield
        finally:
            self._open[client] -= 1
            self._open += Counter()  # drops zeros
            self._requests.pop(client, None)  # a page that closes has fetched a picture just before

    def count(self) -> int:
        """The number of viewers now."""
        self._expire()
        return self._open.total() + len(self._requests.keys() - self._open.keys())

    def _expire(self) -> None:
        now = self._clock()
        self._requests = {client: time for client, time in self._requests.items() if now - time <= RECENT_SECONDS}


def _client(request: Request) -> tuple[str, str]:
    return request.client.host if request.client else "", request.headers.get("user-agent", "")
