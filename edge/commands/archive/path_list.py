"""Lists of paths: a file or stdin, one path a line or up to a zero byte."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from fer_edge.edge.errors import SourceError

STDIN = "-"


def read_path_list(source: Path, null: bool = False) -> list[str]:
    """Read a list of paths.

    Args:
        source: The list's path, or - for stdin.
        null: Whether each path ends with a zero byte instead of a line end.

    Returns:
        The paths, in no encoding (PEP 383); there may be none.

    Raises:
        SourceError: The list cannot be read, or has zero bytes without `null`.
    """
    try:
        content = _stdin() if str(source) == STDIN else source.read_bytes()
    except OSError as error:
        raise SourceError(f"--from-file: {source} cannot be read: {error.strerror}") from None
    try:
        return parse_path_list(content, null)
    except ValueError as error:
        raise SourceError(f"--from-file: {source} {error}") from None


def parse_path_list(content: bytes, null: bool = False) -> list[str]:
    """The paths in a list.

    Args:
        content: The list, with or without a byte order mark; its lines end with \\n or \\r\\n.
        null: As for `read_path_list`: then nothing but a zero byte ends a path.

    Returns:
        The paths; empty lines are none.

    Raises:
        ValueError: There are zero bytes without `null`; the message is a predicate.
    """
    if null:
        return [os.fsdecode(path) for path in content.split(b"\0") if path]
    if b"\0" in content:
        raise ValueError("has zero bytes; with --null they end the paths")
    lines = [line.removesuffix(b"\r") for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n")]
    return [os.fsdecode(line) for line in lines if line.strip()]


def _stdin() -> bytes:
    if sys.stdin.isatty():
        sys.stderr.write("reading paths from the terminal; Ctrl-D ends the list\n")
    return sys.stdin.buffer.read()
