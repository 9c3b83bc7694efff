"""Cores and memory of a machine, a container and a service."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fer_edge.edge.device.capacity import available_memory, usable_cores


def machine(root: Path, group: str, **files: str) -> Path:
    """A machine with 1000 MiB available, whose control groups have these files, by "name__folder__file"."""
    (root / "proc" / "self").mkdir(parents=True)
    (root / "proc" / "meminfo").write_text("MemTotal:  2048000 kB\nMemAvailable:   1024000 kB\n")
    (root / "proc" / "self" / "cgroup").write_text(f"1:name=systemd:/\n0::{group}\n")
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name.replace("__", "/").replace("_max", ".max").replace("_stat", ".stat")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_a_machine_without_limits(tmp_path: Path) -> None:
    root = machine(tmp_path, "/", cpu_max="max 100000\n", memory_max="max\n")
    assert usable_cores(root) == len(os.sched_getaffinity(0))
    assert available_memory(root) == 1000 << 20


@pytest.mark.parametrize("group", ["/", "/system.slice", "/system.slice/docker-1.scope"])
def test_the_least_limit_of_all_groups_around_counts(tmp_path: Path, group: str) -> None:
    """In a container, its own group is the top one; in a service, one further in."""
    folder = group.strip("/").replace("/", "__")
    files = {f"{folder}__memory_max": str(600 << 20), f"{folder}__memory_stat": f"anon {100 << 20}\nfile 9999999\n"}
    files |= {f"{folder}__cpu_max": "50000 100000", "memory_max": "max"} if folder else {"cpu_max": "50000 100000"}
    root = machine(tmp_path, group, **{name.removeprefix("__"): text for name, text in files.items()})
    assert available_memory(root) == 500 << 20
    assert usable_cores(root) == 1


def test_a_system_that_tells_nothing(tmp_path: Path) -> None:
    assert available_memory(tmp_path) is None
    assert usable_cores(tmp_path) == len(os.sched_getaffinity(0))
