"""Building blocks of every table: numbers as text, the line above the table, GitHub's Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

NOT_MEASURED = "–"
"""The cell of a row that lacks a figure."""


def filled(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The columns and rows without the columns in which nothing was measured."""
    kept = [index for index in range(len(columns)) if any(row[index] != NOT_MEASURED for row in rows)]
    return tuple(columns[index] for index in kept), [tuple(row[index] for index in kept) for row in rows]


def markdown(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A GitHub table, its first column left-aligned, the others right-aligned."""
    lines = ["| " + " | ".join(columns) + " |", "|---" + "|--:" * (len(columns) - 1) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def row_label(row: dict[str, Any]) -> str:
    """The name of an accuracy row: its model, and whether the mirrored face was averaged in."""
    return f"{row['model']} + flip" if row["flip"] else str(row["model"])


def measured_on(result: dict[str, Any]) -> str:
    """The data set and the machine of a result, in one line."""
    data = result["data"]
    return f"{data['name']}, split `{data['split']}`, {data['pictures']} pictures; {machine(result)}"


def machine(result: dict[str, Any]) -> str:
    """The machine, its runtime and the date of a result, in one line."""
    facts = result["machine"]
    software = ", ".join(
        f"{name} {version}"
        for name, version in facts["packages"].items()
        if name in ("tensorflow", "ai-edge-litert", "tflite-runtime")
    )
    parts = [
        facts["model"] or facts["cpu"],
        f"{facts['cores']} cores",
        facts["os"],
        f"Python {facts['python']}",
        software,
        facts["date"][:10],
    ]
    return f"{', '.join(part for part in parts if part)}."


def ratio(row: dict[str, Any], digits: int = 2) -> str:
    """A row's ratio with its 95 % interval."""
    return interval_text(row["ratio"], row["ratio_interval"], digits)


def interval_text(value: float, interval: Sequence[float], digits: int) -> str:
    """A value with its 95 % interval in brackets; the ratio of a row to itself has none."""
    low, high = interval
    return f"{value:.{digits}f}" + ("" if low == high else f" ({low:.{digits}f}–{high:.{digits}f})")


def percent(share: float, digits: int = 2) -> str:
    """A share, 0..1, as a percentage."""
    return f"{100 * share:.{digits}f} %"


def rows_accuracy(row: dict[str, Any], rows: str) -> str:
    """The accuracy, in percent, on a set of a row's pictures (`row_sets.CLEAN` …), with its 95 % interval."""
    if rows not in row.get("rows", {}):  # the data set does not say which pictures are in its train split
        return NOT_MEASURED
    figures = row["rows"][rows]
    low, high = (100 * end for end in figures["intervals"]["accuracy"])
    return f"{100 * figures['accuracy']:.2f} ({low:.1f}–{high:.1f})"


def mib(size: int) -> str:
    """Bytes as MiB."""
    return f"{size / 2**20:.1f} MiB"
