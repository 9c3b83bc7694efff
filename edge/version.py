"""Which fer-edge this is."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache
def installed() -> str:
    """fer-edge's version; 'unknown' where it runs without being installed."""
    try:
        return version("fer-edge")
    except PackageNotFoundError:
        return "unknown"
