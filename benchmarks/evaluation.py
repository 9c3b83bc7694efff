"""Faces per second of `fer-edge evaluate` with 1, 2, 4 … threads, each with networks of its own."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmarks.options import numbers_of_workers, result_file
from fer_edge.benchmarks.results_io.machine import condition
from fer_edge.benchmarks.results_io.record import RecordedCommand, ResultError, default_models, identity, write
from fer_edge.benchmarks.timing import SEED, summary
from fer_edge.edge.config.click_types import IntRange
from fer_edge.edge.expression.classifier import open_member
from fer_edge.edge.expression.ensemble import member_files
from fer_edge.edge.preprocess import FACE_SIZE
from fer_edge.edge.terminal import track
from fer_edge.edge.tflite.interpreter import runtime
from fer_edge.train.evaluation.intervals import ratio_interval
from fer_edge.train.evaluation.predictions import LogitsFunction, collect_logits


@click.command(cls=RecordedCommand)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--faces", type=IntRange(16), default=2000, metavar="N", help="Random faces.")
@numbers_of_workers("1,2,4", "threads")
@click.option("--rounds", type=IntRange(1), default=5, metavar="N", help="Rounds; each has a run with every number.")
@result_file
def evaluation(models: tuple[str, ...], faces: int, workers: tuple[int, ...], rounds: int, out: Path | None) -> None:
    """Measure how fast `fer-edge evaluate` classifies faces with several numbers of threads, in turns.

    MODELs are by default the shipped ones. The networks are open and have run once before; each has one thread. The
    ratio of faces per second is taken within a round. All runs must give the same logits to the bit.
    """
    specs = models or tuple(each for each in default_models() if len(member_files(each)) == 1)
    crops = np.random.default_rng(SEED).integers(0, 256, (faces, FACE_SIZE, FACE_SIZE), np.uint8)
    before, rows = condition(), []
    for spec in track(specs, "models", len(specs)):
        rows += [{**identity(spec), **row} for row in _measure(spec, crops, workers, rounds)]
    here = f"{runtime().name} {runtime().version}"
    body = {"faces": faces, "rounds": rounds, "runtime": here, "before": before, "after": condition(), "rows": rows}
    path = write("evaluation", body, out)
    for row in rows:
        low, high = row["ratio_interval"]
        click.echo(
            f"{row['model']:18} {row['workers']:3} threads  {row['rate']['p50']:8.1f} faces/s  "
            f"{row['ratio']:.2f}x [{low:.2f}, {high:.2f}]"
        )
    click.echo(f"wrote {path}", err=True)


def _measure(spec: str, crops: NDArray[np.uint8], workers: tuple[int, ...], rounds: int) -> list[dict[str, Any]]:
    """A row per number of threads."""
    files = member_files(spec)
    opened = [[open_member(path)[0] for path in files] for _ in range(max(workers))]

    def networks(number: int, member: int) -> list[LogitsFunction]:
        return [each[member].logits for each in opened[:number]]

    def run(number: int) -> list[bytes]:
        return [collect_logits(networks(number, member), crops).tobytes() for member in range(len(files))]

    expected = run(max(workers))  # each network has run once
    rates: dict[int, list[float]] = {number: [] for number in workers}
    for _ in range(rounds):
        for number in workers:
            began = time.perf_counter()
            logits = run(number)
            rates[number].append(round(len(crops) / (time.perf_counter() - began), 3))
            if logits != expected:
                raise ResultError(f"{spec}: other logits with {number} threads; expected the same with any number")
    return [_row(number, rates[number], rates[workers[0]]) for number in workers]


def _row(workers: int, rates: list[float], first: list[float]) -> dict[str, Any]:
    low, high = ratio_interval(rates, first, paired=True)
    return {
        "workers": workers,
        "rate": summary(rates),
        "rates": rates,
        "ratio": round(float(np.median(np.divide(rates, first))), 3),
        "ratio_interval": [round(low, 3), round(high, 3)],
    }
