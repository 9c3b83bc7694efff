"""A source whose frames are rotated and mirrored."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.sources.base_source import SourceWrapper
from fer_edge.edge.types import Frame, Picture, Source

ROTATIONS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


def rotate_picture(pixels: NDArray[np.uint8], degrees: int, mirror: bool) -> NDArray[np.uint8]:
    """Rotate a picture clockwise by 0, 90, 180 or 270 degrees, then mirror it left to right; no pixel is resampled."""
    if degrees:
        pixels = np.asarray(cv2.rotate(pixels, ROTATIONS[degrees]), np.uint8)
    return np.asarray(cv2.flip(pixels, 1), np.uint8) if mirror else pixels


def as_flips(degrees: int, mirror: bool) -> tuple[bool, bool] | None:
    """Express the same as two flips, left to right and upside down; None for a rotation by 90 or 270 degrees."""
    return (mirror != (degrees == 180), degrees == 180) if degrees in (0, 180) else None


class RotatedPicture:
    """A picture that is rotated, then mirrored, after it was decoded.

    Attributes:
        size: Width and height after the rotation, pixels.
    """

    def __init__(self, picture: Picture, degrees: int, mirror: bool) -> None:
        self._picture, self._degrees, self._mirror = picture, degrees, mirror
        self._sideways = degrees in (90, 270)
        self.size = picture.size[::-1] if self._sideways else picture.size
        self._rotated: dict[tuple[int, ...], NDArray[np.uint8]] = {}  # by shape

    def at_width(self, width: int, colour: bool) -> NDArray[np.uint8]:
        """The picture at this width or more, see `Frame.at_width`."""
        if self._sideways:  # this width is a height there
            width = math.ceil(width * self._picture.size[0] / self.size[0])
        pixels = self._picture.at_width(width, colour)
        if pixels.shape not in self._rotated:
            self._rotated[pixels.shape] = rotate_picture(pixels, self._degrees, self._mirror)
        return self._rotated[pixels.shape]

    def prepare(self) -> None:
        """Decode it now as the pictures before it were used, if they were used at all."""
        self._picture.prepare()


class RotatedSource(SourceWrapper):
    """A source whose frames are rotated, then mirrored, when they are taken: dropped frames cost nothing."""

    def __init__(self, source: Source, degrees: int, mirror: bool) -> None:
        super().__init__(source)
        self._degrees, self._mirror = degrees, mirror

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._source:
            yield replace(frame, picture=self._rotate(frame.picture))

    def _rotate(self, picture: NDArray[np.uint8] | Picture) -> NDArray[np.uint8] | Picture:
        if isinstance(picture, np.ndarray):
            return rotate_picture(picture, self._degrees, self._mirror)
        return RotatedPicture(picture, self._degrees, self._mirror)
