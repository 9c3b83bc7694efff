"""The program `fer-edge`: a command with the process around it, from the first signal to the last flush."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

from fer_edge.edge.program import interrupts
from fer_edge.edge.program.standard_streams import StdoutError, open_standard_streams


def run_program(command: Callable[[], object]) -> NoReturn:
    """Run a command, and end the process with its exit code.

    Args:
        command: What ends with SystemExit, such as a click command in its standalone mode.
    """
    interrupts.end_at_once()
    open_standard_streams()
    code: object = None
    try:
        command()
    except SystemExit as end:
        code = end.code
    finally:
        interrupts.end_at_once()  # during the interpreter's own end, too
    code = interrupts.exit_code() or _flushed(code)
    _leave_threads(code)
    sys.exit(code)  # type: ignore[arg-type]  # as SystemExit has it


def _flushed(code: object) -> object:
    """The exit code after writing what is still in the buffer of stdout: 2 where that fails."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return code or 1
    except StdoutError as error:
        sys.stderr.write(f"fer-edge: stdout cannot be written: {error.strerror}\n")
        return code or 2
    return code


def _leave_threads(code: object) -> None:
    """End the process where a thread still waits in a camera's driver or in FFmpeg; all outputs are closed by now.

    Such a thread cannot be woken, and one that returns while the interpreter shuts down aborts the process.
    """
    if any(thread.daemon for thread in threading.enumerate()):
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))
