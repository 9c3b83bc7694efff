"""The newest frame and its predictions, on their way from the run's thread to the server's."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

from fer_edge.edge.types import Frame, Prediction
from fer_edge.edge.web.history import History


@dataclass(frozen=True, eq=False)
class PublishedFrame:
    """A processed frame.

    Attributes:
        number: Counts from 1.
        frame: The frame.
        predictions: Its faces.
        at: Seconds since the mailbox was created.
    """

    number: int
    frame: Frame
    predictions: Sequence[Prediction]
    at: float


class FrameMailbox:
    """Holds only the newest frame, so that the run never waits for a viewer and no viewer sees an old frame.

    `put` is called by the run's thread and returns at once; `after` is called by the server's event loop.

    Attributes:
        newest: The newest frame, or None before the first.
        history: Mean scores of the last minutes.
        emotions: Number of faces so far, by emotion.
        recognition: Whether the newest frame was searched for faces.
        ended: No further frame will come.
        closing: The program ends.
    """

    def __init__(self) -> None:
        self.newest: PublishedFrame | None = None
        self.history = History()
        self.emotions: Counter[str] = Counter()
        self.ended = self.closing = False
        self.recognition = True
        self._start = monotonic()
        self._awaited = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()

    def age(self) -> float:
        """Seconds since the mailbox was created."""
        return monotonic() - self._start

    def put(self, frame: Frame, predictions: Sequence[Prediction], recognition: bool = True) -> None:
        """Make this the newest frame and wake up all `after` calls."""
        self.recognition = recognition
        number = self.newest.number + 1 if self.newest else 1
        at = self.age()
        self.history.add(at, predictions)
        self.emotions.update(prediction.emotion for prediction in predictions)
        self.newest = PublishedFrame(number, frame, predictions, at)
        if self._awaited:
            self._awaited = False
            self._wake()

    def end(self, closing: bool = False) -> None:
        """Mark the end of the frames, and with `closing` of the program."""
        self.history.flush()
        self.ended, self.closing = True, self.closing or closing
        self._wake()

    def _wake(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._set_changed)

    def _set_changed(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def after(self, number: int, timeout: float) -> PublishedFrame | None:
        """Wait for a frame with another number than `number`.

        Returns:
            The newest such frame; None after `timeout` seconds, or when the program ends.
        """
        self._loop = asyncio.get_running_loop()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):  # unlike wait_for, makes no task for each call
                while not self.closing:
                    changed = self._changed
                    self._awaited = True  # before the check, so that a frame that is put meanwhile is noticed
                    if self.newest is not None and self.newest.number != number:
                        return self.newest
                    await changed.wait()
        return None
