"""What every table is written with: figures as text, the line above it, GitHub's Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def markdown(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A GitHub table; the first column left, the others right."""
    lines = ["| " + " | ".join(columns) + " |", "|---" + "|--:" * (len(columns) - 1) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def measured_on(result: dict[str, Any]) -> str:
    """On which pictures and on which machine."""
    data = result["data"]
    return f"{data['name']}, split `{data['split']}`, {data['pictures']} pictures; {machine(result)}"


def machine(result: dict[str, Any]) -> str:
    """On which machine, with which runtime and when."""
    found = result["machine"]
    software = ", ".join(
        f"{name} {version}"
        for name, version in found["packages"].items()
        if name in ("tensorflow", "ai-edge-litert", "tflite-runtime")
    )
    parts = [
        found["model"] or found["cpu"],
        f"{found['cores']} cores",
        found["os"],
        f"Python {found['python']}",
        software,
        found["date"][:10],
    ]
    return f"{', '.join(part for part in parts if part)}."


def ratio(row: dict[str, Any], digits: int = 2) -> str:
    """A ratio and its 95 % interval; that of what is compared with itself has none."""
    low, high = row["ratio_interval"]
    return f"{row['ratio']:.{digits}f}" + ("" if low == high else f" ({low:.{digits}f}–{high:.{digits}f})")


def percent(share: float, digits: int = 2) -> str:
    """A share, 0..1."""
    return f"{100 * share:.{digits}f} %"


def mib(size: int) -> str:
    """Bytes as MiB."""
    return f"{size / 2**20:.1f} MiB"
