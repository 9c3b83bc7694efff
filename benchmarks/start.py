"""From nothing to the first answer: whole processes, in turns, beside one that only imports what is needed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import numpy as np

from fer_edge.benchmarks.clips import PORTRAIT
from fer_edge.benchmarks.latency import summary
from fer_edge.benchmarks.machine import condition
from fer_edge.benchmarks.options import result_file
from fer_edge.benchmarks.record import Recorded, ResultError, identity, write
from fer_edge.edge.interpreter import runtime

WARM = 2
"""Turns that are not counted: the first ones read the files from disk and, from a checkout, compile them."""


@click.command(cls=Recorded)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--picture", type=click.Path(path_type=Path), default=PORTRAIT, help="What is predicted.")
@click.option("--runs", type=click.IntRange(3), default=15, help="Processes of each kind.")
@result_file
def start(models: tuple[str, ...], picture: Path, runs: int, out: Path | None) -> None:
    """Measure the time from starting `fer-edge predict` to its end, of one picture, with MODELs (default: ensemble).

    Beside it runs a Python that imports OpenCV, numpy and the TFLite interpreter and does nothing.
    """
    specs = models or ("ensemble",)
    imports = f"import cv2, numpy, {runtime().module.__name__}"
    predict = [sys.executable, "-m", "fer_edge.edge.cli", "predict", str(picture), "--threads", "1", "--model"]
    commands = {"imports": [sys.executable, "-c", imports]} | {spec: [*predict, spec] for spec in specs}
    # pip compiles what it installs; a checkout is compiled by its first run, unless the environment forbids it
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = condition()
    times: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(runs + WARM):
        for name, command in commands.items():
            began = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True, env=environment)
            if done.returncode:
                last = (done.stderr.strip().splitlines() or ["no message"])[-1]
                raise ResultError(f"{name}: {last.removeprefix('fer-edge: ')}")
            if turn >= WARM:
                times[name].append(1000 * (time.perf_counter() - began))
    rows: list[dict[str, Any]] = []
    for name, each in times.items():
        about = identity(name) if name in specs else {"model": imports}
        ratio = float(np.median(each) / np.median(times["imports"]))
        rows.append({**about, "ms": summary(each), "ratio": round(ratio, 3)})
    path = write("start", {"runs": runs, "before": before, "after": condition(), "rows": rows}, out)
    for row in rows:
        ms = row["ms"]
        click.echo(f"{row['model']:48} p50 {ms['p50']:7.0f} ms  p99 {ms['p99']:7.0f}  {row['ratio']:.2f}x")
    click.echo(f"wrote {path}", err=True)
