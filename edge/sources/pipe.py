"""A named pipe in place of a file: opening one waits for its writer for ever, unless it is done like this."""

from __future__ import annotations

import os
import select
from pathlib import Path

from fer_edge.edge.errors import SourceError

WRITER_TIMEOUT = 10.0
"""Seconds that a pipe's writer has for its first bytes."""


def open_pipe(path: Path, timeout: float = WRITER_TIMEOUT) -> int:
    """Open a named pipe as soon as it has something to read.

    Args:
        path: The pipe.
        timeout: Seconds to wait.

    Returns:
        Its descriptor, which FFmpeg reads as `pipe:NUMBER`; to be closed after that.

    Raises:
        SourceError: It cannot be opened, or nothing was written to it in time.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from None
    if not select.select([descriptor], [], [], timeout)[0]:
        os.close(descriptor)
        raise SourceError(f"{path} is a pipe to which nothing was written in {timeout:g} s")
    os.set_blocking(descriptor, True)
    return descriptor
