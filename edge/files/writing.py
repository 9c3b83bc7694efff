"""Files that are written whole or not at all, with the permissions that they should have."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fer_edge.edge.errors import SinkError

PART = ".part-"
"""How the names of files begin that are being written."""

MAX_NAME = 40
"""Characters of a file's name that its temporary name keeps, the suffix among them: longer ones may be too long."""


def new_file_mode(path: Path | str) -> int:
    """The permissions of a new file with people's faces or scores in it, less what the umask takes away.

    Args:
        path: The file.

    Returns:
        0600, or 0640 in a folder that hands its group on to its files (chmod g+s): somebody has prepared it for them.
    """
    try:
        shared = os.stat(os.path.dirname(path) or os.curdir).st_mode & stat.S_ISGID
    except OSError:
        shared = 0
    return 0o640 if shared else 0o600


@contextmanager
def atomic_path(path: Path, private: bool = False) -> Iterator[Path]:
    """Write a file completely or not at all, even if the power fails.

    A link is followed, and a file that exists keeps its permissions.

    Args:
        path: The file's final path; its folder is created.
        private: Whether a new file, and a new folder, is for its owner alone (see `new_file_mode`).

    Yields:
        A temporary path in the same folder and with the same suffix, to write to. At the end it is renamed to `path`,
        or removed where an exception was raised.

    Raises:
        SinkError: An OSError was raised meanwhile, such as a full disk or a missing permission.
    """
    real = Path(os.path.realpath(path))
    temporary = real.with_name(f"{PART}{os.getpid()}-{real.name[-MAX_NAME:]}")
    try:
        make_folder(real.parent, private)
        if real.exists() and not real.is_file():
            raise SinkError(f"{path} cannot be written: it is no regular file")
        if private:
            temporary.touch(new_file_mode(real), exist_ok=False)
        yield temporary
        with suppress(OSError):  # there is no such file yet, or the file system has no permissions
            temporary.chmod(real.stat().st_mode & 0o7777)
        _write_to_disk(temporary)
        os.replace(temporary, real)
    except OSError as error:
        raise SinkError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            temporary.unlink()


def make_folder(folder: Path, private: bool = False) -> None:
    """Create a folder and those above it, where they are missing.

    Args:
        folder: The folder.
        private: Whether those that are created are for their owner alone.

    Raises:
        OSError: It cannot be created.
    """
    if private and not folder.parent.exists():
        make_folder(folder.parent, private)
    own = {0o600: 0o700, 0o640: 0o750}[new_file_mode(folder)]
    folder.mkdir(mode=own if private else 0o777, parents=True, exist_ok=True)


def _write_to_disk(path: Path) -> None:
    """Wait until a file's content is on the disk: some file systems would rename it before."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: Path, content: bytes, private: bool = False) -> None:
    """Write a file completely or not at all; SinkError where it cannot be written; `private` as in `atomic_path`."""
    with atomic_path(path, private) as temporary:
        temporary.write_bytes(content)
