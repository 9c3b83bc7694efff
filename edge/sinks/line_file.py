"""A file that whole lines are appended to by one process."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from io import FileIO
from typing import Final

from fer_edge.edge.errors import SinkError
from fer_edge.edge.files.writing import new_file_mode
from fer_edge.edge.sinks.locks import lock_descriptor

MAX_LINE_BYTES = 1 << 20
"""The end of a file in which the start of its last line is searched: no line of ours is longer."""


class LineFile:
    """A file open for appending: locked, and for its owner alone where it is new (see `new_file_mode`).

    Attributes:
        path: The file, or a pipe or device.
        is_new: Whether there was no such file.

    Args:
        path: As above.
        header: First line of the file, with its newline; may be empty.
        start: What the file must begin with to be continued; a beginning of it will do where the file is no longer.
        overwrite: Empty the file when it is begun: not before, so that nothing is lost when a run fails at its start.
            Otherwise it is continued, after removing a last line that a power cut left unfinished.

    Raises:
        OSError: The file cannot be opened or written.
        SinkError: Another process writes it.
        ForeignFile: The file to be continued holds something else.
    """

    def __init__(self, path: str, header: bytes, start: bytes, overwrite: bool) -> None:
        self.path: Final = path
        self._header, self._overwrite = header, overwrite
        self.is_new: Final = not os.path.exists(path)
        self._file = FileIO(_open_locked(path, read=not overwrite), "w")  # closed, and so unlocked, with its last user
        self._descriptor = self._file.fileno()
        self._status = os.fstat(self._descriptor)
        self._regular = stat.S_ISREG(self._status.st_mode)
        self._begun = False
        try:
            if not overwrite:
                if self._regular:
                    self._cut_unfinished_line(start)
                self.begin()
        except BaseException:
            self._file.close()
            raise

    def begin(self) -> None:
        """Empty a file that is overwritten, and write the header where the file is empty. Raises OSError."""
        if self._begun:
            return
        if self._regular and self._overwrite:
            os.ftruncate(self._descriptor, 0)
        self._begun = True
        if self._header and not self.size:
            self._append(self._header, 0)

    @property
    def size(self) -> int:
        """Bytes in the file, 0 for a pipe or device."""
        return os.fstat(self._descriptor).st_size if self._regular else 0

    @property
    def has_its_name(self) -> bool:
        """Whether the path still leads to this file: not after logrotate, rm or a replaced folder."""
        try:
            return not self._regular or os.path.samestat(os.stat(self.path), self._status)
        except OSError:
            return False

    @property
    def is_removed(self) -> bool:
        """Whether the file has no name left, so that what was written to it is lost."""
        return self._regular and os.fstat(self._descriptor).st_nlink == 0 and not self.has_its_name

    def inherit_mode(self, before: LineFile) -> None:
        """Take over the permissions of the file that this one goes on from."""
        with suppress(OSError):  # the file system has none
            os.fchmod(self._descriptor, stat.S_IMODE(os.fstat(before._descriptor).st_mode))

    def append(self, data: bytes) -> None:
        """Write a line, all of it or, on a full disk, none of it; the header again where the file was emptied.

        Raises:
            OSError: The file cannot be written.
        """
        self.begin()
        size = self.size
        self._append(self._header + data if self._regular and not size else data, size)

    def _append(self, data: bytes, size: int) -> None:
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:
            if self._regular:
                with suppress(OSError):
                    os.ftruncate(self._descriptor, size)
            raise

    def _cut_unfinished_line(self, start: bytes) -> None:
        size = self.size
        first = os.pread(self._descriptor, len(start), 0)
        offset = max(0, size - MAX_LINE_BYTES)
        tail = os.pread(self._descriptor, size - offset, offset)
        end = tail.rfind(b"\n") + 1
        if not start.startswith(first) or (offset and not end):
            raise ForeignFile(self.path)
        if end < len(tail):
            os.ftruncate(self._descriptor, offset + end)

    def close(self) -> None:
        """Write the file to the disk, and close it.

        Raises:
            OSError: The disk did not take what had been written.
        """
        try:
            if self._regular:
                os.fsync(self._descriptor)
        finally:
            self._file.close()


class ForeignFile(Exception):
    """A file that should be continued was not written by this output; its argument is the path."""


def _open_locked(path: str, read: bool) -> int:
    """Open a file and lock it where it is a regular one; again where it was renamed before the lock held."""
    while True:
        regular = os.path.isfile(path) or not os.path.exists(path)
        flags = (os.O_RDWR if read and regular else os.O_WRONLY) | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(path, flags, new_file_mode(os.path.realpath(path)))
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return descriptor
            lock_descriptor(descriptor, path)
            if os.path.samestat(os.stat(path), status):
                return descriptor
        except FileNotFoundError:
            pass
        except (OSError, SinkError):
            os.close(descriptor)
            raise
        os.close(descriptor)
