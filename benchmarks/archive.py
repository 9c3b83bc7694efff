"""Pictures per second of `fer-edge predict` with 1, 2, 4 … worker processes, and the memory of each."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

import click
import cv2
import numpy as np

from fer_edge.benchmarks.fixtures.clips import frames, head
from fer_edge.benchmarks.options import numbers_of_workers, result_file
from fer_edge.benchmarks.process_memory import descendants, proportional_mib, resident_mib
from fer_edge.benchmarks.results_io.machine import condition
from fer_edge.benchmarks.results_io.record import RecordedCommand, ResultError, identity, write
from fer_edge.benchmarks.timing import summary
from fer_edge.edge.config.click_options import options_from
from fer_edge.edge.config.click_types import IntRange
from fer_edge.edge.pipeline import PipelineOptions
from fer_edge.edge.terminal import track
from fer_edge.train.evaluation.intervals import ratio_interval

SIZE = (640, 480)
"""Pixels of a picture."""

SAMPLE_SECONDS = 0.05
"""Interval at which memory is read: it takes each process a millisecond."""


@click.command(cls=RecordedCommand)
@click.option("--pictures", type=IntRange(16), default=2000, metavar="N", help="JPEG pictures of 640x480, a face each.")
@numbers_of_workers("1,2,4", "worker processes")
@click.option("--rounds", type=IntRange(1), default=5, metavar="N", help="Rounds; each has a run with every number.")
@options_from(PipelineOptions, only=("model",))
@result_file
def archive(
    pictures: int, workers: tuple[int, ...], rounds: int, pipeline_options: PipelineOptions, out: Path | None
) -> None:
    """Measure `fer-edge predict --output` on an archive with several numbers of worker processes, in turns.

    Each run is a whole process from start to exit, with one thread for each worker; the ratio of pictures per second is
    taken within a round. Memory is read in a first round, whose times do not count: a process's resident memory counts
    what it shares with others in full, its proportional share (PSS) in equal parts. All runs must write the same bytes.
    """
    before = condition()
    with TemporaryDirectory() as folder:
        source, target = Path(folder) / "pictures", Path(folder) / "results"
        write_pictures(source, pictures)
        command = [*(sys.executable, "-m", "fer_edge.edge.cli", "predict", str(source)), "--output", str(target)]
        command += ["--model", pipeline_options.model, "--threads", "1", "--workers"]
        memory = {number: _measure_memory([*command, str(number)], target) for number in workers}
        rates: dict[int, list[float]] = {number: [] for number in workers}
        outputs: set[str] = set()
        for _ in track(range(rounds), "rounds", rounds):
            for number in workers:
                began = time.perf_counter()
                run_to_end([*command, str(number)])
                rates[number].append(round(pictures / (time.perf_counter() - began), 3))
                outputs.add(digest_of_parts(target))
                rmtree(target)
    if len(outputs) > 1:
        raise ResultError("the runs wrote different results; expected the same bytes with any number of workers")
    rows = [_row(number, rates[number], rates[workers[0]], memory[number]) for number in workers]
    body = {"pictures": pictures, "size": SIZE, "rounds": rounds, **identity(pipeline_options.model)}
    path = write("archive", body | {"before": before, "after": condition(), "rows": rows}, out)
    for row in rows:
        click.echo(_line(row))
    click.echo(f"wrote {path}", err=True)


def write_pictures(folder: Path, number: int) -> None:
    """Write JPEG pictures of a moving face, none of which is like another."""
    folder.mkdir()
    for index, pixels in enumerate(frames(head(), number, 1, *SIZE)):
        cv2.imwrite(str(folder / f"{index:06d}.jpg"), pixels)


def run_to_end(command: list[str]) -> None:
    """Run a command to its end; ResultError where it fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ResultError((done.stderr.strip().splitlines() or ["no message"])[-1].removeprefix("fer-edge: "))


def digest_of_parts(folder: Path) -> str:
    """The sha256 of all parts."""
    digest = hashlib.sha256()
    for part in sorted(folder.glob("part-*")):
        digest.update(part.read_bytes())
    return digest.hexdigest()


def _measure_memory(command: list[str], target: Path) -> dict[str, Any]:
    """The peak of each kind of process, MiB, and of all together by their proportional shares."""
    peaks: dict[str, float] = {}
    with TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        while process.poll() is None:
            for name, value in _memory_now(process.pid).items():
                peaks[name] = max(peaks.get(name, 0.0), value)
            time.sleep(SAMPLE_SECONDS)
        if process.returncode:
            errors.seek(0)
            raise ResultError((errors.read().strip().splitlines() or ["no message"])[-1].removeprefix("fer-edge: "))
    if "worker_pss" not in peaks:
        raise ResultError("the run ended before a worker's memory was read; give more --pictures")
    rmtree(target)
    return {name: round(value, 1) for name, value in peaks.items()}


def _memory_now(process: int) -> dict[str, float]:
    """MiB of a run's processes: the workers are the children of the process that they come from."""
    children = descendants(process)
    workers = [child for child, generation in children if generation == 2]
    figures = {"main_rss": resident_mib(process) or 0.0}
    with suppress(ValueError):  # no worker yet
        figures["worker_rss"] = max(resident_mib(child) or 0.0 for child in workers)
        figures["worker_pss"] = max(proportional_mib(child) or 0.0 for child in workers)
    figures["all_pss"] = sum(proportional_mib(each) or 0.0 for each in [process, *(child for child, _ in children)])
    return figures


def _row(workers: int, rates: list[float], first: list[float], memory: dict[str, Any]) -> dict[str, Any]:
    low, high = ratio_interval(rates, first, paired=True)
    return {
        "workers": workers,
        "rate": summary(rates),
        "rates": rates,
        "ratio": round(float(np.median(np.divide(rates, first))), 3),
        "ratio_interval": [round(low, 3), round(high, 3)],
        "memory_mib": memory,
    }


def _line(row: dict[str, Any]) -> str:
    memory = row["memory_mib"]
    rate = f"{row['workers']:3d} workers  {row['rate']['p50']:7.1f} pictures/s  {row['ratio']:.2f}x"
    return f"{rate}  {memory.get('worker_pss', 0):.0f} MiB a worker, {memory['all_pss']:.0f} MiB in all"
