"""How many cores and how much memory this process may use: of the machine, or of its container or service."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from math import ceil
from pathlib import Path

from fer_edge.edge.device.board import read_text


def usable_cores(root: Path = Path("/")) -> int:
    """Number of cores that this process may keep busy, at least 1.

    Args:
        root: The folder that has /proc and /sys.

    Returns:
        Those that it may run on (`taskset`, SLURM), or fewer where a control group (cgroup v2) limits its time, as
        `docker run --cpus` and systemd's CPUQuota= do.
    """
    cores = len(os.sched_getaffinity(0))
    for group in _groups(root):
        quota, _, period = (read_text(group / "cpu.max") or "").partition(" ")
        if quota.isdigit() and period.isdigit():
            cores = min(cores, ceil(int(quota) / max(1, int(period))))
    return max(1, cores)


def available_memory(root: Path = Path("/")) -> int | None:
    """Memory that this process may use beyond what is in use.

    Args:
        root: The folder that has /proc and /sys.

    Returns:
        Bytes that the system has available, or fewer where a control group has less left, as `docker run --memory` and
        SLURM's --mem set it; None where the system does not tell.
    """
    match = re.search(r"^MemAvailable:\s*(\d+) kB", read_text(root / "proc/meminfo") or "", re.MULTILINE)
    if match is None:
        return None
    available = int(match[1]) << 10
    for group in _groups(root):
        limit = read_text(group / "memory.max") or ""
        used = re.search(r"^anon (\d+)", read_text(group / "memory.stat") or "", re.MULTILINE)  # caches can be dropped
        if limit.isdigit():
            available = min(available, int(limit) - (int(used[1]) if used else 0))
    return max(0, available)


def _groups(root: Path) -> Iterator[Path]:
    """The folders of this process's control group, and of those around it."""
    match = re.search(r"^0::/(.*)$", read_text(root / "proc/self/cgroup") or "", re.MULTILINE)
    if match is not None:
        top = root / "sys/fs/cgroup"
        group = Path(match[1])
        yield from (top / each for each in (group, *group.parents))
