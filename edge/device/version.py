"""fer-edge's version, and the git revision of a checkout."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The folder of the package `fer_edge`, which is the repository's root in a checkout."""

GENERATED = (":!benchmarks/results", ":!docs", ":!*.md")
"""Paths that a measurement writes itself: a change there does not make the measured code another one."""


@cache
def package_version() -> str:
    """The version in the package metadata, such as '0.1.0'; 'unknown' where fer-edge runs without being installed."""
    try:
        return version("fer-edge")
    except PackageNotFoundError:
        return "unknown"


def git_revision(root: Path = ROOT) -> str | None:
    """The git revision that runs.

    Args:
        root: The repository's root.

    Returns:
        Twelve hexadecimal digits, followed by '+' where tracked files that run have uncommitted changes; None outside a
        checkout, or where git is missing or refuses to read it.
    """
    from fer_edge.edge.device.board import command_output

    if not (root / ".git").exists():
        return None
    git = ("git", "-C", str(root))
    head = command_output(*git, "rev-parse", "--short=12", "HEAD")
    changed = command_output(*git, "status", "--porcelain", "--untracked-files=no", "--", ".", *GENERATED)
    return f"{head}{'+' if changed else ''}" if head else None


def full_version(root: Path = ROOT) -> str:
    """The version with a checkout's revision as its local part (PEP 440).

    Args:
        root: The repository's root.

    Returns:
        '0.1.0' outside a checkout, '0.1.0+g1a2b3c4d5e6f' in one, with '.dirty' after it where files were changed.
    """
    revision = git_revision(root)
    if revision is None:
        return package_version()
    return f"{package_version()}+g{revision.replace('+', '.dirty')}"
