"""Whether stdout can take results: it may be closed, or a pipe whose reader does not read."""

from __future__ import annotations

import fcntl
import os
import select
import sys

from fer_edge.edge.errors import SinkError


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
