"""The machine that a measurement ran on, its software and its condition."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from statistics import fmean
from typing import Any

from fer_edge.edge.device.board import read_celsius, read_text, read_throttling
from fer_edge.edge.device.host_info import describe_machine
from fer_edge.edge.device.version import git_revision

PACKAGES = ("fer-edge", "ai-edge-litert", "tflite-runtime", "numpy", "opencv-python")


def facts(root: Path = Path("/")) -> dict[str, Any]:
    """The machine, its software, the git revision, its condition and the date.

    Args:
        root: The folder that holds /proc, /sys and /etc.

    Returns:
        Values for JSON; None where one is unknown.
    """
    return {
        **describe_machine(PACKAGES, root),
        "architecture": platform.machine(),
        "memory_mib": _memory(root),
        "git": git_revision(),
        **condition(root),
    }


def condition(root: Path = Path("/")) -> dict[str, Any]:
    """What may change during a measurement.

    Args:
        root: The folder that holds /proc and /sys.

    Returns:
        CPU governor, current and maximum frequency in MHz, temperature in °C, load average of a minute, and throttling;
        None where one is unknown. The frequency is that of cpu0 or, where it has no governor, as in a virtual machine,
        the mean of /proc/cpuinfo.
    """
    cpufreq = root / "sys/devices/system/cpu/cpu0/cpufreq"
    load = read_text(root / "proc/loadavg")
    return {
        "governor": read_text(cpufreq / "scaling_governor"),
        "mhz": _scaled(read_text(cpufreq / "scaling_cur_freq"), 1000) or _mean_mhz(root),
        "max_mhz": _scaled(read_text(cpufreq / "cpuinfo_max_freq"), 1000),
        "celsius": read_celsius(root),
        "load": float(load.split()[0]) if load else None,
        "throttled": read_throttling(root),
    }


def _scaled(text: str | None, divisor: int) -> float | None:
    return round(int(text) / divisor, 1) if text and text.lstrip("-").isdigit() else None


def _mean_mhz(root: Path) -> float | None:
    frequencies = re.findall(r"^cpu MHz\s*:\s*([\d.]+)", read_text(root / "proc/cpuinfo") or "", re.MULTILINE)
    return round(fmean(map(float, frequencies)), 1) if frequencies else None


def _memory(root: Path) -> int | None:
    match = re.search(r"^MemTotal:\s*(\d+) kB", read_text(root / "proc/meminfo") or "", re.MULTILINE)
    return int(match[1]) // 1024 if match else None
