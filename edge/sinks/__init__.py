"""Outputs of predictions, and what all of them share."""

from __future__ import annotations

import fcntl
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Protocol, runtime_checkable

from fer_edge.edge.errors import SinkError
from fer_edge.edge.types import Frame, Prediction


class Sink(Protocol):
    """An output of predictions: a file, a display, a server or a broker."""

    def show(self, frame: Frame, predictions: Sequence[Prediction]) -> None:
        """Output one frame.

        Args:
            frame: The frame; the sink must not change its pixels.
            predictions: Its faces, none for a frame without.

        Raises:
            SinkError: The output cannot be written.
            OutputClosed: The user closed the output; the run ends.
        """
        ...

    def close(self) -> None:
        """Write what is left and free the output's resources.

        Raises:
            SinkError: The output could not be written completely.
        """
        ...


@runtime_checkable
class RecognitionAware(Protocol):
    """A sink for which a frame that was not searched for faces is another thing than a frame without faces."""

    def show_unrecognized(self, frame: Frame) -> None:
        """Output a frame that came while recognition was off.

        Raises:
            SinkError: The output cannot be written.
            OutputClosed: The user closed the output; the run ends.
        """
        ...


@runtime_checkable
class EventDriven(Protocol):
    """A sink that acts when an emotion begins."""

    def set_timing(self, hold: float | None = None, cooldown: float | None = None) -> None:
        """Change its hold time or cooldown, seconds; None leaves it. Any thread may call it."""
        ...


def show_frame(sink: Sink, frame: Frame, predictions: Sequence[Prediction] | None) -> None:
    """Output a frame, as `Sink.show` does.

    Args:
        sink: The output.
        frame: The frame.
        predictions: Its faces; None where recognition was off.
    """
    if predictions is None and isinstance(sink, RecognitionAware):
        sink.show_unrecognized(frame)
    else:
        sink.show(frame, predictions or ())


class OutputClosed(Exception):
    """The user closed the window, or the program that reads stdout has ended: an end of the run, not an error."""


@contextmanager
def guard_stdout() -> Iterator[None]:
    """Turn errors of writing to stdout into the project's own; of a file, a line that was begun is removed then.

    Raises:
        OutputClosed: The reader closed the pipe.
        SinkError: Anything else, such as a full disk.
    """
    end = _end_of_stdout()
    try:
        yield
    except OSError as error:
        with suppress(OSError, ValueError):  # a stdout that is no file has no descriptor
            if end is not None:
                os.ftruncate(sys.stdout.fileno(), end)
            # Python flushes stdout once more at exit, and would fail with the same error there
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise OutputClosed("the reader of stdout closed the pipe") from None
        raise SinkError(f"stdout cannot be written: {error.strerror}") from None


def _end_of_stdout() -> int | None:
    """The size of the file that stdout is, where the next line is appended to it; None for anything else."""
    with suppress(OSError, ValueError):
        descriptor = sys.stdout.fileno()
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode):
            appends = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND
            if appends or os.lseek(descriptor, 0, os.SEEK_CUR) == status.st_size:
                return status.st_size
    return None
