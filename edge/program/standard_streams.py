"""Standard input, output and error of the program, each of which may be closed, full, or a pipe without a reader.

Results go to stdout: what cannot be written there is an error. Logs go to stderr: what cannot be written there is
dropped, and the work goes on.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

PATIENCE = 1.0
"""Seconds that a line for stderr waits for a reader who is slow; later lines do not wait until one was written."""


class StdoutError(OSError):
    """stdout cannot be written to: it is closed, or its disk is full."""


def open_standard_streams() -> None:
    """Replace `sys.stdin`, `sys.stdout` and `sys.stderr` by streams that behave as above, whatever the shell did.

    A descriptor that is closed (`>&-`) is opened on /dev/null: the next file or camera would get its number, and
    libraries that write to descriptor 2 would write into it. What the encoding lacks is written as an escape sequence.
    """
    for number, access in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):  # a write to 1 shall fail
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, access)  # gets the lowest free number
            os.set_inheritable(number, True)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115  # None where it was closed
    sys.stdout = _text(_Results(1, "wb", closefd=False), sys.stdout)
    sys.stderr = _text(_Log(2, "wb", closefd=False), sys.stderr)


def keep_from_libraries(descriptor: int) -> None:
    """Give native libraries another output: `sys.stdout` and `sys.stderr` stay where they are.

    Args:
        descriptor: Where what is written to the descriptors 1 and 2 goes from now on.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    own = [os.dup(number) for number in (1, 2)]
    for number in (1, 2):
        os.dup2(descriptor, number)
    sys.stdout = _text(_Results(own[0], "wb", closefd=False), sys.stdout)
    sys.stderr = _text(_Log(own[1], "wb", closefd=False), sys.stderr)


def _text(raw: io.FileIO, before: TextIO | None) -> TextIO:
    """A text stream in the encoding of the one before; as often flushed, stderr with each line."""
    is_log = isinstance(raw, _Log)
    errors = "backslashreplace" if is_log or before is None or before.errors == "strict" else before.errors
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(before, "encoding", None) or "utf-8",
        errors=errors,
        line_buffering=is_log or raw.isatty(),
        write_through=bool(getattr(before, "write_through", False)),
    )


class _Results(io.FileIO):
    """stdout: its first error is raised, as BrokenPipeError or StdoutError, and everything after it dropped.

    So the buffer is empty when the interpreter flushes it a last time.
    """

    _failed = False

    def write(self, data: ReadableBuffer, /) -> int:
        if self._failed:
            return memoryview(data).nbytes
        try:
            while (written := super().write(data)) is None:  # some other program set the pipe to non-blocking
                select.select([], [self], [])
            return written
        except BrokenPipeError:
            self._failed = True
            raise
        except OSError as error:
            self._failed = True
            why = "it is closed" if error.errno == errno.EBADF else error.strerror
            raise StdoutError(error.errno, why) from None


class _Log(io.FileIO):
    """stderr: drops what cannot be written, or not without waiting for a reader who does not read."""

    _patience = PATIENCE

    def write(self, data: ReadableBuffer, /) -> int:
        size = memoryview(data).nbytes
        with suppress(OSError, ValueError):
            if not select.select([], [self], [], self._patience)[1]:
                self._patience = 0.0
                return size
            self._patience = PATIENCE
            # so much fits in a pipe that select finds writable
            return super().write(memoryview(data)[: select.PIPE_BUF]) or size
        return size
