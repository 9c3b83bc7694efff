"""The newest frame and its predictions, handed from the engine's thread to the server's."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

from fer_edge.edge.types import Frame, Prediction
from fer_edge.edge.web.history import History


@dataclass(frozen=True, eq=False)
class PublishedFrame:
    """A frame that the engine is through with. number: counts from 1. at: seconds since the start."""

    number: int
    frame: Frame
    predictions: Sequence[Prediction]
    at: float


class FrameMailbox:
    """Keeps the newest frame alone, so that nothing waits for a viewer and no viewer sees an old one.

    `put` is the engine's and returns at once; `after` is the server's. ended: no further frame will come.
    closing: the program ends. emotions: faces so far, by what they looked like.
    """

    def __init__(self) -> None:
        self.newest: PublishedFrame | None = None
        self.history = History()
        self.emotions: Counter[str] = Counter()
        self.ended = self.closing = False
        self._start = monotonic()
        self._awaited = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()

    def age(self) -> float:
        """Seconds since the start."""
        return monotonic() - self._start

    def put(self, frame: Frame, predictions: Sequence[Prediction]) -> None:
        """Make this the newest frame and wake who waits for one."""
        number = self.newest.number + 1 if self.newest else 1
        at = self.age()
        self.history.add(at, predictions)
        self.emotions.update(prediction.emotion for prediction in predictions)
        self.newest = PublishedFrame(number, frame, predictions, at)
        if self._awaited:
            self._awaited = False
            self._wake()

    def end(self, closing: bool = False) -> None:
        """Say that no frame will come any more, and with `closing` that nothing will."""
        self.history.finish()
        self.ended, self.closing = True, self.closing or closing
        self._wake()

    def _wake(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def after(self, number: int, patience: float) -> PublishedFrame | None:
        """The newest frame as soon as it is another than `number`; None after `patience` s, or when closing."""
        end = monotonic() + patience
        self._loop = asyncio.get_running_loop()
        while not self.closing:
            news = self._news
            self._awaited = True  # before looking: a frame put in between is seen here, a later one wakes us
            if self.newest is not None and self.newest.number != number:
                return self.newest
            try:
                await asyncio.wait_for(news.wait(), end - monotonic())
            except TimeoutError:
                return None
        return None
