"""What a figure was measured on, and in which condition the machine was."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("fer-edge", "ai-edge-litert", "tflite-runtime", "numpy", "opencv-python")

THROTTLE_BITS = {
    0: "under-voltage now",
    1: "frequency capped now",
    2: "throttled now",
    3: "soft temperature limit now",
    16: "under-voltage since boot",
    17: "frequency capped since boot",
    18: "throttled since boot",
    19: "soft temperature limit since boot",
}
"""`vcgencmd get_throttled`, https://www.raspberrypi.com/documentation/computers/os.html#get_throttled."""


def facts(root: Path = Path("/")) -> dict[str, Any]:
    """The machine, its software and the date. root: where /proc, /sys and /etc are looked for."""
    return {
        "model": _read(root / "proc/device-tree/model"),
        "cpu": _cpu(root),
        "cores": os.cpu_count(),
        "architecture": platform.machine(),
        "memory_mib": _memory(root),
        "os": _os(root),
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "git": revision(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        **condition(root),
    }


def condition(root: Path = Path("/")) -> dict[str, Any]:
    """What changes while measuring: governor, frequency in MHz, temperature in °C, load, throttling; None: unknown."""
    cpufreq = root / "sys/devices/system/cpu/cpu0/cpufreq"
    load = _read(root / "proc/loadavg")
    return {
        "governor": _read(cpufreq / "scaling_governor"),
        "mhz": _scaled(_read(cpufreq / "scaling_cur_freq"), 1000),
        "max_mhz": _scaled(_read(cpufreq / "cpuinfo_max_freq"), 1000),
        "celsius": _scaled(_read(root / "sys/class/thermal/thermal_zone0/temp"), 1000),
        "load": float(load.split()[0]) if load else None,
        "throttled": throttled(_vcgencmd()),
    }


def throttled(answer: str | None) -> list[str] | None:
    """`throttled=0x50005` as words, in bit order; None where there is no answer."""
    found = re.search(r"throttled=(0x[0-9a-fA-F]+)", answer or "")
    if not found:
        return None
    bits = int(found[1], 16)
    return [words for bit, words in THROTTLE_BITS.items() if bits >> bit & 1]


def revision() -> str | None:
    """The checkout's git revision, '+' after it where tracked files differ; None outside a checkout."""
    here = Path(__file__).resolve().parent.parent
    if not (here / ".git").exists():
        return None
    commit = _output("git", "-C", str(here), "rev-parse", "--short=12", "HEAD")
    changed = _output("git", "-C", str(here), "status", "--porcelain", "--untracked-files=no")
    return f"{commit}{'+' if changed else ''}" if commit else None


def _read(path: Path) -> str | None:
    try:
        return path.read_text("utf-8", errors="replace").strip("\0\n ") or None
    except OSError:
        return None


def _scaled(text: str | None, divisor: int) -> float | None:
    return round(int(text) / divisor, 1) if text and text.lstrip("-").isdigit() else None


def _cpu(root: Path) -> str:
    """The CPU's name; Arm's /proc/cpuinfo has part numbers instead, of which the main ones are put in words."""
    lines = _read(root / "proc/cpuinfo") or ""
    fields = dict(re.findall(r"^([^:\n\t]+?)\s*:\s*(.*)$", lines, re.MULTILINE))
    parts = {"0xd03": "Cortex-A53", "0xd08": "Cortex-A72", "0xd0b": "Cortex-A76"}
    part = fields.get("CPU part")
    return fields.get("model name") or parts.get(part or "", part) or platform.processor() or "unknown CPU"


def _memory(root: Path) -> int | None:
    found = re.search(r"^MemTotal:\s*(\d+) kB", _read(root / "proc/meminfo") or "", re.MULTILINE)
    return int(found[1]) // 1024 if found else None


def _os(root: Path) -> str:
    found = re.search(r'^PRETTY_NAME="?([^"\n]*)', _read(root / "etc/os-release") or "", re.MULTILINE)
    return found[1] if found else platform.system()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _vcgencmd() -> str | None:
    return _output("vcgencmd", "get_throttled") if shutil.which("vcgencmd") else None


def _output(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
