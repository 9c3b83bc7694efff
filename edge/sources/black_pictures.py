"""A live source whose pictures are black: a lens cap, a privacy shutter, a dead sensor, a stream without a camera."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from fer_edge.edge.sources.base_source import SourceWrapper
from fer_edge.edge.types import Frame, Source

log = logging.getLogger(__name__)

BLACK_LEVEL = 24
"""Gray level that no pixel of a black picture exceeds: a covered sensor still has noise."""

SAMPLE = 32
"""Rows and columns of pixels that are looked at."""

CHECK_INTERVAL = 0.5
"""Seconds of the source's time between two looks, each of which takes 5 us."""

BLACK_SECONDS = 3.0
"""Seconds of black pictures after which they are reported: a camera may begin with some, and a light may go out."""


def is_black(frame: Frame) -> bool:
    """Whether a frame is black, as far as a sample of its pixels shows."""
    pixels = frame.at_width(SAMPLE, colour=False)
    rows, columns = (max(1, side // SAMPLE) for side in pixels.shape[:2])
    return int(pixels[::rows, ::columns].max()) <= BLACK_LEVEL


class BlackPictureMonitor(SourceWrapper):
    """A live source that knows for how long its pictures have been black, and logs it once."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._black = 0.0

    @property
    def black(self) -> float:
        return 0.0 if self.disconnected else self._black

    def __iter__(self) -> Iterator[Frame]:
        next_check, since = 0.0, None
        for frame in self._source:
            if frame.time >= next_check:
                next_check = frame.time + CHECK_INTERVAL
                since = (frame.time if since is None else since) if is_black(frame) else None
                self._report(0.0 if since is None else frame.time - since)
            yield frame

    def _report(self, seconds: float) -> None:
        if seconds < BLACK_SECONDS:
            if self._black:
                log.info("source: the pictures are no longer black, after %.0f s", self._black)
            self._black = 0.0
            return
        if not self._black:
            log.warning("source: %s gives black pictures; is it covered, dark or switched off?", self.name)
        self._black = seconds
