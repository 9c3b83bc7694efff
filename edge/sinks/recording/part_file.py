"""The file of a recording: NAME.part.SUFFIX while it grows, under its own name when it is finished."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from time import monotonic

from fer_edge.edge.errors import SinkError
from fer_edge.edge.files.writing import new_file_mode
from fer_edge.edge.sinks.background_worker import BackgroundWorker
from fer_edge.edge.sinks.output_paths import check_replaceable

SYNC_INTERVAL = 5.0
"""Seconds of a recording that a power cut may cost: as often, what is written goes to the disk."""

MIN_FREE_BYTES = 4 << 20
"""Free disk space below which writing stops, so that other programs can go on."""

SMALL_DISK_BYTES = 64 << 20
"""Size of a disk that may be filled to the last byte."""


class PartFile:
    """A file that is appended to, and renamed at the end. What an interrupted run has left is never overwritten.

    Args:
        path: The name that it will have; a link is followed.

    Raises:
        SinkError: It cannot be written there.
    """

    def __init__(self, path: Path) -> None:
        check_replaceable(path)
        self.target = Path(os.path.realpath(path))
        try:
            self.path, self._descriptor = _create(self.target)
        except OSError as error:
            raise SinkError(f"{path} cannot be written: {error.strerror}") from None
        self.size = 0
        self._open = True
        self._synced = monotonic()
        self._loss: OSError | None = None  # what the disk reported late
        self._sync: BackgroundWorker[int] = BackgroundWorker(getattr(os, "fdatasync", os.fsync), "recording-sync")

    def append(self, data: bytes) -> None:
        """Append all of the data; OSError, where it cannot be, leaves the file as it was."""
        if os.fstat(self._descriptor).st_nlink == 0:
            raise FileNotFoundError(errno.ENOENT, f"{self.path.name} was removed")
        disk = os.fstatvfs(self._descriptor)
        if disk.f_bavail * disk.f_frsize < MIN_FREE_BYTES and disk.f_blocks * disk.f_frsize > SMALL_DISK_BYTES:
            raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}, less than {MIN_FREE_BYTES >> 20} MB are left")
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
        if monotonic() - self._synced >= SYNC_INTERVAL:
            self._start_sync()

    def _start_sync(self) -> None:
        """Let the disk write what it has; OSError for what it could not write the time before."""
        try:
            if self._sync.submit(self._descriptor):
                self._synced = monotonic()
        except OSError as error:
            self._loss = error  # for `publish`, too: the index is written without regard to errors
            raise

    def patch(self, offset: int, data: bytes) -> None:
        """Replace bytes that are in the file already."""
        os.pwrite(self._descriptor, data, offset)

    def flush(self) -> None:
        """Wait until all of it is on the disk."""
        os.fsync(self._descriptor)

    def publish(self, target: Path) -> None:
        """Close the file and give it its name, with the permissions of the file that it replaces.

        Args:
            target: Its name, in its folder.

        Raises:
            SinkError: It cannot be renamed; the message names the file. Or it has its name, but part of it did not
                reach the disk.
        """
        try:
            with suppress(OSError):  # there is none, or its disk has no permissions
                os.fchmod(self._descriptor, stat.S_IMODE(os.stat(target).st_mode))
            try:
                self._sync.close()
                self.flush()
            except OSError as error:
                self._loss = error
            self._rename(target)
        except OSError as error:
            raise SinkError(f"{self.path} cannot be renamed to {target.name}: {error.strerror}") from None
        finally:
            self._close()
        if self._loss is not None:
            raise SinkError(f"{target} is not whole on the disk: {self._loss.strerror}")

    def _rename(self, target: Path) -> None:
        try:
            os.replace(self.path, target)
        except FileNotFoundError:  # it was removed, or renamed, but its content is there as long as it is open
            self.path, copy = _create(target)
            with open(copy, "wb") as output, open(self._descriptor, "rb", closefd=False) as content:
                content.seek(0)
                shutil.copyfileobj(content, output)
            os.replace(self.path, target)

    def leave(self) -> None:
        """Close the file under the name that it has."""
        with suppress(OSError):
            self.flush()
        self._close()

    def discard(self) -> None:
        """Close and remove a file in which nothing is; one that was published stays."""
        if self._open:
            self._close()
            with suppress(OSError):
                self.path.unlink()

    def _close(self) -> None:
        self._open = False
        with suppress(OSError):
            self._sync.close()
        os.close(self._descriptor)


def _create(target: Path) -> tuple[Path, int]:
    """Create the first of NAME.part.SUFFIX, NAME.part-2.SUFFIX, … that is not there."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    for part in _part_names(target):
        with suppress(FileExistsError):
            descriptor = os.open(part, flags, new_file_mode(part))
            _write_folder_to_disk(part.parent)
            return part, descriptor
    raise AssertionError("there is always another name")


def _write_folder_to_disk(folder: Path) -> None:
    """Let a power cut leave the name of a new file."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _part_names(target: Path) -> Iterator[Path]:
    for number in count(1):
        infix = ".part" if number == 1 else f".part-{number}"
        yield target.with_name(f"{target.stem}{infix}{target.suffix}")
