"""Atomic file writes, and the identity of a file under several names."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fer_edge.edge.errors import SinkError


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Write a file completely or not at all.

    Args:
        path: The file's final path; its folder is created.

    Yields:
        A temporary path in the same folder and with the same suffix, to write to. At the end it is renamed to `path`,
        or removed where an exception was raised.

    Raises:
        SinkError: An OSError was raised meanwhile, such as a full disk or a missing permission.
    """
    temporary = path.with_name(f".part-{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise SinkError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            temporary.unlink()


def file_identity(path: Path | str) -> tuple[int, int] | None:
    """The device and inode of a file, which are the same under all its names; None where there is no such file."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file completely or not at all; SinkError where it cannot be written."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, value: Any) -> Path:
    """Write indented JSON completely or not at all, with each list of plain values on one line.

    Args:
        path: The file's path; its folder is created.
        value: Anything that JSON can hold.

    Returns:
        The path.

    Raises:
        SinkError: The file cannot be written.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False)
    # strings contain no line breaks, as JSON escapes them
    text = re.sub(r"\[\n\s+([^][{}]+?)\n\s+\]", lambda match: "[" + re.sub(r",\n\s+", ", ", match[1]) + "]", text)
    write_bytes(path, (text + "\n").encode())
    return path
