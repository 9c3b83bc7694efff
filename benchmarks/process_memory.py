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


def _mib(field: str, process: int | str) -> float | None:
    match = re.search(rf"^{field}:\s*(\d+) kB", read_text(Path(f"/proc/{process}/status")) or "", re.MULTILINE)
    return round(int(match[1]) / 1024, 1) if match else None
