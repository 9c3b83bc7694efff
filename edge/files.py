"""Files that are written whole or not at all, and what makes two names one file."""

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
    """A path beside the given one, with its suffix, to write to: it gets the name at the end, or is removed.

    Makes the folder. An OSError on the way (a full disk, a missing right) becomes a SinkError of one line.
    """
    beside = path.with_name(f".part-{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        os.replace(beside, path)
    except OSError as error:
        raise SinkError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            beside.unlink()


def file_identity(path: Path | str) -> tuple[int, int] | None:
    """Device and inode, the same for every name of a file; None where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def write_bytes(path: Path, content: bytes) -> None:
    """Write the content whole or not at all; SinkError."""
    with atomic_path(path) as beside:
        beside.write_bytes(content)


def write_json(path: Path, value: Any) -> Path:
    """Write readable JSON whole or not at all, a list of plain values on one line, and return where; SinkError."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    # no string has a line break of its own: JSON escapes it
    text = re.sub(r"\[\n\s+([^][{}]+?)\n\s+\]", lambda found: "[" + re.sub(r",\n\s+", ", ", found[1]) + "]", text)
    write_bytes(path, (text + "\n").encode())
    return path
