"""Pictures per second of `fer-edge predict --dask` against local worker processes, network and memory."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np

from fer_edge.benchmarks.archive import SIZE, digest_of_parts, run_to_end, write_pictures
from fer_edge.benchmarks.dask_processes import DaskProcesses
from fer_edge.benchmarks.options import comma_separated, count, result_file
from fer_edge.benchmarks.process_memory import peak_mib
from fer_edge.benchmarks.results_io.machine import condition
from fer_edge.benchmarks.results_io.record import RecordedCommand, ResultError, identity, write
from fer_edge.benchmarks.timing import summary
from fer_edge.edge.config.click_options import options_from
from fer_edge.edge.config.click_types import IntRange
from fer_edge.edge.device.board import read_text
from fer_edge.edge.device.host_info import package_versions
from fer_edge.edge.pipeline import PipelineOptions
from fer_edge.edge.terminal import track
from fer_edge.train.evaluation.intervals import ratio_interval

MODES = ("local", "dask", "sent")
"""Worker processes of the command's own; Dask workers that read the pictures; Dask workers that they are sent to."""

LOOPBACK = Path("/sys/class/net/lo/statistics/tx_bytes")
"""Bytes that all processes of this machine have sent each other."""


@click.command(cls=RecordedCommand)
@click.option("--pictures", type=IntRange(16), default=2000, metavar="N", help="JPEG pictures of 640x480, a face each.")
@click.option(
    "--workers",
    default="1,2",
    metavar="N,N",
    callback=comma_separated(count, "whole numbers from 1"),
    help="Numbers of workers.",
)
@click.option("--rounds", type=IntRange(1), default=5, metavar="N", help="Rounds; each has a run of every kind.")
@options_from(PipelineOptions, only=("model",))
@result_file
def cluster(
    pictures: int, workers: tuple[int, ...], rounds: int, pipeline_options: PipelineOptions, out: Path | None
) -> None:
    """Measure `fer-edge predict --dask` against as many worker processes of its own, in turns.

    Scheduler and workers run on this machine, so the ratio is what Dask costs, not what a cluster gains; it is taken
    within a round. They are there before each run, as they are in a cluster, while local worker processes start with
    it. A first run with each does not count. Bytes over the network are all that the loopback device has carried:
    measure on a machine that does nothing else. All runs must write the same bytes.
    """
    before = condition()
    rows: list[dict[str, Any]] = []
    outputs: set[str] = set()
    with TemporaryDirectory() as folder:
        source, target = Path(folder) / "pictures", Path(folder) / "results"
        write_pictures(source, pictures)
        size = sum(path.stat().st_size for path in source.iterdir())
        command = [*(sys.executable, "-m", "fer_edge.edge.cli", "predict", str(source)), "--output", str(target)]
        command += ["--model", pipeline_options.model, "--threads", "1"]
        for number in workers:
            with DaskProcesses(Path(folder)) as processes:
                processes.have_workers(number)
                processes.disconnect()
                words = _words(number, processes.address)
                rates: dict[str, list[float]] = defaultdict(list)
                carried: dict[str, list[int]] = defaultdict(list)
                for index in track(range(rounds + 1), f"rounds, {number} workers", rounds + 1):
                    for mode in MODES:
                        bytes_before, began = _carried(), time.perf_counter()
                        run_to_end([*command, *words[mode]])
                        seconds = time.perf_counter() - began
                        if index:
                            rates[mode].append(round(pictures / seconds, 3))
                            carried[mode].append(round((_carried() - bytes_before) / pictures))
                        outputs.add(digest_of_parts(target))
                        rmtree(target)
                memory = {"scheduler": _peak(processes.scheduler), "worker": max(map(_peak, processes.workers))}
                rows += [_row(mode, number, rates, carried[mode], memory) for mode in MODES]
    if len(outputs) > 1:
        raise ResultError("the runs wrote different results; expected the same bytes with and without Dask")
    body = {"pictures": pictures, "size": SIZE, "picture_bytes": round(size / pictures), "rounds": rounds}
    body |= {"dask": package_versions(("dask", "distributed")), **identity(pipeline_options.model)}
    path = write("cluster", body | {"before": before, "after": condition(), "rows": rows}, out)
    for row in rows:
        click.echo(_line(row))
    click.echo(f"wrote {path}", err=True)


def _words(number: int, address: str) -> dict[str, list[str]]:
    """The options of each mode."""
    dask = ["--dask", address]
    return {"local": ["--workers", str(number)], "dask": dask, "sent": [*dask, "--send-pictures"]}


def _carried() -> int:
    return int(read_text(LOOPBACK) or 0)


def _peak(process: subprocess.Popen[bytes]) -> float:
    return peak_mib(process.pid) or 0.0


def _row(
    mode: str, workers: int, rates: dict[str, list[float]], carried: list[int], memory: dict[str, float]
) -> dict[str, Any]:
    low, high = ratio_interval(rates[mode], rates["local"], paired=True)
    return {
        "mode": mode,
        "workers": workers,
        "rate": summary(rates[mode]),
        "rates": rates[mode],
        "ratio": round(float(np.median(np.divide(rates[mode], rates["local"]))), 3),
        "ratio_interval": [round(low, 3), round(high, 3)],
        "network_bytes": {"p50": int(np.median(carried)), "min": min(carried), "max": max(carried)},
        "memory_mib": {} if mode == "local" else {name: round(value, 1) for name, value in memory.items()},
    }


def _line(row: dict[str, Any]) -> str:
    rate = f"{row['workers']:3d} workers, {row['mode']:5}  {row['rate']['p50']:7.1f} pictures/s  {row['ratio']:.2f}x"
    memory = ", ".join(f"{name} {value:.0f} MiB" for name, value in row["memory_mib"].items())
    return f"{rate}  {row['network_bytes']['p50']} bytes a picture{f', {memory}' if memory else ''}"
