"""Latency of .tflite models: opening, first call, warm-up and the steady state, and peak memory.

The phases are kept apart as TFLite's benchmark_model does, and warm-up and steady state have what it prints of them:
mean, standard deviation, minimum, maximum and count, in ms. 'invoke' is what it times, but for a copy of the input and
one of the output, which Python makes. What differs: opening includes loading the runtime's library, which
benchmark_model has linked; as many calls are made as one asks for, where it goes on for a second at least; and
opening, first call and peak memory come from a fresh process per model, because an earlier model warms caches and
raises a process's peak. Steady calls are taken in turns, a few rounds of each model, so that a slow drift (heat,
another process) falls on all of them alike.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmarks.options import comma_separated, count, result_file
from fer_edge.benchmarks.other_runtime import python_option, rows_from
from fer_edge.benchmarks.results_io.intervals import ratio_interval
from fer_edge.benchmarks.results_io.machine import condition
from fer_edge.benchmarks.results_io.record import Recorded, ResultError, default_models, identity, write
from fer_edge.edge.device.board import read_text
from fer_edge.edge.expression.ensemble import member_files, open_classifier
from fer_edge.edge.faces.detector import open_detector
from fer_edge.edge.pipeline import Pipeline
from fer_edge.edge.preprocess import FACE_SIZE
from fer_edge.edge.terminal import track
from fer_edge.edge.tflite.interpreter import Tensor, open_interpreter, runtime
from fer_edge.edge.types import Frame

ROUNDS = 10
"""How many turns every model takes."""

MOST_THREADS = 4
"""Up to so many are measured by default, on as many cores."""

SEED = 0
"""Of the noise pictures that are timed; the kernels' time does not depend on the values."""


@click.command(cls=Recorded)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option(
    "--threads",
    default=lambda: ",".join(map(str, range(1, 1 + min(MOST_THREADS, os.cpu_count() or 1)))),
    show_default=f"1 to the number of cores, {MOST_THREADS} at most",
    callback=comma_separated(count, "whole numbers above 0"),
    help="Thread counts to measure, with commas between.",
)
@click.option("--runs", type=click.IntRange(ROUNDS), default=200, show_default=True, help="Timed calls.")
@click.option("--warmup", type=click.IntRange(1), default=20, show_default=True, help="Calls before them.")
@click.option(
    "--picture", type=click.Path(path_type=Path), help="Time a whole frame too: this picture, detection included."
)
@python_option
@result_file
def latency(
    models: tuple[str, ...],
    threads: tuple[int, ...],
    runs: int,
    warmup: int,
    picture: Path | None,
    pythons: tuple[str, ...],
    out: Path | None,
) -> None:
    """Measure milliseconds per face of MODELs (default: the shipped ones and the ensemble).

    'classifier' is a whole call (resize, quantize, invoke, softmax), 'invoke' the interpreter alone, 'frame' the
    pipeline on a picture (detect, crop, classify).
    """
    specs = models or default_models()
    frame = _read(picture) if picture else None
    before = condition()
    rows = [row for crew in threads for row in _measure(specs, crew, runs, warmup, frame)]
    for python in pythons:
        words = ["latency", *specs, "--threads", ",".join(map(str, threads)), "--runs", str(runs)]
        words += ["--warmup", str(warmup), *(("--picture", str(picture)) if picture else ())]
        rows += rows_from(python, words)
    for row in rows:
        row |= _beside(row, next(each for each in rows if each["threads"] == row["threads"]))
    body = {"runs": runs, "warmup": warmup, "before": before, "after": condition(), "rows": rows}
    path = write("latency", body, out)
    for row in rows:
        p50, p99, ratio = row["classifier"]["p50"], row["classifier"]["p99"], row["ratio"]
        click.echo(f"{row['model']:28} {row['threads']} thr  p50 {p50:8.3f}  p99 {p99:8.3f} ms  {ratio:5.2f}x")
    click.echo(f"wrote {path}", err=True)


def _measure(specs: tuple[str, ...], threads: int, runs: int, warmup: int, frame: Frame | None) -> list[dict[str, Any]]:
    """One row per model at one thread count; times in ms, memory in MiB."""
    rows, models = [], []
    for spec in specs:
        found = identity(spec)
        click.echo(f"{found['model']}, threads: {threads}", err=True)
        models.append(_calls(spec, threads, frame))
        rows.append({**found, "threads": threads, **_fresh(spec, threads)})
    for row, calls in zip(rows, models, strict=True):
        row["warmup"] = {name: summary(timed(call, warmup)) for name, call in calls.items()}
    steady: list[dict[str, list[float]]] = [{name: [] for name in calls} for calls in models]
    for turn in track(range(ROUNDS), f"threads: {threads}, turns", ROUNDS):
        for calls, times in zip(models, steady, strict=True):
            for name, call in calls.items():
                times[name] += timed(call, share(runs, turn))
    for row, times in zip(rows, steady, strict=True):
        row |= {name: {**summary(each), "percentiles": percentiles(each)} for name, each in times.items()}
        row["rounds"] = {
            name: [round(median(turn), 4) for turn in turns] for name, turns in _turns(times, runs).items()
        }
        row["runtime"] = f"{runtime().name} {runtime().version}"
    return rows


def _beside(row: dict[str, Any], first: dict[str, Any]) -> dict[str, Any]:
    """How many times as long a face takes as the first model takes for it, at the median, and the interval of that."""
    turns = row["rounds"]["classifier"], first["rounds"]["classifier"]
    low, high = ratio_interval(*turns, paired=row["runtime"] == first["runtime"])  # one runtime's models take turns
    ratio = row["classifier"]["p50"] / first["classifier"]["p50"]
    return {"ratio": round(ratio, 3), "ratio_interval": [round(low, 3), round(high, 3)]}


def _calls(spec: str, threads: int, frame: Frame | None) -> dict[str, Callable[[], object]]:
    """What is timed: the classifier on one face, the interpreter alone where the model is one file, a whole frame."""
    generator = np.random.default_rng(SEED)
    crop = generator.integers(0, 256, (1, FACE_SIZE, FACE_SIZE), np.uint8)
    classifier = open_classifier(spec, threads)
    calls: dict[str, Callable[[], object]] = {"classifier": lambda: classifier(crop)}
    paths = member_files(spec)
    if len(paths) == 1:
        interpreter = open_interpreter(paths[0], threads)
        array = noise(interpreter.inputs[0])
        calls["invoke"] = lambda: interpreter.run(array)
    if frame is not None:
        pipeline = Pipeline(open_detector(threads=threads), classifier)
        if not pipeline.process(frame):
            raise ResultError("no face was found in --picture; expected a picture of one face")
        calls["frame"] = lambda: pipeline.process(frame)
    return calls


def noise(tensor: Tensor) -> NDArray[Any]:
    """Something to feed an input with, of its shape and dtype."""
    values = np.random.default_rng(SEED).uniform(-1, 1, tensor.shape)
    return (values * 127 if tensor.dtype.kind in "iu" else values).astype(tensor.dtype)


def _read(path: Path) -> Frame:
    pixels = cv2.imread(str(path))
    if pixels is None:
        raise ResultError(f"--picture {path} cannot be read; expected a picture of one face")
    return Frame(np.asarray(pixels, np.uint8))


def timed(call: Callable[[], object], count: int) -> list[float]:
    """Milliseconds of each of count calls, by the monotonic clock."""
    times = []
    for _ in range(count):
        start = time.perf_counter_ns()
        call()
        times.append((time.perf_counter_ns() - start) / 1e6)
    return times


def summary(times: Sequence[float] | NDArray[np.floating]) -> dict[str, float]:
    """p50, p90, p99 (linear between neighbours), mean, standard deviation, minimum, maximum, in their unit; count."""
    p50, p90, p99 = np.percentile(times, (50, 90, 99))
    figures = {"p50": p50, "p90": p90, "p99": p99, "mean": np.mean(times), "std": np.std(times)}
    figures |= {"min": np.min(times), "max": np.max(times)}
    return {**{name: round(float(value), 4) for name, value in figures.items()}, "count": len(times)}


def percentiles(times: list[float]) -> list[float]:
    """The 0th, 1st … 100th percentile, linear between neighbours: what a distribution is drawn from."""
    return [round(float(value), 4) for value in np.percentile(times, range(101))]


def _turns(times: dict[str, list[float]], runs: int) -> dict[str, list[list[float]]]:
    """Each call's times by the turn in which they were taken."""
    ends = np.cumsum([share(runs, turn) for turn in range(ROUNDS)])
    return {
        name: [each[end - share(runs, turn) : end] for turn, end in enumerate(ends)] for name, each in times.items()
    }


def share(runs: int, turn: int, turns: int = ROUNDS) -> int:
    """How many of the calls fall on one of the turns."""
    return runs // turns + (turn < runs % turns)


def _fresh(spec: str, threads: int) -> dict[str, Any]:
    """Opening and first call in ms, peak memory in MiB, of a process that does nothing else."""
    command = [sys.executable, "-m", "fer_edge.benchmarks.latency", spec, str(threads)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ResultError(f"{spec} failed in a fresh process: {last}")
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def peak_mib(process: int | str = "self") -> float | None:
    """A process's peak resident memory so far, None where there is none or it has ended.

    ru_maxrss would not do: it is inherited from the parent over exec.
    """
    return _mib("VmHWM", process)


def resident_mib() -> float | None:
    """What this process has in memory now."""
    return _mib("VmRSS", "self")


def _mib(field: str, process: int | str) -> float | None:
    found = re.search(rf"^{field}:\s*(\d+) kB", read_text(Path(f"/proc/{process}/status")) or "", re.MULTILINE)
    return round(int(found[1]) / 1024, 1) if found else None


def _report(spec: str, threads: int) -> None:
    crop = np.zeros((1, FACE_SIZE, FACE_SIZE), np.uint8)
    opened = []
    (opening,) = timed(lambda: opened.append(open_classifier(spec, threads)), 1)
    (first,) = timed(lambda: opened[0](crop), 1)
    print(json.dumps({"open": round(opening, 3), "first": round(first, 3), "peak_mib": peak_mib()}))


if __name__ == "__main__":
    _report(sys.argv[1], int(sys.argv[2]))
