"""The files that a command reads and writes: none of them twice."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from fer_edge.edge.errors import SinkError, redact
from fer_edge.edge.files.paths import file_identity

FileKey = tuple[int, int] | tuple[int, int, str] | str
"""A file by device and inode, one that is not there yet by those of its folder and its name, or stdout."""

STDOUT = "-"


def file_keys(path: Path | str) -> set[FileKey]:
    """Keys that identify a file under any of its paths: also through links, `..` and other spellings.

    Args:
        path: A path, or - for stdout.

    Returns:
        Keys of which two paths to one file share at least one; none for a device such as /dev/null.
    """
    if path == STDOUT:
        return {STDOUT, *_stream_keys(sys.__stdout__)}
    real = os.path.realpath(path)
    folder = file_identity(os.path.dirname(real))
    keys: set[FileKey] = {real if folder is None else (*folder, os.path.basename(real))}
    with suppress(OSError, ValueError):  # ValueError: a name that the system refuses
        status = os.stat(path)
        if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
            return set()
        keys.add((status.st_dev, status.st_ino))
    return keys


def refuse_shared_files(
    outputs: Mapping[str, Iterable[Path | str]], inputs: Mapping[str, Iterable[Path | str]] | None = None
) -> None:
    """Check that no file is written by two options, or read by one and written by another.

    Args:
        outputs: By option, as --jsonl, the paths that are written, that which the user gave first.
        inputs: By what reads them, as --source, the paths that are read.

    Raises:
        SinkError: Two paths are one file, or an output is an address.
    """
    read = {key: name for name, paths in (inputs or {}).items() for path in paths for key in file_keys(path)}
    written: dict[FileKey, str] = {}
    log_keys = _stream_keys(sys.__stderr__, pipe=False)
    for name, paths in outputs.items():
        mine: dict[FileKey, str] = {}
        for path in paths:
            if re.match(r"[\w+.-]+:/", str(path)):  # a pathlib.Path has one slash only
                raise SinkError(f"{name}: {redact(str(path))} is an address; expected a file")
            keys = file_keys(path)
            for key in keys & read.keys():
                raise SinkError(f"{name}: {path} is what {read[key]} reads; give another name")
            if path != STDOUT and keys & log_keys:
                raise SinkError(f"{name}: {path} is where stderr goes; give another name")
            for key in keys & written.keys():
                raise SinkError(f"{name}: {path} is written by {written[key]} too; give another name")
            mine |= dict.fromkeys(keys, name)
        written |= mine


def check_replaceable(path: Path, creates_folder: bool = False) -> None:
    """Check, at the start of a run, that a file may be written here at its end.

    Args:
        path: A file that is there, and is then replaced, or none.
        creates_folder: Whether the run creates the file's folder where it is missing.

    Raises:
        SinkError: The folder is not writable, or the name is that of a folder, pipe, device or read-only file.
    """
    real = Path(os.path.realpath(path))
    folder = real.parent
    while creates_folder and not os.path.exists(folder):
        folder = folder.parent
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK | os.X_OK):
        raise SinkError(f"{path} cannot be written: {folder} is not a writable folder")
    try:
        mode = os.stat(real).st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise SinkError(f"{path} cannot be written: {error.strerror}") from None
    if stat.S_ISDIR(mode):
        raise SinkError(f"{path} cannot be written: it is a folder; add the file's name")
    if not stat.S_ISREG(mode):
        raise SinkError(f"{path} cannot be written: it is no regular file, which alone can be replaced at the end")
    if not os.access(real, os.W_OK):
        raise SinkError(f"{path} cannot be written: it is there, and read-only")


def goes_to_stdout(path: Path | str | None) -> bool:
    """Whether an output ends up in the file or pipe that stdout is: -, /dev/stdout, or the file's own name."""
    return path is not None and bool(file_keys(path) & file_keys(STDOUT))


def _stream_keys(stream: TextIO | None, pipe: bool = True) -> set[FileKey]:
    """The key of the file, or the pipe, that a standard stream is; none for a terminal."""
    try:
        status = os.fstat(stream.fileno() if stream else -1)
    except (OSError, ValueError):  # closed, or replaced by something without a descriptor
        return set()
    is_file = stat.S_ISREG(status.st_mode) or (pipe and stat.S_ISFIFO(status.st_mode))
    return {(status.st_dev, status.st_ino)} if is_file else set()
