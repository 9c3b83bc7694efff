"""One picture or a folder of them, in sorted order."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources.capture import BaseSource
from fer_edge.edge.types import Frame

SUFFIXES = frozenset((".bmp", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"))
"""What counts as a picture in a folder; a file named by itself is tried whatever its name."""


def read_picture(path: Path | str) -> NDArray[np.uint8]:
    """The picture at `path` as (H, W, 3) uint8 BGR, turned as its EXIF says; SourceError if it is none."""
    try:
        with open(path, "rb") as file:
            if not _may_be_picture(file.fileno()):
                raise SourceError(f"{path} is no picture that OpenCV can read; a video is for fer-edge run --source")
            data = np.frombuffer(file.read(), np.uint8)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from None
    try:
        pixels = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except cv2.error:
        pixels = None
    if pixels is None:
        raise SourceError(f"{path} is not a whole picture that OpenCV can read ({data.size} bytes)")
    return np.asarray(pixels, np.uint8)


def _may_be_picture(number: int) -> bool:
    """Whether an open file begins as a picture does: a film is not read whole to learn that. Of a pipe nobody knows."""
    if not stat.S_ISREG(os.fstat(number).st_mode):
        return True
    return cv2.haveImageReader(f"/proc/self/fd/{number}")  # OpenCV 5 dies of a name that is not UTF-8


def list_pictures(path: Path) -> list[Path]:
    """`path` itself, or a folder's pictures sorted by name (not its subfolders'); SourceError if there are none."""
    if not path.is_dir():
        if not path.exists():
            raise SourceError(f"{path}: no such file or folder")
        return [path]
    try:
        found = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
    except OSError as error:
        raise SourceError(f"{path} cannot be listed: {error.strerror}") from None
    if not found:
        raise SourceError(f"{path} holds no pictures ({', '.join(sorted(SUFFIXES))})")
    return found


def read_pictures(paths: Sequence[Path]) -> Iterator[tuple[Path, NDArray[np.uint8] | SourceError]]:
    """Every path with its picture, or with the reason why there is none: one bad picture stops nothing."""
    for path in paths:
        try:
            yield path, read_picture(path)
        except SourceError as error:
            yield path, error


class PictureSource(BaseSource):
    """A picture or a folder of them as frames, one a second; a folder's bad ones are left out and kept in `errors`."""

    continuous = False
    fps: float | None = 1.0

    def __init__(self, path: Path) -> None:
        self._paths = list_pictures(path)
        self.name = str(path)
        self.errors: list[SourceError] = []

    def __iter__(self) -> Iterator[Frame]:
        for index, (_, picture) in enumerate(read_pictures(self._paths)):
            if isinstance(picture, SourceError):
                self.errors.append(picture)
                first = self.errors[0]
                self.problem = f"{len(self.errors)} of {len(self._paths)} pictures could not be read: {first}"
            else:
                yield Frame(picture, index, float(index))
