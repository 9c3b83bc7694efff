"""The tables of docs/reliability.md: one line a fault, with the tests that cause it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from fer_edge.models import FOLDER

ROOT = FOLDER.parent
PAGE = ROOT / "docs" / "reliability.md"
HEADER = "| Fault | What happens | Test | Last result |"


@dataclass(frozen=True)
class FaultRow:
    """A line of a table: its text, and the tests named in it as (path below `tests/`, function)."""

    line: str
    tests: tuple[tuple[str, str], ...]

    def with_result(self, result: str) -> str:
        """The line with another last result."""
        cells = self.line.strip().strip("|").split(" | ")
        return "| " + " | ".join([*(cell.strip() for cell in cells[:3]), result]) + " |"


def rows(text: str) -> list[FaultRow]:
    """Every fault of the page."""
    found, inside = [], False
    for line in text.splitlines():
        if line == HEADER:
            inside = True
        elif not line.startswith("|"):
            inside = False
        elif inside and not line.startswith("|---"):
            assert len(line.strip().strip("|").split(" | ")) == 4, f"four cells are expected: {line}"
            tests = re.findall(r"`(?:tests/)?([\w/]+\.py)::(\w+)`", line)
            found.append(FaultRow(line, tuple(tests)))
    return found


def page_text() -> str:
    return Path(PAGE).read_text("utf-8")
