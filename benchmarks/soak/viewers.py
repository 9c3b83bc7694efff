"""Viewers of the live page that come and go, in a thread of their own."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from fer_edge.benchmarks.page_connection import Connection
from fer_edge.benchmarks.page_process import PageProcess

PATHS = ("/stream.mjpg", "/api/events", "/frame.jpg")
"""What viewers request."""

STAY_SECONDS = (0.1, 15.0)
"""Shortest and longest time that a viewer stays before it connects anew."""


class ReconnectingViewers:
    """Several clients that connect, watch for a random time, and connect again.

    Attributes:
        connections: How often one connected.
        refused: How often a connection failed.
    """

    def __init__(self, page: PageProcess, count: int, seed: int) -> None:
        self.connections = self.refused = 0
        self._page, self._count, self._random = page, count, random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        asyncio.set_event_loop(self._loop)
        for index in range(self._count):
            self._loop.create_task(self._come_and_go(PATHS[index % len(PATHS)]))
        self._loop.run_forever()

    async def _come_and_go(self, path: str) -> None:
        while True:
            connection = Connection(self._page, lambda _: None, end=b"\n\n" if path == "/api/events" else b"\r\n\r\n")
            try:
                await connection.open()
            except OSError:
                self.refused += 1
                await asyncio.sleep(1)
                continue
            self.connections += 1
            connection.get(path)
            await asyncio.sleep(self._random.uniform(*STAY_SECONDS))
            connection.close()

    def close(self) -> None:
        """Let all leave."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


@contextmanager
def reconnecting_viewers(page: PageProcess, count: int, seed: int) -> Iterator[ReconnectingViewers]:
    """`ReconnectingViewers` until the end of the block; the arguments are its own."""
    viewers = ReconnectingViewers(page, count, seed)
    try:
        yield viewers
    finally:
        viewers.close()
