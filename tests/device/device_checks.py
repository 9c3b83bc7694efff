"""Shared by the device checks: a line for each check, and the command as a user types it."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

COMMAND = (sys.executable, "-m", "fer_edge.edge.cli")
LIGHT = ("--show", "none", "--model", "mobilenet_v2")
TIMEOUT = 600  # seconds for any command or wait: the machine is emulated
MAX_SHOWN = 3000  # characters of a command's output

failures: list[str] = []


def check(name: str, passed: bool) -> None:
    """Print the result of a check, and remember a failure."""
    print(f"{'ok   ' if passed else 'FAIL '} {name}", flush=True)
    if not passed:
        failures.append(name)


def end() -> None:
    """Print the number of failures, and exit with 1 where there are any."""
    print(f"{len(failures)} checks failed" if failures else "all checks passed", flush=True)
    sys.exit(1 if failures else 0)


def fer_edge(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `fer-edge` and show its output."""
    words = [str(each) for each in arguments]
    process = subprocess.run([*COMMAND, *words], capture_output=True, text=True, timeout=TIMEOUT)
    output = f"{process.stdout[:MAX_SHOWN]}{process.stderr}"
    print(f"$ fer-edge {' '.join(words)}\n{output}exit code {process.returncode}", flush=True)
    return process


def is_one_line_error(process: subprocess.CompletedProcess[str], message: str) -> bool:
    """Whether it ended with exit code 2 and one line that has the message."""
    return process.returncode == 2 and message in process.stderr and len(process.stderr.splitlines()) == 1


def wait_until(condition: Callable[[], bool]) -> bool:
    """Wait for a condition; whether it became true within TIMEOUT."""
    deadline = time.monotonic() + TIMEOUT
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.2)
    return condition()


def wait_while_running(process: subprocess.Popen[Any], condition: Callable[[], bool]) -> bool:
    """Wait for a condition; whether it became true within TIMEOUT and before the process ended."""
    return wait_until(lambda: condition() or process.poll() is not None) and condition()


class _MessageList(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def source_messages() -> list[str]:
    """The messages that the sources log from now on, as a list that grows."""
    handler, logger = _MessageList(), logging.getLogger("fer_edge.edge.sources")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    return handler.messages
