"""Keeps the TFLite runtime's own notices off stderr while a model opens."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import F_SETFL, fcntl
from functools import cache
from threading import Lock

NOTICES = (b"INFO:", b"WARNING:", b"ERROR:", b"I0000", b"W0000", b"E0000")
"""How the runtime's own lines begin, by TFLite's logger and by Abseil's."""

_LOCK = Lock()
"""One model opens at a time: there is one stderr to restore."""


@contextmanager
def filter_notices() -> Iterator[None]:
    """Keep the runtime's notices ("Created XNNPACK delegate") off stderr; its errors are raised as exceptions too.

    C++ writes them to the file descriptor, which `sys.stderr` has no part in. What other threads write to stderr in the
    meantime is delayed until the model is open; if their write was still under way then, until the next model opens or
    the process ends.
    """
    with _LOCK:
        buffer = _buffer()
        sys.stderr.flush()
        original = os.dup(2)
        try:
            os.dup2(buffer.file, 2)
            yield
        finally:
            os.dup2(original, 2)
            os.close(original)
            buffer.flush(whole_lines=True)


class _Buffer:
    """A file in memory for what is written to stderr while a model opens."""

    def __init__(self) -> None:
        self.file = os.memfd_create("stderr")
        # the position of such a file has no lock: without O_APPEND simultaneous writes would overwrite each other
        fcntl(self.file, F_SETFL, os.O_APPEND)
        self._flushed = 0

    def flush(self, whole_lines: bool = False) -> None:
        """Write what was added since the last time to stderr, without the runtime's notices.

        whole_lines: keep a last line without an end for later; the kernel may be in the middle of writing it.
        """
        added = os.pread(self.file, os.fstat(self.file).st_size - self._flushed, self._flushed)
        if whole_lines:
            added = added[: added.rfind(b"\n") + 1]
        self._flushed += len(added)
        for line in added.splitlines(keepends=True):
            if not line.startswith(NOTICES):
                os.write(2, line)  # line by line: a pipe keeps each in one piece, whoever else writes


@cache
def _buffer() -> _Buffer:
    buffer = _Buffer()
    atexit.register(buffer.flush)
    return buffer
