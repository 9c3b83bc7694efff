"""Several faces at once: which way to run the networks is fastest.

The runtime runs one invocation per face. Measured beside it: all faces in one invocation, the interpreter's own
threads, and an ensemble's members on threads of their own. The methods take turns, so that slow drift affects all of
them alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import click
import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmarks.options import comma_separated, count, result_file
from fer_edge.benchmarks.results_io.machine import condition
from fer_edge.benchmarks.results_io.record import RecordedCommand, default_models, identity, write
from fer_edge.benchmarks.timing import ROUNDS, SEED, calls_in_round, summary, timed
from fer_edge.edge.config.click_types import IntRange
from fer_edge.edge.errors import ModelError
from fer_edge.edge.expression.classifier import TFLiteClassifier, open_member
from fer_edge.edge.expression.ensemble import Ensemble, member_files, open_classifier
from fer_edge.edge.preprocess import FACE_SIZE
from fer_edge.edge.terminal import track
from fer_edge.edge.tflite.interpreter import open_interpreter, runtime
from fer_edge.edge.tflite.quantize import dequantize
from fer_edge.edge.types import MAX_THREADS
from fer_edge.train.evaluation.intervals import ratio_interval

Network = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""(N, 48, 48) uint8 faces to (N, C) float32 logits or probabilities."""

ONE_BY_ONE = "one face per invocation"
BATCH = "all faces in one invocation"
PARALLEL_MEMBERS = "members in parallel"


class Method(NamedTuple):
    """A way to run a model on several faces, and its threads; `classify` returns probabilities."""

    name: str
    threads: int
    classify: Network


@click.command(cls=RecordedCommand)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option(
    "--faces",
    default="1,2,4,8,16",
    metavar="N,N…",
    callback=comma_separated(count, "numbers"),
    help="Faces at once.",
)
@click.option(
    "--threads", type=IntRange(2, MAX_THREADS), default=2, metavar="N", help="Threads of the methods that use several."
)
@click.option("--runs", type=IntRange(ROUNDS), default=50, metavar="N", help="Timed calls of each method.")
@result_file
def batching(models: tuple[str, ...], faces: tuple[int, ...], threads: int, runs: int, out: Path | None) -> None:
    """Measure how fast MODELs (default: the shipped ones and the ensemble) run on several faces at once.

    Methods: one face per invocation, all faces in one invocation, and an ensemble's members in parallel.
    """
    specs = models or default_models()
    before, rows = condition(), []
    for spec in track(specs, "models", len(specs)):
        described = identity(spec)
        for number in faces:
            rows += [{**described, **row} for row in _measure(spec, number, threads, runs)]
    here = f"{runtime().name} {runtime().version}"
    body = {"runs": runs, "runtime": here, "before": before, "after": condition(), "rows": rows}
    path = write("batching", body, out)
    for row in rows:
        low, high = row["ratio_interval"]
        click.echo(
            f"{row['model']:18} {row['faces']:3} faces  {row['method']:28} {row['threads']} thr  "
            f"{row['ms']['p50'] / row['faces']:7.3f} ms per face  {row['ratio']:.2f}x [{low:.2f}, {high:.2f}]"
        )
    click.echo(f"wrote {path}", err=True)


def _measure(spec: str, faces: int, threads: int, runs: int) -> list[dict[str, Any]]:
    """A row per method: milliseconds of all faces, and the ratio to one by one with one thread."""
    crops = np.random.default_rng(SEED).integers(0, 256, (faces, FACE_SIZE, FACE_SIZE), np.uint8)
    calls = list(methods(spec, faces, threads))
    times: list[list[list[float]]] = [[] for _ in calls]  # by method and round
    for method in calls:
        timed(lambda method=method: method.classify(crops), 2)  # type: ignore[misc]  # warm-up
    for index in range(ROUNDS):
        for method, rounds in zip(calls, times, strict=True):
            number = calls_in_round(runs, index)
            rounds.append(timed(lambda method=method: method.classify(crops), number))  # type: ignore[misc]
    medians = [[round(median(each), 4) for each in rounds] for rounds in times]
    first = summary(np.concatenate(times[0]))
    rows = []
    for method, rounds, own_medians in zip(calls, times, medians, strict=True):
        ms = summary(np.concatenate(rounds))
        low, high = ratio_interval(own_medians, medians[0], paired=True)
        rows.append(
            {
                "faces": faces,
                "method": method.name,
                "threads": method.threads,
                "ms": ms,
                "rounds": own_medians,
                "ratio": round(ms["p50"] / first["p50"], 3),
                "ratio_interval": [round(low, 3), round(high, 3)],
            }
        )
    return rows


def methods(spec: str, faces: int, threads: int) -> Iterator[Method]:
    """The methods that a model allows, one by one with one thread first.

    Args:
        spec: A model's name or file; one that cannot be resized to a batch allows fewer methods.
        faces: Faces at once.
        threads: Threads of the methods that use several.
    """
    single = open_classifier(spec, 1)
    yield Method(ONE_BY_ONE, 1, single)
    members = [open_member(path, threads)[0] for path in member_files(spec)]
    for member in members:
        member.put_in_order(single.classes)
    offsets = single.offsets.tolist()
    yield Method(ONE_BY_ONE, threads, Ensemble(members, single.weights.tolist(), single.temperature, offsets))
    if len(members) > 1:
        yield Method(PARALLEL_MEMBERS, threads, open_classifier(spec, threads))
    try:
        batches = {each: [_batch_network(member, faces, each) for member in members] for each in (1, threads)}
    except ModelError:
        return
    for number, networks in batches.items():
        yield Method(BATCH, number, _fused(single, networks))


def _fused(ensemble: Ensemble, networks: list[Network]) -> Network:
    return lambda crops: ensemble.fuse(np.stack([network(crops) for network in networks]))


def _batch_network(member: TFLiteClassifier, faces: int, threads: int) -> Network:
    """A member that maps (faces, 48, 48) crops to logits in one invocation; ModelError where it cannot."""
    interpreter = open_interpreter(member.path, threads, shape=(faces, *member.input.shape[1:]))
    output, expected = interpreter.outputs[0], (faces, *member.output.shape[1:])
    if output.shape != expected:
        raise ModelError(f"{member.path} maps {faces} faces to {output.shape}; expected {expected}")

    def logits(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        values = np.concatenate([member.model_input.values(crops, index) for index in range(len(crops))])
        return member.logits_from(dequantize(interpreter.run(values)[0].reshape(faces, -1), output))

    return logits
