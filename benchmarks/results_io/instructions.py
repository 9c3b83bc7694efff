"""Instructions on emulated Arm processors: which of them grew, and what differs from what was recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fer_edge.benchmarks.results_io.record import RESULTS

FILE = RESULTS / "arm-instructions.json"
MAX_GROWTH = 0.03
"""Growth of a case, relative to what was recorded, up to which it passes; counting twice differs by less than 0.002."""


@dataclass(frozen=True)
class Change:
    """The instructions of a case on a processor.

    Attributes:
        cpu: The processor.
        case: What was counted.
        before: The instructions that were recorded; None for a new case.
        after: The instructions now; None for a case that was not counted.
    """

    cpu: str
    case: str
    before: int | None
    after: int | None

    @property
    def passed(self) -> bool:
        """Whether the case was counted both times and has not grown by more than MAX_GROWTH."""
        return self.before is not None and self.after is not None and self.after <= self.before * (1 + MAX_GROWTH)

    def __str__(self) -> str:
        name = f"{self.cpu}, {self.case}"
        if self.before is None:
            return f"{name}: {millions(self.after or 0)} M instructions, and nothing recorded"
        if self.after is None:
            return f"{name}: {millions(self.before)} M instructions recorded, and not counted"
        growth = f"{100 * (self.after / self.before - 1):+.1f} %"
        return f"{name}: {millions(self.before)} M → {millions(self.after)} M instructions, {growth}"


def millions(count: int) -> str:
    """A count in millions."""
    return f"{count / 1e6:.2f}"


def changes(recorded: dict[str, Any], counted: dict[str, Any]) -> list[Change]:
    """Compare two results row by row.

    Args:
        recorded: The content of a result file of the kind "arm-instructions".
        counted: The same, of now.

    Returns:
        A change per processor and case, in the order of `counted`, followed by what it lacks.
    """
    before, after = (_by_row(result) for result in (recorded, counted))
    return [Change(*row, before.get(row), after.get(row)) for row in {**after, **before}]


def differences(recorded: dict[str, Any], counted: dict[str, Any]) -> list[str]:
    """What else differs between two results: versions and models, from what to what.

    Args:
        recorded: The content of a result file of the kind "arm-instructions".
        counted: The same, of now.
    """
    return [
        f"{name}: {before} → {after}"
        for name in dict.fromkeys((*_versions(recorded), *_versions(counted)))
        if (before := _versions(recorded).get(name, "none")) != (after := _versions(counted).get(name, "none"))
    ]


def _by_row(result: dict[str, Any]) -> dict[tuple[str, str], int]:
    return {(row["cpu"], row["case"]): row["instructions"] for row in result["rows"]}


def _versions(result: dict[str, Any]) -> dict[str, str]:
    machine = result["machine"]
    models = {name: digest[:12] for name, digest in result["sha256"].items()}
    return {
        **machine["packages"],
        "Python": machine["python"],
        "system": machine["os"],
        "emulator": result["emulator"],
        "plugin": result["plugin"][:12],
        **models,
    }
