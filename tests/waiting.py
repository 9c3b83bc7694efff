"""Waiting, in tests, for what another thread or process is about to do."""

from __future__ import annotations

import time
from collections.abc import Callable
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
