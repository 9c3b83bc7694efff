"""Whether stdout can take results: it may be closed, or a pipe whose reader does not read."""

from __future__ import annotations

import fcntl
import os
import select
import sys

from fer_edge.edge.errors import SinkError
from fer_edge.edge.sinks import guard_stdout


def require_stdout() -> None:
    """Check that stdout is open for writing, before anything is opened whose results go there.

    Raises:
        SinkError: It is closed.
    """
    if not stdout_is_open():
        raise SinkError("stdout is closed; give a file for the results, or do not close it")


def stdout_is_open() -> bool:
    """Whether stdout can be written to, apart from a full disk; a closed one was opened for reading alone."""
    try:
        return fcntl.fcntl(sys.stdout.fileno(), fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
    except (OSError, ValueError, AttributeError):  # no file: somebody else's stream
        return sys.stdout is not None


def stdout_is_ready() -> bool:
    """Whether a line can be written to stdout now, without waiting for the reader of a pipe."""
    try:
        return bool(select.select([], [sys.stdout], [], 0)[1])
    except (OSError, ValueError):  # no file: it does not block
        return True


def write_line(line: str) -> None:
    """Write a line to stdout at once, all of it: Python's own stream drops what does not fit where it is unbuffered.

    Args:
        line: The line without its newline.

    Raises:
        OutputClosed: The reader closed the pipe.
        SinkError: It cannot be written.
    """
    with guard_stdout():
        sys.stdout.flush()
        try:
            descriptor = sys.stdout.fileno()
        except (OSError, ValueError):  # no file: somebody else's stream
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
            return
        data = f"{line}\n".encode(sys.stdout.encoding, sys.stdout.errors or "strict")
        while data:
            try:
                data = data[os.write(descriptor, data) :]
            except BlockingIOError:  # a pipe that its reader made so
                select.select([], [descriptor], [])
