"""A source whose frames are rotated and mirrored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.sources.base_source import SourceWrapper
from fer_edge.edge.types import Frame, Source

ROTATIONS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


def rotate_picture(pixels: NDArray[np.uint8], degrees: int, mirror: bool) -> NDArray[np.uint8]:
    """Rotate a picture clockwise by 0, 90, 180 or 270 degrees, then mirror it left to right; no pixel is resampled."""
    if degrees:
        pixels = np.asarray(cv2.rotate(pixels, ROTATIONS[degrees]), np.uint8)
    return np.asarray(cv2.flip(pixels, 1), np.uint8) if mirror else pixels


def as_flips(degrees: int, mirror: bool) -> tuple[bool, bool] | None:
    """Express the same as two flips, left to right and upside down; None for a rotation by 90 or 270 degrees."""
    return (mirror != (degrees == 180), degrees == 180) if degrees in (0, 180) else None


class RotatedSource(SourceWrapper):
    """A source whose frames are rotated, then mirrored, when they are taken: dropped frames cost nothing."""

    def __init__(self, source: Source, degrees: int, mirror: bool) -> None:
        super().__init__(source)
        self._degrees, self._mirror = degrees, mirror

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._source:
            small = None if frame.small is None else rotate_picture(frame.small, self._degrees, self._mirror)
            yield replace(frame, pixels=rotate_picture(frame.pixels, self._degrees, self._mirror), small=small)
