"""2,000 pictures on a real Dask cluster whose workers and scheduler are killed meanwhile: `make test-cluster`.

What a run has lost, has twice and has in other bytes than a run on this machine is counted and printed. Pytest collects
this file only where it is named.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from dask_processes import parts
from measuring import run as bench
from waiting import until

from fer_edge.benchmarks.archive import write_pictures
from fer_edge.benchmarks.dask_processes import DaskProcesses, kill
from fer_edge.edge.errors import printable

PICTURES = int(os.environ.get("PICTURES", "2000"))
LIMIT = 1800.0
"""Seconds for a whole run."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive") / "pictures"
    write_pictures(folder, PICTURES)
    (folder / "000100.jpg").write_bytes(b"no picture")
    return folder


def predict(*words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "fer_edge.edge.cli", "predict", *map(str, words)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def local(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("local") / "out"
    predict(folder, "--output", out, "--workers", 2).communicate(timeout=LIMIT)
    return parts(out)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[DaskProcesses]:
    with DaskProcesses(tmp_path, nanny=True) as cluster:
        cluster.have_workers(2)
        cluster.disconnect()
        yield cluster


def report(out: Path, local: dict[str, bytes], capsys: pytest.CaptureFixture[str]) -> None:
    """Print the counts, and fail unless all are as they should be."""
    found = parts(out)
    names = Counter(
        json.loads(line)["path"]
        for name, part in found.items()
        if name.startswith("part")
        for line in part.splitlines()
    )
    lost, twice = PICTURES - len(names), sum(names.values()) - len(names)
    equal = sum(found.get(name) == content for name, content in local.items())
    with capsys.disabled():
        print(f"\n{printable(out.parent.name)}: {PICTURES} pictures, {lost} lost, {twice} twice, ", end="")
        print(f"{equal} of {len(local)} files with the bytes of a local run")
    assert (lost, twice, found) == (0, 0, local)


def started(out: Path, local: dict[str, bytes], share: float, process: subprocess.Popen[str]) -> None:
    """Wait until this share of the parts is there."""
    until(lambda: process.poll() is not None or len(parts(out, "part-*")) >= share * len(local))
    assert process.poll() is None, process.communicate()[1]


def worker_of(nanny: subprocess.Popen[bytes]) -> psutil.Process:
    """The worker process that a nanny has started, as soon as it is there."""

    def child() -> psutil.Process | None:
        children = psutil.Process(nanny.pid).children()
        return next((each for each in children if "spawn_main" in " ".join(each.cmdline())), None)

    return until(child)  # type: ignore[return-value]


@pytest.mark.parametrize("words", [[], ["--send-pictures"]], ids=["shared", "sent"])
def test_workers_killed_in_mid_run(
    cluster: DaskProcesses,
    folder: Path,
    local: dict[str, bytes],
    words: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each of two workers once, and one nanny with its worker for good."""
    out = tmp_path / "out"
    process = predict(folder, "--output", out, "--dask", cluster.address, *words)
    for share, number in ((0.1, 0), (0.3, 1)):
        started(out, local, share, process)
        os.kill(worker_of(cluster.workers[number]).pid, signal.SIGKILL)
    started(out, local, 0.6, process)
    kill(cluster.workers[1], with_children=True)
    process.communicate(timeout=LIMIT)
    report(out, local, capsys)


def test_a_killed_scheduler(
    cluster: DaskProcesses,
    folder: Path,
    local: dict[str, bytes],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The run ends with one line; with another scheduler, --resume does the rest."""
    out = tmp_path / "out"
    words = [folder, "--output", out, "--dask"]
    process = predict(*words, cluster.address)
    started(out, local, 0.3, process)
    kill(cluster.scheduler)
    line = process.communicate(timeout=LIMIT)[1].splitlines()[-1]
    assert line == "fer-edge: --dask: the scheduler was lost, does not answer, or ended the tasks"
    before = len(parts(out, "part-*"))
    (tmp_path / "other").mkdir()
    with DaskProcesses(tmp_path / "other") as other:
        other.have_workers(2)
        lines = predict(*words, other.address, "--resume").communicate(timeout=LIMIT)[1].splitlines()
    assert lines[0] == f"{out}: {before} parts are there and kept"
    report(out, local, capsys)


def test_the_measurement(tmp_path: Path) -> None:
    out = tmp_path / "cluster.json"
    words = ("--pictures", 16, "--rounds", 1, "--workers", "1", "--model", "mobilenet_v2")
    done = bench("cluster", *words, "--out", out)
    assert done.exit_code == 0, done.output
    rows: dict[str, Any] = {row["mode"]: row for row in json.loads(out.read_text())["rows"]}
    assert [*rows] == ["local", "dask", "sent"] and rows["local"]["ratio"] == 1
    assert 0 < rows["dask"]["network_bytes"]["p50"] < rows["sent"]["network_bytes"]["p50"]
    assert 50 < rows["dask"]["memory_mib"]["worker"] < 1000
    assert "| 1 Dask, --send-pictures |" in bench("table", out).stdout
