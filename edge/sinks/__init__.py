"""Where predictions go: one protocol, and the two words that sinks share."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Protocol

from fer_edge.edge.errors import SinkError
from fer_edge.edge.types import Frame, Prediction


class Sink(Protocol):
    """Something that is shown every frame with its predictions, and closed in the end. Raises SinkError."""

    def show(self, frame: Frame, predictions: Sequence[Prediction]) -> None: ...

    def close(self) -> None: ...


class ViewerGone(Exception):
    """Nobody looks any more: the window was closed, or the pipe that stdout fed. An end, not an error."""


@contextmanager
def stdout_guarded() -> Iterator[None]:
    """Turn a broken pipe on stdout into ViewerGone and other trouble, such as a full disk, into SinkError."""
    try:
        yield
    except OSError as error:
        with suppress(OSError, ValueError):  # a stdout that is no file has no number
            # Python flushes stdout once more at exit, and would stumble over the same error there
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise ViewerGone("stdout was closed by its reader") from None
        raise SinkError(f"stdout cannot be written: {error.strerror}") from None
