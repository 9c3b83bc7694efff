"""Several faces at once: how their networks are best asked, by measurement.

One invocation after another is what the runtime does; beside it stand all faces in one invocation, the interpreter's
own threads, and an ensemble's members on threads of their own. The ways take turns, so that a slow drift falls on all
of them alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmarks.latency import ROUNDS, SEED, share, summary, timed
from fer_edge.benchmarks.options import comma_separated, count, result_file
from fer_edge.benchmarks.results_io.intervals import ratio_interval
from fer_edge.benchmarks.results_io.machine import condition
from fer_edge.benchmarks.results_io.record import Recorded, default_models, identity, write
from fer_edge.edge.errors import ModelError
from fer_edge.edge.expression.classifier import open_member
from fer_edge.edge.expression.ensemble import Ensemble, member_files, open_classifier
from fer_edge.edge.preprocess import FACE_SIZE, prepare
from fer_edge.edge.terminal import track
from fer_edge.edge.tflite.interpreter import open_interpreter, runtime
from fer_edge.edge.tflite.quantize import dequantize, gray_table
from fer_edge.edge.types import EMOTIONS

Way = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""(N, 48, 48) uint8 faces to (N, 7) float32 probabilities."""

ONE_BY_ONE = "one face per invocation"
TOGETHER = "all faces in one invocation"
LANES = "members in parallel"


@click.command(cls=Recorded)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option(
    "--faces", "counts", default="1,2,4,8,16", callback=comma_separated(count, "numbers"), help="Faces at once."
)
@click.option("--threads", type=click.IntRange(2), default=2, help="Threads of the ways that have several.")
@click.option("--runs", type=click.IntRange(ROUNDS), default=50, help="Timed calls of each way.")
@result_file
def batching(models: tuple[str, ...], counts: tuple[int, ...], threads: int, runs: int, out: Path | None) -> None:
    """Measure ways to ask MODELs (default: the shipped ones and the ensemble) about several faces at once."""
    specs = models or default_models()
    before, rows = condition(), []
    for spec in track(specs, "models", len(specs)):
        about = identity(spec)
        for number in counts:
            rows += [{**about, **row} for row in _measured(spec, number, threads, runs)]
    here = f"{runtime().name} {runtime().version}"
    body = {"runs": runs, "runtime": here, "before": before, "after": condition(), "rows": rows}
    path = write("batching", body, out)
    for row in rows:
        low, high = row["ratio_interval"]
        click.echo(
            f"{row['model']:18} {row['faces']:3} faces  {row['method']:28} {row['threads']} thr  "
            f"{row['ms']['p50'] / row['faces']:7.3f} ms a face  {row['ratio']:.2f}x [{low:.2f}, {high:.2f}]"
        )
    click.echo(f"wrote {path}", err=True)


def _measured(spec: str, number: int, threads: int, runs: int) -> list[dict[str, Any]]:
    """A row for every way: milliseconds of all faces, and how many times those of one after another on one thread."""
    crops = np.random.default_rng(SEED).integers(0, 256, (number, FACE_SIZE, FACE_SIZE), np.uint8)
    found = list(ways(spec, number, threads))
    times: list[list[list[float]]] = [[] for _ in found]
    for _, _, ask in found:
        timed(lambda ask=ask: ask(crops), 2)  # type: ignore[misc]
    for turn in range(ROUNDS):
        for (_, _, ask), taken in zip(found, times, strict=True):
            taken.append(timed(lambda ask=ask: ask(crops), share(runs, turn)))  # type: ignore[misc]
    rounds = [[round(median(turn), 4) for turn in taken] for taken in times]
    rows = []
    for (way, crew, _), taken, own in zip(found, times, rounds, strict=True):
        ms, first = summary(np.concatenate(taken)), summary(np.concatenate(times[0]))
        low, high = ratio_interval(own, rounds[0], paired=True)
        rows.append(
            {
                "faces": number,
                "method": way,
                "threads": crew,
                "ms": ms,
                "rounds": own,
                "ratio": round(ms["p50"] / first["p50"], 3),
                "ratio_interval": [round(low, 3), round(high, 3)],
            }
        )
    return rows


def ways(spec: str, number: int, threads: int) -> Iterator[tuple[str, int, Way]]:
    """The ways by name and threads, one after another on one thread first; a network that takes one face has fewer."""
    single = open_classifier(spec, 1)
    yield ONE_BY_ONE, 1, single
    members = [open_member(path, threads)[0] for path in member_files(spec)]
    yield ONE_BY_ONE, threads, Ensemble(members, single.weights.tolist(), single.temperature, single.offsets.tolist())
    if len(members) > 1:
        yield LANES, threads, open_classifier(spec, threads)
    try:
        batches = {crew: [batched(path, number, crew) for path in member_files(spec)] for crew in (1, threads)}
    except ModelError:
        return
    for crew, networks in batches.items():
        yield TOGETHER, crew, _fused(single, networks)


def _fused(single: Ensemble, networks: list[Way]) -> Way:
    return lambda crops: single.fuse(np.stack([ask(crops) for ask in networks]))


def batched(path: Path, number: int, threads: int) -> Way:
    """A network that answers so many (N, 48, 48) faces with (N, 7) logits in one invocation; ModelError where none."""
    shape = open_interpreter(path).inputs[0].shape
    interpreter = open_interpreter(path, threads, shape=(number, *shape[1:]))
    tensor, output = interpreter.inputs[0], interpreter.outputs[0]
    if output.shape != (number, len(EMOTIONS)):
        raise ModelError(f"{path} answers {number} faces with {output.shape}; expected {(number, len(EMOTIONS))}")
    table = gray_table(tensor)

    def ask(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        pictures = np.stack([cv2.LUT(prepare(crop, shape[1]), table) for crop in crops])
        return dequantize(interpreter.run(pictures[..., None])[0], output)

    return ask
