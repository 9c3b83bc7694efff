"""The machine and its software, for measurements and model cards."""

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


def describe_machine(packages: Iterable[str], root: Path = Path("/")) -> dict[str, Any]:
    """Describe the machine and its software.

    Args:
        packages: Names of the packages whose versions to include.
        root: The folder that has /proc and /etc.

    Returns:
        The board, processor, cores, operating system, Python, packages and date, as JSON values.
    """
    return {
        "model": read_text(root / "proc/device-tree/model"),
        "cpu": processor_name(root),
        "cores": os.cpu_count(),
        "os": system_name(root),
        "python": platform.python_version(),
        "packages": package_versions(packages),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def package_versions(packages: Iterable[str]) -> dict[str, str]:
    """The versions of the packages that are installed, by name."""
    installed = {}
    for name in packages:
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            continue
    return installed


def processor_name(root: Path = Path("/")) -> str:
    """The processor's name; Arm's /proc/cpuinfo has part numbers instead, of which the most common ones are named."""
    lines = read_text(root / "proc/cpuinfo") or ""
    fields = dict(re.findall(r"^([^:\n\t]+?)\s*:\s*(.*)$", lines, re.MULTILINE))
    parts = {"0xd03": "Cortex-A53", "0xd08": "Cortex-A72", "0xd0b": "Cortex-A76"}
    part = fields.get("CPU part")
    return fields.get("model name") or parts.get(part or "", part) or platform.processor() or "unknown CPU"


def system_name(root: Path = Path("/")) -> str:
    """The operating system's name and version."""
    match = re.search(r'^PRETTY_NAME="?([^"\n]*)', read_text(root / "etc/os-release") or "", re.MULTILINE)
    return match[1] if match else platform.system()
