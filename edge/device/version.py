"""Which fer-edge this is."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

WRITTEN = (":!benchmarks/results", ":!docs", ":!*.md")
"""What a measurement writes itself, and is none the worse for."""


@cache
def installed() -> str:
    """fer-edge's version; 'unknown' where it runs without being installed."""
    try:
        return version("fer-edge")
    except PackageNotFoundError:
        return "unknown"


def revision(root: Path = ROOT) -> str | None:
    """The checkout's git revision, '+' after it where what is tracked and runs differs; None outside a checkout."""
    from fer_edge.edge.device.board import output

    if not (root / ".git").exists():
        return None
    git = ("git", "-C", str(root))
    head = output(*git, "rev-parse", "--short=12", "HEAD")
    changed = output(*git, "status", "--porcelain", "--untracked-files=no", "--", ".", *WRITTEN)
    return f"{head}{'+' if changed else ''}" if head else None
