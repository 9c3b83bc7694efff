"""From nothing to the first answer, and to the last: whole processes, in turns, beside one that only imports."""

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
from fer_edge.benchmarks.latency import peak_mib, summary
from fer_edge.benchmarks.options import result_file
from fer_edge.benchmarks.results_io.intervals import ratio_interval
from fer_edge.benchmarks.results_io.machine import condition
from fer_edge.benchmarks.results_io.record import Recorded, ResultError, identity, write
from fer_edge.edge.terminal import track
from fer_edge.edge.tflite.interpreter import runtime

WARM = 2
"""Turns that are not counted: the first ones read the files from disk and, from a checkout, compile them."""

CLIP = (640, 480)
"""Pixels of the clip of one face that `run` goes through."""


@click.command(cls=Recorded)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--picture", type=click.Path(path_type=Path), default=PORTRAIT, help="What is predicted.")
@click.option("--runs", type=click.IntRange(3), default=15, help="Processes of each kind.")
@click.option("--frames", type=click.IntRange(2), default=250, help="Frames of the clip that `run` goes through.")
@result_file
def start(models: tuple[str, ...], picture: Path, runs: int, frames: int, out: Path | None) -> None:
    """Measure the time from starting `fer-edge predict` to its end, of one picture, with MODELs (default: ensemble).

    Beside it runs a Python that imports OpenCV, numpy and the TFLite interpreter and does nothing, and a whole
    `fer-edge run` without a screen, with the first MODEL, through a clip: its time, frames a second and peak memory.
    """
    specs = models or ("ensemble",)
    imports = f"import cv2, numpy, {runtime().module.__name__}"
    ours = [sys.executable, "-m", "fer_edge.edge.cli"]
    predict = [*ours, "predict", str(picture), "--threads", "1", "--model"]
    before = condition()
    with TemporaryDirectory() as folder:
        clip = write_clip(Path(folder) / "clip.avi", frames, 1, *CLIP)
        headless = [*ours, "run", "--source", str(clip), "--show", "none", "--model", specs[0]]
        commands = {"imports": [sys.executable, "-c", imports]} | {spec: [*predict, spec] for spec in specs}
        measured = _measured(commands | {"run": headless}, runs)
    bare = measured["imports"]["rounds"]
    names = {"imports": imports, "run": f"run, headless, {frames} frames"}
    rows: list[dict[str, Any]] = []
    for name, found in measured.items():
        about = identity(specs[0] if name == "run" else name) if name != "imports" else {}
        about |= {"model": names[name]} if name in names else {}
        low, high = ratio_interval(found["rounds"], bare, paired=True)
        ratio: dict[str, Any] = {"ratio": round(float(np.median(found["rounds"]) / np.median(bare)), 3)}
        ratio["ratio_interval"] = [round(low, 3), round(high, 3)]
        rows.append({**about, "ms": summary(found["rounds"]), **ratio, **found})
    body = {"runs": runs, "frames": frames, "before": before, "after": condition(), "rows": rows}
    path = write("start", body, out)
    for row in rows:
        ms, rate = row["ms"], f"  {row['rate']:.0f} frames/s" if "rate" in row else ""
        click.echo(
            f"{row['model']:48} p50 {ms['p50']:7.0f} ms  p99 {ms['p99']:7.0f}  {row['ratio']:.2f}x  "
            f"{row['peak_mib']:.0f} MiB{rate}"
        )
    click.echo(f"wrote {path}", err=True)


def _measured(commands: dict[str, list[str]], runs: int) -> dict[str, dict[str, Any]]:
    """By command, each process's milliseconds as rounds, its peak memory in MiB, and what it tells of its frames/s.

    Memory is watched in the turns that are not timed, so that watching takes no time from the others.
    """
    # pip compiles what it installs; a checkout is compiled by its first run, unless the environment forbids it
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    times: dict[str, list[float]] = {name: [] for name in commands}
    peaks: dict[str, list[float]] = {name: [] for name in commands}
    rates: dict[str, list[float]] = {name: [] for name in commands}
    for turn in track(range(runs + WARM), "turns", runs + WARM):
        for name, command in commands.items():
            if turn < WARM:
                peaks[name].append(_peak(command, environment))
                continue
            began = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True, env=environment)
            times[name].append(round(1000 * (time.perf_counter() - began), 3))
            rates[name] += [float(rate) for rate in re.findall(r"([\d.]+) frames/s", done.stderr)]
    return {
        name: {
            "rounds": times[name],
            "peak_mib": max(peaks[name]),
            **({"rate": round(float(np.median(rates[name])), 1)} if rates[name] else {}),
        }
        for name in commands
    }


def _peak(command: list[str], environment: dict[str, str]) -> float:
    """The peak resident memory of a process that runs the command, MiB; ResultError where it fails."""
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
