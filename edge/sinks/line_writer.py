"""Text lines to stdout or a file, each whole, with old files kept by number when one is full."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from itertools import pairwise
from pathlib import Path

from fer_edge.edge.errors import SinkError
from fer_edge.edge.sinks import stdout_guarded

TAIL = 1 << 20
"""Bytes in which the last line's beginning is looked for: no line of ours is longer."""


@dataclass(frozen=True)
class Rotation:
    """A file that would grow over `size` bytes becomes NAME.1, the one before NAME.2, up to NAME.`keep`."""

    size: int
    keep: int


class LineWriter:
    """Lines that are in the file when `write` returns, so that `tail -F` sees all of them. '-' is stdout.

    header: a first line for each file. rotation: None overwrites what is there; else it is continued, less a last line
    that a power cut left unfinished. Raises SinkError.
    """

    def __init__(self, target: str, header: str = "", rotation: Rotation | None = None) -> None:
        self.target = target
        self._header, self._rotation = header, rotation
        self._file: FileIO | None = None
        self._size = 0
        if target == "-":
            return
        path = Path(target)
        if rotation is not None and path.exists() and not path.is_file():
            raise SinkError(f"{target} is no regular file and cannot be rotated")
        try:
            if rotation is not None and path.exists() and not self._continues(path):
                self._shift(rotation.keep)
            self._open("wb" if rotation is None else "ab")
        except OSError as error:
            raise self._trouble(error) from None

    def write(self, line: str) -> None:
        """Write a line, given without its end."""
        if self.target == "-":
            with stdout_guarded():
                sys.stdout.write(line + "\n")
                sys.stdout.flush()
            return
        data = f"{line}\n".encode()
        try:
            if self._rotation is not None and self._size + len(data) > self._rotation.size:
                self._rotate(self._rotation)
            self._append(data)
        except OSError as error:
            raise self._trouble(error) from None

    def _open(self, mode: str) -> None:
        self._file = FileIO(self.target, mode)
        self._size = os.fstat(self._file.fileno()).st_size
        if self._header and not self._size:
            self._append(f"{self._header}\n".encode())

    def _append(self, data: bytes) -> None:
        """All of the data or, on a full disk, none of it."""
        assert self._file is not None
        rest = data
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError:
            with suppress(OSError):  # not every file can be cut
                self._file.truncate(self._size)
            raise
        self._size += len(data)

    def _rotate(self, rotation: Rotation) -> None:
        if self._size <= len(self._header) + 1:  # a line alone is too long: nothing is gained
            return
        self.close()
        self._shift(rotation.keep)
        self._open("wb")

    def _shift(self, keep: int) -> None:
        """Rename from the oldest on, so that an interrupt leaves every line in some file."""
        names = [self.target, *(f"{self.target}.{number}" for number in range(1, keep + 1))]
        for younger, older in reversed(list(pairwise(names))):
            if os.path.exists(younger):
                os.replace(younger, older)
        if keep == 0:
            os.unlink(self.target)

    def _continues(self, path: Path) -> bool:
        """Whether the file has our header, or what a power cut left of it; then an unfinished last line is cut off."""
        header = f"{self._header}\n".encode() if self._header else b""
        with path.open("r+b") as file:
            if not header.startswith(file.read(len(header))):
                return False
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL))
            tail = file.read()
            file.truncate(size - len(tail) + tail.rfind(b"\n") + 1)
            return True

    def _trouble(self, error: OSError) -> SinkError:
        return SinkError(f"{self.target} cannot be written: {error.strerror}")

    def close(self) -> None:
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
