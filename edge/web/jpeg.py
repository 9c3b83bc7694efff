"""The newest frame as a JPEG: encoded only on request, once for all viewers, in a thread of its own."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from time import monotonic

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.sinks.draw import FONT, LIGHT, annotate
from fer_edge.edge.web.frame_mailbox import FrameMailbox, PublishedFrame

MAX_RATE = 32.0
"""Pictures per second at most: all frames of a camera with 25 or 30, which come at uneven times, and half of 60.

More look no smoother, and the models need the processor.
"""

MAX_WIDTH = 1280
"""Pixels; wider frames are scaled down to this."""

QUALITY = 80
"""Of JPEG; a frame of 640x480 has about 50 kB."""


BOUNDARY = "fer-edge-frame"
"""Separates the pictures of the MJPEG stream, RFC 2046."""


@dataclass(frozen=True)
class Picture:
    """An annotated JPEG, and the number of the frame that it shows."""

    number: int
    jpeg: bytes

    @cached_property
    def part(self) -> bytes:
        """The picture as a part of the MJPEG stream, copied once for all viewers."""
        head = (
            f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\n"
            f"X-Frame: {self.number}\r\nContent-Length: {len(self.jpeg)}\r\n\r\n"
        )
        return b"%b%b\r\n" % (head.encode(), self.jpeg)


def encode(newest: PublishedFrame) -> Picture:
    """The frame with boxes and labels but without score bars, which the page shows itself."""
    pixels = annotate(newest.frame, newest.predictions, panels=0)
    return Picture(newest.number, _jpeg(pixels))


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    height, width = pixels.shape[:2]
    if width > MAX_WIDTH:
        size = (MAX_WIDTH, max(1, round(height * MAX_WIDTH / width)))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def encode_outdated(newest: PublishedFrame, notice: str) -> Picture:
    """The frame darkened and without boxes, below a notice (ASCII): not to be taken for what is there now."""
    pixels = np.asarray(annotate(newest.frame, [], panels=0) * 0.3, np.uint8)
    height, width = pixels.shape[:2]
    scale = 0.9 * width / cv2.getTextSize(notice, FONT, 1.0, 2)[0][0]
    where = (round(0.05 * width), height // 2)
    cv2.putText(pixels, notice, where, FONT, scale, LIGHT, max(1, round(2 * scale)), cv2.LINE_AA)
    return Picture(newest.number, _jpeg(pixels))


class RateLimit:
    """Spaces what starts at irregular times so that it starts at most so often a second on average."""

    def __init__(self, rate: float) -> None:
        self._period = 1 / rate
        self._next = 0.0

    def wait(self, now: float) -> float:
        """Seconds to wait before the next start, which is then counted."""
        start = max(self._next, now)
        self._next = max(self._next + self._period, start)  # a late start does not delay those after it
        return start - now


class JpegEncoder:
    """Encodes the newest frame for all viewers who wait for it, at `MAX_RATE` at most.

    Attributes:
        count: Pictures encoded so far.
    """

    def __init__(self, mailbox: FrameMailbox) -> None:
        self._mailbox = mailbox
        self.count = 0
        self._thread = ThreadPoolExecutor(1, "jpeg")
        self._newest = Picture(0, b"")
        self._outdated: tuple[str, Picture] = ("", self._newest)
        self._encoding: asyncio.Task[None] | None = None
        self._limit = RateLimit(MAX_RATE)

    async def after(self, number: int, timeout: float = 10.0) -> Picture | None:
        """Wait for a picture of another frame than `number`.

        Returns:
            The newest such picture; None after `timeout` seconds without a frame, or when the program ends.
        """
        newest = await self._mailbox.after(number, timeout)
        if newest is None:
            return None
        while self._newest.number < newest.number:
            if self._encoding is None or self._encoding.done():
                self._encoding = asyncio.create_task(self._encode())
            await asyncio.shield(self._encoding)  # a viewer that leaves must not cancel what others wait for
        return self._newest

    async def outdated(self, notice: str) -> Picture | None:
        """The newest frame as a picture that is no longer true, encoded once for all; None before the first frame."""
        newest = self._mailbox.newest
        if newest is None:
            return None
        if (notice, newest.number) != (self._outdated[0], self._outdated[1].number):
            picture = await asyncio.get_running_loop().run_in_executor(self._thread, encode_outdated, newest, notice)
            self._outdated = (notice, picture)
        return self._outdated[1]

    async def _encode(self) -> None:
        await asyncio.sleep(self._limit.wait(monotonic()))
        newest = self._mailbox.newest
        if newest is not None and newest.number != self._newest.number:
            self._newest = await asyncio.get_running_loop().run_in_executor(self._thread, encode, newest)
            self.count += 1

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(cancel_futures=True)
