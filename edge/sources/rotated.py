"""A source whose pictures are turned and mirrored before anybody sees them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.sources import Source
from fer_edge.edge.sources.capture import BaseSource
from fer_edge.edge.types import Frame

QUARTERS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


def turn(pixels: NDArray[np.uint8], rotate: int, mirror: bool) -> NDArray[np.uint8]:
    """The picture rotated clockwise by 0, 90, 180 or 270 degrees, then mirrored left to right; no pixel is changed."""
    if rotate:
        pixels = np.asarray(cv2.rotate(pixels, QUARTERS[rotate]), np.uint8)
    return np.asarray(cv2.flip(pixels, 1), np.uint8) if mirror else pixels


def flips(rotate: int, mirror: bool) -> tuple[bool, bool] | None:
    """The same as two flips, left to right and upside down; None for a quarter turn, which is none."""
    return (mirror != (rotate == 180), rotate == 180) if rotate in (0, 180) else None


class RotatedSource(BaseSource):
    """The source's frames, turned when they are taken: those that nobody has time for cost nothing."""

    def __init__(self, source: Source, rotate: int, mirror: bool) -> None:
        self._source, self._rotate, self._mirror = source, rotate, mirror
        self.live, self.continuous = source.live, source.continuous
        self.name, self.fps = source.name, source.fps

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._source:
            small = None if frame.small is None else turn(frame.small, self._rotate, self._mirror)
            yield replace(frame, pixels=turn(frame.pixels, self._rotate, self._mirror), small=small)

    @property
    def problem(self) -> str | None:  # type: ignore[override]
        return self._source.problem

    @property
    def dropped(self) -> int:  # type: ignore[override]
        return self._source.dropped

    @property
    def disconnected(self) -> float:  # type: ignore[override]
        return self._source.disconnected

    def stop(self) -> None:
        self._source.stop()

    def close(self) -> None:
        self._source.close()
