"""Keeps the TFLite runtime's own notices off stderr while a model opens."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fcntl import F_SETFL, fcntl
from functools import cache
from threading import Lock

NOTICES = (b"INFO:", b"WARNING:", b"ERROR:", b"I0000", b"W0000", b"E0000")
"""How the runtime's own lines begin, by TFLite's logger and by Abseil's."""

GPU_NOTICES = ("└".encode(), b"Warning:", b" - While", b"    at ", b"=== Source", b"third_party/", b"error: XDG")
"""How further lines begin when LiteRT looks for accelerators, by its plugins' errors, WebGPU and Vulkan."""

_LOCK = Lock()
"""One model opens at a time: there is one stderr to restore."""


@contextmanager
def filter_notices(notices: list[str] | None = None) -> Iterator[None]:
    """Keep the runtime's notices ("Created XNNPACK delegate") off stderr; its errors are raised as exceptions too.

    C++ writes them to the file descriptor, which `sys.stderr` has no part in. What other threads write to stderr in the
    meantime is delayed until the model is open; if their write was still under way then, until the next model opens or
    the process ends.

    Args:
        notices: A list to which the notices are added, among them those of GPUs; None drops them.
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
            buffer.flush(whole_lines=True, notices=notices)


@cache
def silence_exit() -> None:
    """Drop what is written to stderr after Python's end, which is a line for each accelerator that LiteRT releases."""

    def end() -> None:
        _buffer().flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)

    atexit.register(end)


class _Buffer:
    """A file in memory for what is written to stderr while a model opens."""

    def __init__(self) -> None:
        self.file = os.memfd_create("stderr")
        # the position of such a file has no lock: without O_APPEND simultaneous writes would overwrite each other
        fcntl(self.file, F_SETFL, os.O_APPEND)
        self._flushed = 0

    def flush(self, whole_lines: bool = False, notices: list[str] | None = None) -> None:
        """Write what was added since the last time to stderr, without the runtime's notices.

        whole_lines: keep a last line without an end for later; the kernel may be in the middle of writing it.
        notices: a list for the notices, among them those of GPUs.
        """
        prefixes = NOTICES if notices is None else (*NOTICES, *GPU_NOTICES)
        added = os.pread(self.file, os.fstat(self.file).st_size - self._flushed, self._flushed)
        if whole_lines:
            added = added[: added.rfind(b"\n") + 1]
        self._flushed += len(added)
        for line in added.splitlines(keepends=True):
            if not line.startswith(prefixes) and (notices is None or line.strip()):
                with suppress(OSError):  # a full disk, or a pipe without a reader
                    os.write(2, line)  # line by line: a pipe keeps each in one piece, whoever else writes
            elif notices is not None:
                notices.append(line.decode("utf-8", "replace").rstrip())


@cache
def _buffer() -> _Buffer:
    buffer = _Buffer()
    atexit.register(buffer.flush)
    return buffer
