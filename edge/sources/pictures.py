"""One picture or a folder of them, in sorted order."""

from __future__ import annotations

import logging
import os
import re
import select
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import SourceError, printable
from fer_edge.edge.sources.base_source import BaseSource
from fer_edge.edge.sources.picture_files import is_picture, list_pictures
from fer_edge.edge.sources.picture_header import (
    JPEG_2000,
    MAX_PIXELS,
    PictureHeader,
    check_size,
    first_of_animation,
    read_header,
)
from fer_edge.edge.types import Frame, as_text, check_count

PIPE_TIMEOUT = 5.0
"""Seconds that a named pipe has to find a writer."""

CRASHES_ON_JPEG_2000 = cv2.__version__.startswith("4.")
"""Whether OpenCV ends the process for a JPEG 2000 whose header is damaged; 4.11 does, 5.0 does not."""

READ_BYTES = 16 << 20
"""Bytes that are read at once."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class LoadedPicture:
    """A decoded picture file.

    Attributes:
        pixels: (H, W, 3) uint8 BGR, or (H, W) uint8 gray where that was asked for; rotated as its EXIF data says.
        several: Whether the file holds more pictures, which were not read: an animation, or pages.
    """

    pixels: NDArray[np.uint8]
    several: bool


def read_picture(path: Path | str, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Read a picture file; of an animation or several pages, the first picture.

    Args:
        path: A file in any format that OpenCV reads, or a pipe.
        max_pixels: Largest width times height that is decoded.

    Returns:
        (H, W, 3) uint8 BGR, rotated as its EXIF orientation says.

    Raises:
        SourceError: The file cannot be read, is no whole picture, or has more pixels.
    """
    return load_picture(path, max_pixels).pixels


def load_picture(
    path: Path | str, max_pixels: int = MAX_PIXELS, *, gray: bool = False, pipes: bool = True
) -> LoadedPicture:
    """Read a picture file, see `read_picture`.

    Args:
        path: A file in any format that OpenCV reads, or a pipe.
        max_pixels: Largest width times height that is decoded.
        gray: Whether to decode to gray.
        pipes: Whether to read pipes, which nobody may write to; what a folder lists is a file or an error.

    Returns:
        The picture.

    Raises:
        SourceError: The file cannot be read, is no whole picture, or has more pixels.
    """
    path = as_text(path)
    check_count(max_pixels, "max_pixels")
    if "\0" in path:
        raise SourceError(f"{path}: no such file; its name has a zero byte")
    if not path:
        raise SourceError("an empty path was given, expected a picture; is a variable not set?")
    try:
        data = _read_file(path, max_pixels, pipes)
        if data.startswith((b"PF", b"Pf")):  # OpenCV would round its pixels from 0 to 1, and give a black picture
            raise SourceError(f"{path} has floating-point pixels; convert it to 8 or 16 bits, to a PNG for instance")
        if CRASHES_ON_JPEG_2000 and re.match(JPEG_2000, data):
            raise SourceError(f"{path} is a JPEG 2000, for which OpenCV 5 is needed, as OpenCV 4 is not safe with them")
        header = _read_header(data, path)
        if header is not None:
            check_size(header.width, header.height, path, max_pixels)
            if header.several:
                data = first_of_animation(data)
        flags = cv2.IMREAD_GRAYSCALE if gray else cv2.IMREAD_COLOR
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from None
    except MemoryError:
        raise SourceError(f"{path} cannot be read: there is not enough memory") from None
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise SourceError(f"{path} cannot be decoded: there is not enough memory") from None
        pixels = None
    if pixels is None:
        raise _damaged(path, data)
    check_size(pixels.shape[1], pixels.shape[0], path, max_pixels)  # the format may be one whose header is not known
    return LoadedPicture(np.asarray(pixels, np.uint8), header is not None and header.several)


def _read_header(data: bytes, path: str) -> PictureHeader | None:
    try:
        return read_header(data)
    except ValueError:
        raise _damaged(path, data) from None


def _damaged(path: str, data: bytes) -> SourceError:
    return SourceError(f"{path} is not a whole picture that OpenCV can read ({len(data)} bytes)")


def _read_file(path: Path | str, max_pixels: int, pipes: bool) -> bytes:
    """Read a file that may be a picture, or a pipe. Raises SourceError and OSError."""
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode) and not (pipes and stat.S_ISFIFO(mode)):
        kinds = {stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}
        raise SourceError(f"{path} is a {kinds.get(stat.S_IFMT(mode), 'special file')}, expected a picture file")
    limit = (64 << 20) + 4 * max_pixels  # uncompressed, with four channels
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        if stat.S_ISFIFO(mode):
            _wait_for_writer(file.fileno(), path)
        elif not is_picture(file.fileno()):  # a video need not be read as a whole to see that
            raise SourceError(f"{path} is no picture that OpenCV can read; a video is for fer-edge run --source")
        parts, size = [], 0
        while size <= limit and (part := file.read(READ_BYTES)):
            parts.append(part)
            size += len(part)
    if size > limit:
        raise SourceError(f"{path} has more than {limit} bytes, the limit with --max-pixels {max_pixels}")
    return b"".join(parts)


def _wait_for_writer(descriptor: int, path: Path | str) -> None:
    """Wait until a pipe, opened without blocking, has a writer, however long that one then takes."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if not poll.poll(1000 * PIPE_TIMEOUT):
        try:
            os.read(descriptor, 1)
        except BlockingIOError:  # there is a writer, which has written nothing yet
            pass
        else:
            raise SourceError(f"{path} is a pipe that nothing is written to")
    os.set_blocking(descriptor, True)


def read_pictures(
    paths: Sequence[Path], max_pixels: int = MAX_PIXELS, *, pipes: bool = True
) -> Iterator[tuple[Path, LoadedPicture | SourceError]]:
    """Read pictures one after another; an unreadable one does not end the iteration.

    Args:
        paths: The picture files.
        max_pixels: Largest width times height that is decoded.
        pipes: Whether to read pipes.

    Yields:
        Each path with its picture, or with the SourceError that says why it has none.
    """
    for path in paths:
        try:
            yield path, load_picture(path, max_pixels, pipes=pipes)
        except SourceError as error:
            yield path, error


def several_pictures(files: int) -> str:
    """The sentence about files of which one picture of several was read; `files` is their number."""
    what = "1 file holds" if files == 1 else f"{files} files hold"
    return f"{what} several pictures (animations, pages), of which the first was read"


class PictureSource(BaseSource):
    """A picture or a folder of pictures as frames, one per second; `problem` counts the unreadable ones."""

    continuous = False
    fps: float | None = 1.0

    def __init__(self, path: Path, recursive: bool = False, max_pixels: int = MAX_PIXELS) -> None:
        """List the pictures, and log what is left out.

        Args:
            path: A picture, or a folder.
            recursive: Whether sub-folders are read too.
            max_pixels: Largest width times height that is decoded.

        Raises:
            SourceError: There is no such path, or it has no pictures.
        """
        found = list_pictures(path, recursive)
        self._paths, self._errors, self._max_pixels = found.paths, list(found.problems), max_pixels
        self._pipes, self._total = found.paths == [path], len(found.paths) + len(found.problems)
        self.name = printable(path)
        if found.left_out:
            log.info("source: left out: %s", found.left_out)

    @property
    def problem(self) -> str | None:
        if not self._errors:
            return None
        return f"{len(self._errors)} of {self._total} pictures could not be read: {self._errors[0]}"

    def __iter__(self) -> Iterator[Frame]:
        several = 0
        for index, (_, picture) in enumerate(read_pictures(self._paths, self._max_pixels, pipes=self._pipes)):
            if isinstance(picture, SourceError):
                self._errors.append(picture)
            else:
                several += picture.several
                yield Frame(picture.pixels, index, float(index))
        if several:
            log.warning("source: %s", several_pictures(several))
