"""Other threads and processes, in tests: waiting for what they are about to do, and being heard by them."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
LIMIT = 120.0
"""Seconds; nothing takes as long but on a machine that does other things."""


def until(found: Callable[[], T], otherwise: Callable[[], str] = lambda: "") -> T:
    """What `found` gives as soon as it is true; fails with what `otherwise` says."""
    end = time.monotonic() + LIMIT
    while not (result := found()):
        assert time.monotonic() < end, otherwise()
        time.sleep(0.02)
    return result


@contextmanager
def signals_heard() -> Iterator[None]:
    """What is started meanwhile hears Ctrl-C and a terminal's end, though the tests may not.

    A shell starts what it puts into the background with SIGINT ignored, and children inherit that.
    """
    before = [(number, signal.signal(number, signal.SIG_DFL)) for number in (signal.SIGINT, signal.SIGHUP)]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
