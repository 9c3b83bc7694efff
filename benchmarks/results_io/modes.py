"""The ways in which a result's models ran: alone, or an ensemble with all members and with early exit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def modes(rows: Iterable[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Name and figures of each model, followed by those of its early exit where it has one.

    Args:
        rows: Rows of a result file, with "model", and "early_exit" where the ensemble ran with early exit too.
    """
    named = []
    for row in rows:
        named.append((row["model"], row))
        if "early_exit" in row:
            named.append((f"{row['model']} with early exit", row["early_exit"]))
    return named
