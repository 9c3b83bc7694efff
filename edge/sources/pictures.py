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
from fer_edge.edge.sources.base_source import BaseSource
from fer_edge.edge.types import Frame

SUFFIXES = frozenset((".bmp", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"))
"""Suffixes of pictures in a folder; a file that is named by itself may have any."""


def read_picture(path: Path | str) -> NDArray[np.uint8]:
    """Read a picture file.

    Args:
        path: A file in any format that OpenCV reads, or a pipe.

    Returns:
        (H, W, 3) uint8 BGR, rotated as its EXIF orientation says.

    Raises:
        SourceError: The file cannot be read, or is no whole picture.
    """
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


def _may_be_picture(descriptor: int) -> bool:
    """Whether an open file begins as a picture does, or is a pipe: a video need not be read as a whole to see that."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        return True
    return cv2.haveImageReader(f"/proc/self/fd/{descriptor}")  # OpenCV 5 dies of a name that is not UTF-8


def list_pictures(path: Path) -> list[Path]:
    """List the pictures of a folder, or the one picture file.

    Args:
        path: A folder, whose subfolders are left out, or a file.

    Returns:
        The folder's pictures sorted by name, or `path` alone.

    Raises:
        SourceError: There is no such path, or the folder has no pictures or cannot be listed.
    """
    if not path.is_dir():
        if not path.exists():
            raise SourceError(f"{path}: no such file or folder")
        return [path]
    try:
        pictures = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
    except OSError as error:
        raise SourceError(f"{path} cannot be listed: {error.strerror}") from None
    if not pictures:
        raise SourceError(f"{path} holds no pictures ({', '.join(sorted(SUFFIXES))})")
    return pictures


def read_pictures(paths: Sequence[Path]) -> Iterator[tuple[Path, NDArray[np.uint8] | SourceError]]:
    """Read pictures one after another; an unreadable one does not end the iteration.

    Args:
        paths: The picture files.

    Yields:
        Each path with its picture, (H, W, 3) uint8 BGR, or with the SourceError that says why it has none.
    """
    for path in paths:
        try:
            yield path, read_picture(path)
        except SourceError as error:
            yield path, error


class PictureSource(BaseSource):
    """A picture or a folder of pictures as frames, one per second; `problem` counts the unreadable ones."""

    continuous = False
    fps: float | None = 1.0

    def __init__(self, path: Path) -> None:
        self._paths = list_pictures(path)
        self.name = str(path)

    def __iter__(self) -> Iterator[Frame]:
        errors: list[SourceError] = []
        for index, (_, picture) in enumerate(read_pictures(self._paths)):
            if isinstance(picture, SourceError):
                errors.append(picture)
                self._problem = f"{len(errors)} of {len(self._paths)} pictures could not be read: {errors[0]}"
            else:
                yield Frame(picture, index, float(index))
