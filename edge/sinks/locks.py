"""Locks that keep two processes from writing one output; the kernel releases them however a process ends."""

from __future__ import annotations

import fcntl
import logging
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from fer_edge.edge.errors import SinkError

log = logging.getLogger(__name__)


def lock_descriptor(descriptor: int, name: Path | str, advice: str = "give each run its own") -> None:
    """Lock an open file or folder until it is closed (flock, advisory).

    Args:
        descriptor: The file or folder.
        name: Its name in errors.
        advice: What to do about another process, for the error.

    Raises:
        SinkError: Another process has locked it. A file system without locks only costs a warning.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SinkError(f"{name} is in use by another fer-edge process; {advice}") from None
    except OSError as error:  # some network file systems
        log.warning("%s cannot be locked (%s): start no second run with it", name, error.strerror)


class FolderLock:
    """The lock of a folder, held until `close` or the end of a `with` block.

    Args:
        folder: The folder, which exists.
        advice: What to do about another process, for the error.

    Raises:
        SinkError: Another process has locked it, or it cannot be opened.
    """

    def __init__(self, folder: Path, advice: str = "give each run its own") -> None:
        try:
            self._descriptor: int | None = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise SinkError(f"{folder} cannot be opened: {error.strerror}") from None
        try:
            lock_descriptor(self._descriptor, folder, advice)
        except SinkError:
            self.close()
            raise

    def close(self) -> None:
        """Release the lock."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class FileLock:
    """The lock of a file that is only there at the end, or is replaced: an empty file .NAME.lock beside it meanwhile.

    Args:
        path: The output; links in it are followed, and its folder exists.

    Raises:
        SinkError: Another process has locked it, or its folder is not writable.
    """

    def __init__(self, path: Path) -> None:
        real = Path(os.path.realpath(path))
        self._path = real.with_name(f".{real.name}.lock")
        self._descriptor: int | None = None
        while self._descriptor is None:
            self._descriptor = self._try(path)

    def _try(self, path: Path) -> int | None:
        """The locked file, or None where its owner removed it before it was locked."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SinkError(f"{path} cannot be written: {error.strerror}") from None
        try:
            lock_descriptor(descriptor, path)
            if os.path.samestat(os.stat(self._path), os.fstat(descriptor)):
                return descriptor
        except FileNotFoundError:
            pass
        except SinkError:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    def close(self) -> None:
        """Release the lock and remove its file."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with suppress(OSError):
                self._path.unlink()  # before it is released: afterwards it may be another process's
            os.close(descriptor)
