"""What a figure was measured on, and in which condition the machine was."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from statistics import fmean
from typing import Any

from fer_edge.edge.device.board import celsius, read_text, throttling
from fer_edge.edge.device.host_info import machine
from fer_edge.edge.device.version import git_revision

PACKAGES = ("fer-edge", "ai-edge-litert", "tflite-runtime", "numpy", "opencv-python")


def facts(root: Path = Path("/")) -> dict[str, Any]:
    """The machine, its software and the date. root: where /proc, /sys and /etc are looked for."""
    return {
        **machine(PACKAGES, root),
        "architecture": platform.machine(),
        "memory_mib": _memory(root),
        "git": git_revision(),
        **condition(root),
    }


def condition(root: Path = Path("/")) -> dict[str, Any]:
    """What changes while measuring: governor, frequency in MHz, temperature in °C, load, throttling; None: unknown.

    The frequency is cpu0's; where no governor tells it, as in a virtual machine, the mean of /proc/cpuinfo's.
    """
    cpufreq = root / "sys/devices/system/cpu/cpu0/cpufreq"
    load = read_text(root / "proc/loadavg")
    return {
        "governor": read_text(cpufreq / "scaling_governor"),
        "mhz": _scaled(read_text(cpufreq / "scaling_cur_freq"), 1000) or _told_mhz(root),
        "max_mhz": _scaled(read_text(cpufreq / "cpuinfo_max_freq"), 1000),
        "celsius": celsius(root),
        "load": float(load.split()[0]) if load else None,
        "throttled": throttling(root),
    }


def _scaled(text: str | None, divisor: int) -> float | None:
    return round(int(text) / divisor, 1) if text and text.lstrip("-").isdigit() else None


def _told_mhz(root: Path) -> float | None:
    told = re.findall(r"^cpu MHz\s*:\s*([\d.]+)", read_text(root / "proc/cpuinfo") or "", re.MULTILINE)
    return round(fmean(map(float, told)), 1) if told else None


def _memory(root: Path) -> int | None:
    found = re.search(r"^MemTotal:\s*(\d+) kB", read_text(root / "proc/meminfo") or "", re.MULTILINE)
    return int(found[1]) // 1024 if found else None
