"""Resident memory of a process, from /proc."""

from __future__ import annotations

import re
from pathlib import Path

from fer_edge.edge.device.board import read_text


def peak_mib(process: int | str = "self") -> float | None:
    """Peak resident memory of a process so far.

    ru_maxrss would not do: a process inherits it from its parent over exec.

    Args:
        process: Its id.

    Returns:
        MiB; None where there is no such process.
    """
    return _mib("VmHWM", process)


def resident_mib(process: int | str = "self") -> float | None:
    """Resident memory of a process now.

    Args:
        process: Its id.

    Returns:
        MiB; None where there is no such process.
    """
    return _mib("VmRSS", process)


def proportional_mib(process: int | str = "self") -> float | None:
    """Proportional share of a process (PSS): its own memory, and an equal part of what it shares with others.

    Args:
        process: Its id.

    Returns:
        MiB; None where there is no such process, or the kernel does not tell.
    """
    text = read_text(Path(f"/proc/{process}/smaps_rollup")) or ""
    match = re.search(r"^Pss:\s*(\d+) kB", text, re.MULTILINE)
    return round(int(match[1]) / 1024, 1) if match else None


def descendants(process: int) -> list[tuple[int, int]]:
    """The processes that come from a process: their ids and generations, 1 for its own children."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        match = re.search(r"\) \S (\d+) ", read_text(entry / "stat") or "") if entry.name.isdigit() else None
        if match is not None:
            children.setdefault(int(match[1]), []).append(int(entry.name))
    found = [(child, 1) for child in children.get(process, [])]
    for parent, generation in found:  # grows meanwhile
        found += [(child, generation + 1) for child in children.get(parent, [])]
    return found


def _mib(field: str, process: int | str) -> float | None:
    match = re.search(rf"^{field}:\s*(\d+) kB", read_text(Path(f"/proc/{process}/status")) or "", re.MULTILINE)
    return round(int(match[1]) / 1024, 1) if match else None
