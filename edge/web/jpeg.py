"""The newest frame as a JPEG: made only when somebody asks, once for all who do, outside the engine's threads."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import monotonic

import cv2
import numpy as np

from fer_edge.edge.sinks.draw import annotate
from fer_edge.edge.web.frame_mailbox import FrameMailbox, PublishedFrame

RATE = 25.0
"""Pictures a second at most: the eye wants no more, and the processor is the networks'."""

WIDEST = 1280
"""Pixels; wider frames are scaled down to this."""

QUALITY = 80
"""Of JPEG; a frame of 640x480 has about 50 kB."""


@dataclass(frozen=True)
class Picture:
    """number: that of the frame it shows."""

    number: int
    jpeg: bytes


def drawn(shown: PublishedFrame) -> Picture:
    """The frame with boxes and labels; the score bars are the page's."""
    pixels = annotate(shown.frame, shown.predictions, panels=0)
    height, width = pixels.shape[:2]
    if width > WIDEST:
        size = (WIDEST, max(1, round(height * WIDEST / width)))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    return Picture(shown.number, cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes())


class JpegEncoder:
    """What viewers are given: each the newest picture, when it has taken its last one. made: how many so far."""

    def __init__(self, live: FrameMailbox) -> None:
        self._live = live
        self.made = 0
        self._thread = ThreadPoolExecutor(1, "jpeg")
        self._newest = Picture(0, b"")
        self._making: asyncio.Task[None] | None = None
        self._next = 0.0

    async def after(self, number: int, patience: float = 10.0) -> Picture | None:
        """A picture of another frame than `number`; None when there is none for `patience` s, or at the end."""
        shown = await self._live.after(number, patience)
        if shown is None:
            return None
        while self._newest.number < shown.number:
            if self._making is None or self._making.done():
                self._making = asyncio.create_task(self._make())
            await asyncio.shield(self._making)  # one viewer that leaves must not stop what others wait for
        return self._newest

    async def _make(self) -> None:
        await asyncio.sleep(self._next - monotonic())
        self._next = monotonic() + 1 / RATE
        shown = self._live.newest
        if shown is not None and shown.number != self._newest.number:
            self._newest = await asyncio.get_running_loop().run_in_executor(self._thread, drawn, shown)
            self.made += 1

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(cancel_futures=True)
