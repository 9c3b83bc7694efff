"""Latency of .tflite models: load, first call, warm-up and steady state, and peak memory.

The phases are separate as in TFLite's benchmark_model, and warm-up and steady state are summarized as it prints them:
mean, standard deviation, minimum, maximum and count, in ms. 'invoke' is what it times, plus a copy of the input and one
of the output, which Python makes. Other differences: loading includes the runtime's library, which benchmark_model has
linked; the number of calls is exact, whereas benchmark_model goes on for at least a second; and load, first call and
peak memory come from a new process per model, because an earlier model warms caches and raises the process's peak.
Steady calls are made in rounds, some of each model in every round, so that slow drift (temperature, another process)
affects all models alike.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmarks.options import acceleration_words, comma_separated, result_file, thread_count
from fer_edge.benchmarks.other_runtime import python_option, rows_from
from fer_edge.benchmarks.process_memory import peak_mib
from fer_edge.benchmarks.results_io.machine import condition
from fer_edge.benchmarks.results_io.record import RecordedCommand, ResultError, default_models, identity, write
from fer_edge.benchmarks.timing import ROUNDS, SEED, calls_in_round, percentiles, summary, timed
from fer_edge.edge.commands.exclusive_options import one_acceleration
from fer_edge.edge.config.click_options import options_from
from fer_edge.edge.config.click_types import IntRange
from fer_edge.edge.errors import SourceError
from fer_edge.edge.expression.ensemble import member_files, open_classifier
from fer_edge.edge.faces.detector import open_detector
from fer_edge.edge.pipeline import Pipeline, PipelineOptions
from fer_edge.edge.preprocess import FACE_SIZE
from fer_edge.edge.sources.pictures import read_picture
from fer_edge.edge.terminal import track
from fer_edge.edge.tflite.interpreter import Tensor, runtime
from fer_edge.edge.tflite.network import open_network
from fer_edge.edge.types import MAX_THREADS, Acceleration, Frame
from fer_edge.train.evaluation.intervals import ratio_interval

Variant = tuple[str, Acceleration | None]
"""A model, and what runs it; None for the interpreter alone."""

Row = dict[str, Any]

DEFAULT_THREADS = 4
"""Up to this many threads are measured by default, on as many cores."""


@click.command(cls=RecordedCommand)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option(
    "--threads",
    default=lambda: ",".join(map(str, range(1, 1 + min(DEFAULT_THREADS, os.cpu_count() or 1)))),
    show_default=f"1 to the number of cores, at most {DEFAULT_THREADS}",
    metavar="N,N…",
    callback=comma_separated(thread_count, f"whole numbers from 1 to {MAX_THREADS}"),
    help="Threads per model.",
)
@click.option("--runs", type=IntRange(ROUNDS), default=200, metavar="N", help="Timed calls.")
@click.option("--warmup", type=IntRange(1), default=20, metavar="N", help="Calls before the timed ones.")
@click.option(
    "--picture",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Picture of one face, to time whole frames too, detection included.",
)
@options_from(PipelineOptions, only=("delegate", "accelerator"))
@python_option
@result_file
def latency(  # one parameter per option
    models: tuple[str, ...],
    pipeline_options: PipelineOptions,
    threads: tuple[int, ...],
    runs: int,
    warmup: int,
    picture: Path | None,
    python: tuple[str, ...],
    out: Path | None,
) -> None:
    """Measure milliseconds per face of MODELs (default: the shipped ones and the ensemble).

    'classifier' is a whole call (resize, quantize, invoke, softmax), 'invoke' the interpreter alone, 'frame' the
    pipeline on a picture (detect, crop, classify). With --delegate or --accelerator each model is measured without and
    with it, in the same rounds; their ratio is to the first model without.
    """
    specs = models or default_models()
    frame = _read(picture) if picture else None
    options = one_acceleration(pipeline_options)
    ways = [None] if options.acceleration == Acceleration() else [None, options.acceleration]
    before = condition()
    variants = [(spec, way) for spec in specs for way in ways]
    rows = [row for number in threads for row in _measure(variants, number, runs, warmup, frame)]
    for executable in python:
        words = ["latency", *specs, "--threads", ",".join(map(str, threads)), "--runs", str(runs)]
        words += ["--warmup", str(warmup), *(("--picture", str(picture)) if picture else ())]
        words += acceleration_words(options.acceleration)
        rows += rows_from(executable, words)
    for row in rows:
        row |= _ratio(row, next(each for each in rows if each["threads"] == row["threads"]))
    body = {"runs": runs, "warmup": warmup, "before": before, "after": condition(), "rows": rows}
    path = write("latency", body, out)
    for row in rows:
        p50, p99, ratio = row["classifier"]["p50"], row["classifier"]["p99"], row["ratio"]
        times = f"p50 {p50:8.3f} ms  p99 {p99:8.3f} ms  {ratio:5.2f}x"
        click.echo(f"{row['model']:28} {row['threads']} thr  {times}  {row.get('placement', '')}".rstrip())
    click.echo(f"wrote {path}", err=True)


def _measure(variants: Sequence[Variant], threads: int, runs: int, warmup: int, frame: Frame | None) -> list[Row]:
    """One row per model and way to run it with this number of threads; times in ms, memory in MiB."""
    rows, models = [], []
    for spec, acceleration in variants:
        described = identity(spec)
        click.echo(f"{described['model']}, threads: {threads}", err=True)
        if acceleration is not None:
            described |= {"placement": _placement(spec, threads, acceleration)}
        models.append(_calls(spec, threads, frame, acceleration))
        rows.append({**described, "threads": threads, **in_new_process(spec, threads, acceleration)})
    for row, calls in zip(rows, models, strict=True):
        row["warmup"] = {name: summary(timed(call, warmup)) for name, call in calls.items()}
    # by model, call and round
    steady: list[dict[str, list[list[float]]]] = [{name: [] for name in calls} for calls in models]
    for index in track(range(ROUNDS), f"threads: {threads}, rounds", ROUNDS):
        for calls, times in zip(models, steady, strict=True):
            for name, call in calls.items():
                times[name].append(timed(call, calls_in_round(runs, index)))
    for row, times in zip(rows, steady, strict=True):
        for name, rounds in times.items():
            milliseconds = [each for one_round in rounds for each in one_round]
            row[name] = {**summary(milliseconds), "percentiles": percentiles(milliseconds)}
        row["rounds"] = {name: [round(median(each), 4) for each in rounds] for name, rounds in times.items()}
        row["runtime"] = f"{runtime().name} {runtime().version}"
    return rows


def _ratio(row: dict[str, Any], first: dict[str, Any]) -> dict[str, Any]:
    """The median time per face over that of the first model with as many threads, and its 95 % interval."""
    rounds = row["rounds"]["classifier"], first["rounds"]["classifier"]
    low, high = ratio_interval(*rounds, paired=row["runtime"] == first["runtime"])  # a runtime's models share rounds
    ratio = row["classifier"]["p50"] / first["classifier"]["p50"]
    return {"ratio": round(ratio, 3), "ratio_interval": [round(low, 3), round(high, 3)]}


def _placement(spec: str, threads: int, acceleration: Acceleration) -> str:
    """What runs the operators of a model, or of each of an ensemble's."""
    networks = [open_network(path, threads, acceleration) for path in member_files(spec)]
    return "; ".join(dict.fromkeys(network.placement for network in networks))


def _calls(
    spec: str, threads: int, frame: Frame | None, acceleration: Acceleration | None
) -> dict[str, Callable[[], object]]:
    """The calls to time: the classifier on one face; the interpreter, of a single model; the pipeline on a frame."""
    crop = np.random.default_rng(SEED).integers(0, 256, (1, FACE_SIZE, FACE_SIZE), np.uint8)
    classifier = open_classifier(spec, threads, acceleration)
    calls: dict[str, Callable[[], object]] = {"classifier": lambda: classifier(crop)}
    paths = member_files(spec)
    if len(paths) == 1:
        interpreter = open_network(paths[0], threads, acceleration)
        array = noise(interpreter.inputs[0])
        calls["invoke"] = lambda: interpreter.run(array)
    if frame is not None:
        pipeline = Pipeline(open_detector(threads=threads, acceleration=acceleration, continuous=True), classifier)
        if not pipeline.process(frame):
            raise ResultError("no face was found in --picture; expected a picture of one face")
        calls["frame"] = lambda: pipeline.process(frame)
    return calls


def noise(tensor: Tensor) -> NDArray[Any]:
    """A random input of a tensor's shape and dtype."""
    values = np.random.default_rng(SEED).uniform(-1, 1, tensor.shape)
    return (values * 127 if tensor.dtype.kind in "iu" else values).astype(tensor.dtype)


def _read(path: Path) -> Frame:
    try:
        return Frame(read_picture(path))
    except SourceError as error:
        raise ResultError(f"--picture: {error}; expected a picture of one face") from None


def in_new_process(spec: str, threads: int, acceleration: Acceleration | None = None) -> dict[str, Any]:
    """Load a model and call it once in a process that does nothing else.

    Args:
        spec: A model's name or file.
        threads: Threads per model.
        acceleration: Delegate or accelerator; None for the interpreter alone.

    Returns:
        "open" and "first", the milliseconds of loading and of the first call; "peak_mib".

    Raises:
        ResultError: The process failed.
    """
    chosen = json.dumps(asdict(acceleration or Acceleration()))
    command = [sys.executable, "-m", "fer_edge.benchmarks.latency", spec, str(threads), chosen]
    process = subprocess.run(command, capture_output=True, text=True)
    if process.returncode:
        last = (process.stderr.strip().splitlines() or ["no message"])[-1]
        raise ResultError(f"{spec} failed in a new process: {last}")
    figures: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return figures


def _report(spec: str, threads: int, acceleration: Acceleration) -> None:
    crop = np.zeros((1, FACE_SIZE, FACE_SIZE), np.uint8)
    if acceleration != Acceleration():
        open_network(member_files(spec)[0], threads, acceleration)  # first in a process of its own, not to be timed
    classifiers = []
    (load,) = timed(lambda: classifiers.append(open_classifier(spec, threads, acceleration)), 1)
    (first,) = timed(lambda: classifiers[0](crop), 1)
    print(json.dumps({"open": round(load, 3), "first": round(first, 3), "peak_mib": peak_mib()}))


if __name__ == "__main__":
    _report(sys.argv[1], int(sys.argv[2]), Acceleration(**json.loads(sys.argv[3])))
