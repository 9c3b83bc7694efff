"""Time from starting a process to its exit, beside a process that only imports the libraries."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

import click
import numpy as np

from fer_edge.benchmarks.fixtures.clips import PORTRAIT, write_clip
from fer_edge.benchmarks.options import result_file
from fer_edge.benchmarks.process_memory import peak_mib
from fer_edge.benchmarks.results_io.machine import condition
from fer_edge.benchmarks.results_io.record import RecordedCommand, ResultError, identity, write
from fer_edge.benchmarks.timing import summary
from fer_edge.edge.config.click_types import IntRange
from fer_edge.edge.terminal import track
from fer_edge.edge.tflite.interpreter import runtime
from fer_edge.train.evaluation.intervals import ratio_interval

WARMUP_ROUNDS = 2
"""Rounds that are not timed: they read the files from disk and, in a checkout, compile them."""

CLIP_SIZE = (640, 480)
"""Pixels of the clip of one face that `run` processes."""


@click.command(cls=RecordedCommand)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option(
    "--picture",
    type=click.Path(path_type=Path),
    default=PORTRAIT,
    metavar="PATH",
    show_default="the package's portrait",
    help="Picture for `predict`.",
)
@click.option("--runs", type=IntRange(3), default=15, metavar="N", help="Processes of each kind.")
@click.option("--frames", type=IntRange(2), default=250, metavar="N", help="Frames of the clip for `run`.")
@result_file
def start(models: tuple[str, ...], picture: Path, runs: int, frames: int, out: Path | None) -> None:
    """Measure processes from start to exit: `fer-edge predict` on one picture with each MODEL (default: ensemble).

    In turns with them run a Python process that only imports OpenCV, numpy and the TFLite interpreter, and a `fer-edge
    run` without a display, with the first MODEL, on a clip of one face. Frames per second and peak memory are reported
    too.
    """
    specs = models or ("ensemble",)
    imports = f"import cv2, numpy, {runtime().module.__name__}"
    fer_edge = [sys.executable, "-m", "fer_edge.edge.cli"]
    predict = [*fer_edge, "predict", str(picture), "--threads", "1", "--model"]
    before = condition()
    with TemporaryDirectory() as folder:
        clip = write_clip(Path(folder) / "clip.avi", frames, 1, *CLIP_SIZE)
        headless = [*fer_edge, "run", "--source", str(clip), "--show", "none", "--model", specs[0]]
        commands = {"imports": [sys.executable, "-c", imports]} | {spec: [*predict, spec] for spec in specs}
        processes = _measure(commands | {"run": headless}, runs)
    labels = {"imports": imports, "run": f"run, headless, {frames} frames"}
    rows = []
    for name, figures in processes.items():
        model = identity(specs[0] if name == "run" else name) if name != "imports" else {}
        model |= {"model": labels[name]} if name in labels else {}
        rows.append({**model, **_ratio(figures["rounds"], processes["imports"]["rounds"]), **figures})
    body = {"runs": runs, "frames": frames, "before": before, "after": condition(), "rows": rows}
    path = write("start", body, out)
    for row in rows:
        click.echo(_line(row))
    click.echo(f"wrote {path}", err=True)


def _ratio(rounds: list[float], imports: list[float]) -> dict[str, Any]:
    """A process's milliseconds, and their ratio to those of the imports with its 95 % interval."""
    low, high = ratio_interval(rounds, imports, paired=True)
    return {
        "ms": summary(rounds),
        "ratio": round(float(np.median(rounds) / np.median(imports)), 3),
        "ratio_interval": [round(low, 3), round(high, 3)],
    }


def _line(row: dict[str, Any]) -> str:
    ms, rate = row["ms"], f"  {row['rate']:.0f} frames/s" if "rate" in row else ""
    times = f"p50 {ms['p50']:7.0f} ms  p99 {ms['p99']:7.0f} ms  {row['ratio']:.2f}x"
    return f"{row['model']:48} {times}  {row['peak_mib']:.0f} MiB{rate}"


def _measure(commands: dict[str, list[str]], runs: int) -> dict[str, dict[str, Any]]:
    """By command, the milliseconds of each process as rounds, the peak memory in MiB, and the logged frames per second.

    Memory is sampled in the warm-up rounds only, so that the sampling costs the timed ones nothing.
    """
    # pip compiles what it installs; a checkout is compiled by its first run, unless the environment forbids it
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    times: dict[str, list[float]] = {name: [] for name in commands}
    peaks: dict[str, list[float]] = {name: [] for name in commands}
    rates: dict[str, list[float]] = {name: [] for name in commands}
    for index in track(range(runs + WARMUP_ROUNDS), "rounds", runs + WARMUP_ROUNDS):
        for name, command in commands.items():
            if index < WARMUP_ROUNDS:
                peaks[name].append(_peak(command, environment))
                continue
            began = time.perf_counter()
            process = subprocess.run(command, capture_output=True, text=True, env=environment)
            times[name].append(round(1000 * (time.perf_counter() - began), 3))
            rates[name] += [float(rate) for rate in re.findall(r"([\d.]+) frames/s", process.stderr)]
    return {
        name: {
            "rounds": times[name],
            "peak_mib": max(peaks[name]),
            **({"rate": round(float(np.median(rates[name])), 1)} if rates[name] else {}),
        }
        for name in commands
    }


def _peak(command: list[str], environment: dict[str, str]) -> float:
    """Peak resident memory of a command's process, MiB; ResultError where it fails."""
    with TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, env=environment)
        peak = 0.0
        while process.poll() is None:
            peak = max(peak, peak_mib(process.pid) or 0.0)
            time.sleep(0.005)
        if process.returncode:
            errors.seek(0)
            last = (errors.read().strip().splitlines() or ["no message"])[-1]
            raise ResultError(last.removeprefix("fer-edge: "))
    return peak
