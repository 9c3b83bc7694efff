"""Which fer-edge this is."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


@cache
def installed() -> str:
    """fer-edge's version; 'unknown' where it runs without being installed."""
    try:
        return version("fer-edge")
    except PackageNotFoundError:
        return "unknown"


def revision() -> str | None:
    """The checkout's git revision, '+' after it where tracked files differ; None outside a checkout."""
    from fer_edge.edge.board import output

    here = Path(__file__).resolve().parents[1]
    if not (here / ".git").exists():
        return None
    return output("git", "-C", str(here), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*")
