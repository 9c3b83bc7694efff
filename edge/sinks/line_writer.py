"""Text lines to stdout or to a file that is rotated by size."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from itertools import pairwise
from pathlib import Path

from fer_edge.edge.errors import SinkError
from fer_edge.edge.sinks import guard_stdout
from fer_edge.edge.sinks.stdout import require_stdout

MAX_LINE_BYTES = 1 << 20
"""The end of a file in which the start of its last line is searched: no line of ours is longer."""


@dataclass(frozen=True)
class Rotation:
    """When to rotate a file, and how many old files to keep.

    A file that would grow over `size` bytes becomes NAME.1, the one before NAME.2, and so on up to NAME.`keep`.

    Attributes:
        size: Maximum bytes of a file.
        keep: Number of old files.
    """

    size: int
    keep: int


class LineWriter:
    """Writes whole lines, each of which is in the file when `write` returns, so that `tail -F` shows them at once.

    Args:
        target: The file's path, or - for stdout.
        header: First line of each file.
        rotation: When to rotate the file. With it an existing file is continued, after removing a last line that a
            power cut left unfinished; without it the file is overwritten.

    Raises:
        SinkError: The file cannot be written, or is no regular file and cannot be rotated; or stdout is closed.
    """

    def __init__(self, target: str, header: str = "", rotation: Rotation | None = None) -> None:
        self.target = target
        self._header, self._rotation = header, rotation
        self._file: FileIO | None = None
        self._size = 0
        if target == "-":
            require_stdout()
            return
        path = Path(target)
        if rotation is not None and path.exists() and not path.is_file():
            raise SinkError(f"{target} is not a regular file and cannot be rotated")
        try:
            if rotation is not None and path.exists() and not self._can_append(path):
                self._shift(rotation.keep)
            self._open("wb" if rotation is None else "ab")
        except OSError as error:
            raise self._sink_error(error) from None

    def write(self, line: str) -> None:
        """Write a line; `line` has no newline."""
        if self.target == "-":
            with guard_stdout():
                sys.stdout.write(line + "\n")
                sys.stdout.flush()
            return
        data = f"{line}\n".encode()
        try:
            if self._rotation is not None and self._size + len(data) > self._rotation.size:
                self._rotate(self._rotation)
            self._append(data)
        except OSError as error:
            raise self._sink_error(error) from None

    def _open(self, mode: str) -> None:
        self._file = FileIO(self.target, mode)
        self._size = os.fstat(self._file.fileno()).st_size
        if self._header and not self._size:
            self._append(f"{self._header}\n".encode())

    def _append(self, data: bytes) -> None:
        """Write all of the data or, on a full disk, none of it."""
        assert self._file is not None
        rest = data
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError:
            with suppress(OSError):  # not every file can be truncated
                self._file.truncate(self._size)
            raise
        self._size += len(data)

    def _rotate(self, rotation: Rotation) -> None:
        if self._size <= len(self._header) + 1:  # a single line is longer than the limit: rotating would not help
            return
        self.close()
        self._shift(rotation.keep)
        self._open("wb")

    def _shift(self, keep: int) -> None:
        """Rename the oldest file first, so that an interrupt loses no line."""
        names = [self.target, *(f"{self.target}.{number}" for number in range(1, keep + 1))]
        for younger, older in reversed(list(pairwise(names))):
            if os.path.exists(younger):
                os.replace(younger, older)
        if keep == 0:
            os.unlink(self.target)

    def _can_append(self, path: Path) -> bool:
        """Whether the file starts with our header, or with what a power cut left of it; cuts off an unfinished line."""
        header = f"{self._header}\n".encode() if self._header else b""
        with path.open("r+b") as file:
            if not header.startswith(file.read(len(header))):
                return False
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - MAX_LINE_BYTES))
            tail = file.read()
            file.truncate(size - len(tail) + tail.rfind(b"\n") + 1)
            return True

    def _sink_error(self, error: OSError) -> SinkError:
        return SinkError(f"{self.target} cannot be written: {error.strerror}")

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
