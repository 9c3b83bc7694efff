"""What a figure is measured on: the machine and its software."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from fer_edge.edge.device.board import read_text


def machine(packages: Iterable[str], root: Path = Path("/")) -> dict[str, Any]:
    """Board, processor, cores, system, Python, those of the packages that are installed, and the date.

    root: where /proc, /sys and /etc are looked for.
    """
    return {
        "model": read_text(root / "proc/device-tree/model"),
        "cpu": processor(root),
        "cores": os.cpu_count(),
        "os": system(root),
        "python": platform.python_version(),
        "packages": versions(packages),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def versions(packages: Iterable[str]) -> dict[str, str]:
    """By name, the version of each package that is installed."""
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def processor(root: Path = Path("/")) -> str:
    """The CPU's name; Arm's /proc/cpuinfo has part numbers instead, of which the main ones are put in words."""
    lines = read_text(root / "proc/cpuinfo") or ""
    fields = dict(re.findall(r"^([^:\n\t]+?)\s*:\s*(.*)$", lines, re.MULTILINE))
    parts = {"0xd03": "Cortex-A53", "0xd08": "Cortex-A72", "0xd0b": "Cortex-A76"}
    part = fields.get("CPU part")
    return fields.get("model name") or parts.get(part or "", part) or platform.processor() or "unknown CPU"


def system(root: Path = Path("/")) -> str:
    """The operating system's name and version."""
    found = re.search(r'^PRETTY_NAME="?([^"\n]*)', read_text(root / "etc/os-release") or "", re.MULTILINE)
    return found[1] if found else platform.system()
