"""One picture or a folder of them, in sorted order."""

from __future__ import annotations

import logging
import os
import select
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import SourceError, printable
from fer_edge.edge.sources.base_source import BaseSource
from fer_edge.edge.sources.picture_decoder import LoadedPicture, decode_picture
from fer_edge.edge.sources.picture_files import is_picture, list_pictures
from fer_edge.edge.sources.picture_header import MAX_PIXELS
from fer_edge.edge.types import Frame, as_text, check_count

PIPE_TIMEOUT = 5.0
"""Seconds that a named pipe has to find a writer."""

READ_BYTES = 16 << 20
"""Bytes that are read at once."""

log = logging.getLogger(__name__)


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
    return decode_picture(read_bytes(path, max_pixels, pipes=pipes), path, max_pixels, gray=gray)


def read_bytes(path: str, max_pixels: int = MAX_PIXELS, *, pipes: bool = True) -> bytes:
    """Read a file that may be a picture, see `load_picture`, without decoding it; SourceError where it cannot be."""
    check_count(max_pixels, "max_pixels")
    if "\0" in path:
        raise SourceError(f"{path}: no such file; its name has a zero byte")
    if not path:
        raise SourceError("an empty path was given, expected a picture; is a variable not set?")
    try:
        return _read_file(path, max_pixels, pipes)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from None
    except MemoryError:
        raise SourceError(f"{path} cannot be read: there is not enough memory") from None


def max_bytes(max_pixels: int) -> int:
    """The size of the largest file, bytes, that is read for a picture of so many pixels at most."""
    return (64 << 20) + 4 * max_pixels  # uncompressed, with four channels


def _read_file(path: Path | str, max_pixels: int, pipes: bool) -> bytes:
    """Read a file that may be a picture, or a pipe. Raises SourceError and OSError."""
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode) and not (pipes and stat.S_ISFIFO(mode)):
        kinds = {stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}
        raise SourceError(f"{path} is a {kinds.get(stat.S_IFMT(mode), 'special file')}, expected a picture file")
    limit = max_bytes(max_pixels)
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
