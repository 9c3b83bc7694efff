"""Text lines to stdout or to a file that is rotated by size."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from fer_edge.edge.errors import SinkError
from fer_edge.edge.sinks.line_file import ForeignFile, LineFile
from fer_edge.edge.sinks.stdout import require_stdout, write_line

log = logging.getLogger(__name__)


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


def rotated_names(target: str, keep: int) -> list[str]:
    """The names of a file and of its `keep` old ones, the newest first."""
    return [target, *(f"{target}.{number}" for number in range(1, keep + 1))]


STDOUT = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
"""Names of stdout; what is opened by one of the others where it is closed would be written nowhere."""


class LineWriter:
    """Writes whole lines, each of which is in the file when `write` returns, so that `tail -F` shows them at once.

    A file that another program renames, removes or empties meanwhile, as logrotate does, is begun again.

    Args:
        target: The file's path, or - for stdout.
        header: First line of each file.
        rotation: When to rotate the file. With it an existing file is continued, after removing a last line that a
            power cut left unfinished; without it the file is overwritten, from `begin` or the first line on.
        start: What every file begins with, where there is no header; an existing file that does not is rotated away.

    Raises:
        SinkError: The file cannot be written, is another process's output, or cannot be rotated; or stdout is closed.
    """

    def __init__(self, target: str, header: str = "", rotation: Rotation | None = None, start: str = "") -> None:
        self.target = target
        self._header = f"{header}\n".encode() if header else b""
        self._start = self._header or start.encode()
        self._rotation = rotation
        self._file: LineFile | None = None
        self._due = header  # of stdout
        if target in STDOUT:
            require_stdout()
        if target == "-":
            return
        if rotation is not None:
            _check_rotation(target)
        try:
            self._file = self._open(overwrite=rotation is None)
        except OSError as error:
            raise self._sink_error(error) from None

    def begin(self) -> None:
        """Empty a file that is overwritten and write the header, before there is a line. Raises SinkError."""
        if self._file is None:
            due, self._due = self._due, ""
            if due:
                write_line(due)
            return
        try:
            self._file.begin()
        except OSError as error:
            raise self._sink_error(error) from None

    def write(self, line: str) -> None:
        """Write a line; `line` has no newline."""
        if self.target == "-":
            self.begin()
            write_line(line)
            return
        data = f"{line}\n".encode()
        try:
            self._append(data)
            assert self._file is not None
            if self._file.is_removed:  # just before it was written
                self._append(data)
        except OSError as error:
            raise self._sink_error(error) from None

    def _append(self, data: bytes) -> None:
        assert self._file is not None
        if not self._file.has_its_name:
            if Path(self.target).is_fifo():  # opening it would wait for a reader, for ever
                raise SinkError(f"{self.target} cannot be written: it was replaced by a pipe; expected a file again")
            self._replace(self._open(overwrite=False))
            log.info("%s was renamed or removed, and is begun again", self.target)
        elif self._rotation is not None and self._file.size + len(data) > self._rotation.size:
            self._rotate(self._rotation)
        self._file.append(data)

    def _open(self, overwrite: bool) -> LineFile:
        try:
            return LineFile(self.target, self._header, self._start, overwrite)
        except ForeignFile:
            if self._rotation is None or self._rotation.keep == 0:
                raise SinkError(
                    f"{self.target} holds something else than this output; give another name, or move it away"
                ) from None
        log.info("%s holds something else than this output, and is kept as %s.1", self.target, self.target)
        self._shift(self._rotation.keep)
        return LineFile(self.target, self._header, self._start, overwrite)

    def _rotate(self, rotation: Rotation) -> None:
        assert self._file is not None
        if self._file.size <= len(self._header):  # a single line is longer than the limit: rotating would not help
            return
        self._shift(rotation.keep)
        self._replace(self._open(overwrite=False))

    def _replace(self, file: LineFile) -> None:
        """Go on with another file; the old one stays locked until then."""
        old, self._file = self._file, file
        if old is not None:
            if file.is_new:
                file.inherit_mode(old)
            old.close()

    def _shift(self, keep: int) -> None:
        """Rename the oldest file first, so that an interrupt loses no line."""
        names = rotated_names(os.path.realpath(self.target), keep)
        for younger, older in reversed(list(pairwise(names))):
            with suppress(FileNotFoundError):
                os.replace(younger, older)
        if keep == 0:
            with suppress(FileNotFoundError):
                os.unlink(names[0])

    def _sink_error(self, error: OSError) -> SinkError:
        return SinkError(f"{self.target} cannot be written: {error.strerror}")

    def close(self) -> None:
        """Close the file; raises SinkError where the disk did not take all of it."""
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError as error:
                raise self._sink_error(error) from None


def _check_rotation(target: str) -> None:
    """SinkError where the file could not be renamed when its time has come."""
    if os.path.exists(target) and not os.path.isfile(target):
        raise SinkError(f"{target} is not a regular file and cannot be rotated")
    folder = os.path.dirname(os.path.realpath(target))
    if os.path.isdir(folder) and not os.access(folder, os.W_OK | os.X_OK):
        raise SinkError(f"{target} cannot be rotated: {folder} is not a writable folder")
