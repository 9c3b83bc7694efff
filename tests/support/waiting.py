"""Waiting for other threads and processes, and their signal handlers."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
LIMIT = 120.0
"""Seconds; only a busy machine takes that long for anything."""


def until(condition: Callable[[], T], message: Callable[[], str] = lambda: "") -> T:
    """Wait for the condition and return its value; after LIMIT, fail with the message."""
    end = time.monotonic() + LIMIT
    while not (result := condition()):
        assert time.monotonic() < end, message()
        time.sleep(0.02)
    return result


@contextmanager
def default_signal_handlers() -> Iterator[None]:
    """Let processes that are started in the block react to SIGINT and SIGHUP, even if the tests ignore them.

    A shell starts background jobs with SIGINT ignored, and child processes inherit that.
    """
    before = [(number, signal.signal(number, signal.SIG_DFL)) for number in (signal.SIGINT, signal.SIGHUP)]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
