"""Viewers of the live page: clients in one event loop that read, discard, and note what arrived when."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from time import perf_counter, process_time
from typing import Literal

from fer_edge.benchmarks.page_connection import Connection
from fer_edge.benchmarks.page_process import PageProcess

Client = Literal["page", "player"]
"""A browser with the page, which requests picture after picture and listens to events; or a player of the stream."""

WARM_UP = 1.0
"""Seconds before the measurement, in which the viewers connect."""

STATE_RATE = 20.0
"""Requests of /api/state per second, by one further client on a kept connection."""

_FRAME = re.compile(rb"x-frame: (\d+)", re.IGNORECASE)


@dataclass
class Figures:
    """What viewers got, over one or several measurements of the same number of them.

    Attributes:
        state: Milliseconds from a request of /api/state to its complete answer.
        interval: Milliseconds from one picture to the next, of all viewers.
        behind: Milliseconds after the first viewer that each other viewer got the same picture.
        event_interval: Milliseconds from one state event to the next.
        pictures: Pictures received.
        skipped: Frames between two pictures that a viewer got.
        seconds: Length of the measurements.
        server_cpu: Processor seconds of the server's process in them.
        client_cpu: Processor seconds of this process in them.
        client_lag: Milliseconds by which this process's timers were late.
    """

    state: list[float] = field(default_factory=list)
    interval: list[float] = field(default_factory=list)
    behind: list[float] = field(default_factory=list)
    event_interval: list[float] = field(default_factory=list)
    pictures: int = 0
    skipped: int = 0
    seconds: float = 0.0
    server_cpu: float = 0.0
    client_cpu: float = 0.0
    client_lag: list[float] = field(default_factory=list)


class _PictureViewer:
    """Gets pictures: the page's way, one request each, or as a stream.

    arrivals: time and frame number of each picture.
    """

    def __init__(self, page: PageProcess, client: Client) -> None:
        self.arrivals: list[tuple[float, int]] = []
        self._client = client
        self.connection = Connection(page, self._on_message)

    def start(self) -> None:
        self.connection.get("/stream.mjpg" if self._client == "player" else "/frame.jpg")

    def _on_message(self, head: bytes) -> None:
        frame = _FRAME.search(head)
        if frame is not None:
            self.arrivals.append((perf_counter(), int(frame[1])))
        if self._client == "page":
            number = self.arrivals[-1][1] if self.arrivals else 0
            self.connection.get(f"/frame.jpg?after={number}")


class _EventViewer:
    """Listens to the page's events; arrivals: time of each state event."""

    def __init__(self, page: PageProcess) -> None:
        self.arrivals: list[float] = []
        self.connection = Connection(page, self._on_message, end=b"\n\n")

    def start(self) -> None:
        self.connection.get("/api/events")

    def _on_message(self, event: bytes) -> None:
        if b"event: state" in event:
            self.arrivals.append(perf_counter())


class _StateClient:
    """Requests /api/state at `STATE_RATE` on one connection."""

    def __init__(self, page: PageProcess, figures: Figures) -> None:
        self._figures = figures
        self._answer: asyncio.Future[None]
        self.connection = Connection(page, lambda _: self._answer.set_result(None))

    async def request(self, seconds: float) -> None:
        """Request states for some seconds."""
        start = perf_counter()
        for index in range(max(1, int(seconds * STATE_RATE))):
            due = start + index / STATE_RATE
            if due > perf_counter():
                await asyncio.sleep(due - perf_counter())
                self._figures.client_lag.append(1000 * (perf_counter() - due))
            sent, self._answer = perf_counter(), asyncio.get_running_loop().create_future()
            self.connection.get("/api/state")
            await self.connection.reply(self._answer)
            self._figures.state.append(1000 * (perf_counter() - sent))


async def watch(page: PageProcess, client: Client, count: int, seconds: float, figures: Figures) -> None:
    """Let viewers watch for some seconds, and add what they got to the figures.

    Args:
        page: The server.
        client: What the viewers are.
        count: Number of viewers; 0 measures the server alone.
        seconds: Length of the measurement, after `WARM_UP`.
        figures: To add to.

    Raises:
        ResultError: The server refused a request or closed a connection.
    """
    viewers = [_PictureViewer(page, client) for _ in range(count)]
    listeners = [_EventViewer(page) for _ in range(count if client == "page" else 0)]
    state = _StateClient(page, figures)
    connections = [each.connection for each in viewers] + [each.connection for each in listeners] + [state.connection]
    with ExitStack() as closing:
        for connection in connections:
            await connection.open()
            closing.callback(connection.close)
        for viewer in viewers:
            viewer.start()
        for listener in listeners:
            listener.start()
        await asyncio.sleep(WARM_UP)
        start, server_cpu, client_cpu = perf_counter(), page.cpu_seconds(), process_time()
        await state.request(seconds)
        end = perf_counter()
        figures.seconds += end - start
        figures.server_cpu += page.cpu_seconds() - server_cpu
        figures.client_cpu += process_time() - client_cpu
        for connection in connections:
            connection.check()
    add_pictures(figures, [each.arrivals for each in viewers], start, end)
    for listener in listeners:
        times = [time for time in listener.arrivals if start <= time <= end]
        figures.event_interval += [1000 * (after - before) for before, after in pairwise(times)]


def add_pictures(figures: Figures, arrivals: Sequence[Sequence[tuple[float, int]]], start: float, end: float) -> None:
    """Add the pictures that viewers got between two times.

    Args:
        figures: To add to.
        arrivals: For each viewer, time in seconds and frame number of its pictures, in order.
        start: Seconds by the same clock.
        end: Seconds, too.
    """
    by_frame = defaultdict[int, list[float]](list)
    for each in arrivals:
        inside = [(time, number) for time, number in each if start <= time <= end]
        figures.pictures += len(inside)
        for (before, old), (after, new) in pairwise(inside):
            figures.interval.append(1000 * (after - before))
            figures.skipped += new - old - 1
        for time, number in inside:
            by_frame[number].append(time)
    for times in by_frame.values():
        first, *others = sorted(times)
        figures.behind += [1000 * (time - first) for time in others]
