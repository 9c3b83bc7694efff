"""The file of a recording: NAME.part.SUFFIX while it grows, under its own name when it is finished."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from time import monotonic

from fer_edge.edge.errors import SinkError
from fer_edge.edge.files import NEW_FILE_MODE
from fer_edge.edge.sinks.background_worker import BackgroundWorker

SYNC_INTERVAL = 5.0
"""Seconds of a recording that a power cut may cost: as often, what is written goes to the disk."""


class PartFile:
    """A file that is appended to, and renamed at the end. What an interrupted run has left is never overwritten.

    Args:
        path: The name that it will have; a link is followed.

    Raises:
        SinkError: It cannot be written there.
    """

    def __init__(self, path: Path) -> None:
        self._target = Path(os.path.realpath(path))
        try:
            _check_target(self._target)
            self.path, self._descriptor = _create(self._target)
        except OSError as error:
            raise SinkError(f"{path} cannot be written: {error.strerror}") from None
        self.size = 0
        self._synced = monotonic()
        self._sync: BackgroundWorker[int] = BackgroundWorker(os.fdatasync, "recording-sync")

    def append(self, data: bytes) -> None:
        """Append all of the data; OSError, where it cannot be, leaves the file as it was."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self.size)
                os.lseek(self._descriptor, self.size, os.SEEK_SET)
            raise
        self.size += len(data)
        if monotonic() - self._synced >= SYNC_INTERVAL and self._sync.submit(self._descriptor):
            self._synced = monotonic()

    def patch(self, offset: int, data: bytes) -> None:
        """Replace bytes that are in the file already."""
        os.pwrite(self._descriptor, data, offset)

    def flush(self) -> None:
        """Wait until all of it is on the disk."""
        os.fsync(self._descriptor)

    def publish(self, path: Path | None = None) -> None:
        """Close the file and give it its name, with the permissions of the file that it replaces.

        Args:
            path: Another name in its folder.

        Raises:
            SinkError: It cannot be renamed; the message names the file.
        """
        target = self._target if path is None else path
        try:
            with suppress(FileNotFoundError):
                os.fchmod(self._descriptor, stat.S_IMODE(os.stat(target).st_mode))
            with suppress(OSError):
                self.flush()
            os.replace(self.path, target)
        except OSError as error:
            raise SinkError(f"{self.path} cannot be renamed to {target.name}: {error.strerror}") from None
        finally:
            self._close()

    def discard(self) -> None:
        """Close and remove a file in which nothing is."""
        self._close()
        with suppress(OSError):
            self.path.unlink()

    def _close(self) -> None:
        with suppress(OSError):
            self._sync.close()
        os.close(self._descriptor)


def _check_target(target: Path) -> None:
    """Raise OSError where the name is taken by what a file must not replace."""
    if target.is_dir():
        raise IsADirectoryError(0, "it is a folder")
    if target.exists():
        if not target.is_file():
            raise OSError(0, "it is no regular file, and a video is renamed when it is complete")
        if not os.access(target, os.W_OK):
            raise PermissionError(0, "the file that exists is not writable")


def _create(target: Path) -> tuple[Path, int]:
    """Create the first of NAME.part.SUFFIX, NAME.part-2.SUFFIX, … that is not there."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    for part in _part_names(target):
        with suppress(FileExistsError):
            return part, os.open(part, flags, NEW_FILE_MODE)
    raise AssertionError("there is always another name")


def _part_names(target: Path) -> Iterator[Path]:
    for number in count(1):
        infix = ".part" if number == 1 else f".part-{number}"
        yield target.with_name(f"{target.stem}{infix}{target.suffix}")
