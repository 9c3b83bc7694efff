"""The cascade against the whole ensemble: accuracy and time, face by face, on a labelled split."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmarks.latency import summary
from fer_edge.benchmarks.options import labelled_pictures, picture_file, result_file
from fer_edge.benchmarks.results_io.intervals import ratio_interval
from fer_edge.benchmarks.results_io.machine import condition
from fer_edge.benchmarks.results_io.record import Recorded, ResultError, identity, labelled, write
from fer_edge.edge.expression.cascade import CascadeClassifier, run_cascade
from fer_edge.edge.expression.ensemble import Ensemble, open_classifier, open_early_exit
from fer_edge.edge.expression.operating_point import Cascade
from fer_edge.edge.files import write_bytes
from fer_edge.edge.terminal import track
from fer_edge.edge.tflite.interpreter import runtime
from fer_edge.train.data.splits import Split
from fer_edge.train.evaluation.figures import figure, png, tidy

BLOCK = 32
"""Faces that one of the two classifies before it is the other's turn."""


@click.command(cls=Recorded)
@click.argument("spec", default="ensemble", metavar="[ENSEMBLE]")
@labelled_pictures
@click.option("--threads", type=click.IntRange(1), default=1, help="Interpreter threads.")
@picture_file
@result_file
def early_exit(
    spec: str, data: Path, split: str, threads: int, limit: int | None, plot: Path | None, out: Path | None
) -> None:
    """Measure what the cascade of ENSEMBLE (default: the shipped one) saves and what it costs.

    Every face is classified by the whole ensemble and by the cascade, in turns, and by each member alone.
    """
    about, whole, early = identity(spec), open_classifier(spec, threads), open_early_exit(spec, threads)
    if not isinstance(early, CascadeClassifier):
        raise ResultError(f"{spec} has no cascade; expected ensemble, or what 'fer-edge ensemble fit' wrote")
    part, described = labelled(data, split, limit)
    before = condition()
    here = runtime()
    body = {
        "data": described,
        "runtime": f"{here.name} {here.version}",
        "threads": threads,
        "before": before,
        **_measured(whole, early, part),
        "after": condition(),
    }
    body["rows"] = [{**about, **row} for row in body["rows"]]
    path = write("early-exit", body, out)
    if plot:
        write_bytes(plot, curve(body))
    for row in body["rows"]:
        ms = row["ms"]
        click.echo(
            f"{row['mode']:10} {100 * row['accuracy']:6.2f} %  mean {ms['mean']:.3f} ms  p50 {ms['p50']:.3f}  "
            f"p99 {ms['p99']:.3f}  {row['models_per_face']:.2f} members a face"
        )
    low, high = body["ratio_interval"]
    cheaper = f"{body['ratio']:.2f} [{low:.2f}, {high:.2f}] times cheaper"
    click.echo(f"the cascade is {cheaper}, {100 * body['accuracy_drop']:.2f} points below")
    click.echo(f"wrote {path}", err=True)


def _measured(whole: Ensemble, early: CascadeClassifier, part: Split) -> dict[str, Any]:
    """Both on every face, the members' logits and times, and from these the points of the cascade."""
    count, members = len(part), whole.members
    logits = np.empty((len(members), count, 7), np.float32)
    alone = np.empty((len(members), count))
    scores: dict[str, NDArray[np.float32]] = {
        name: np.empty((count, 7), np.float32) for name in ("all models", "early exit")
    }
    times = {name: np.empty(count) for name in scores}
    for classifier in (whole, early):
        classifier(part.faces[:BLOCK])  # warm
    early.faces = early.invocations = 0
    starts = range(0, count, BLOCK)
    for start in track(starts, "blocks of faces", len(starts)):
        chosen = range(start, min(count, start + BLOCK))
        for name, call in (("all models", whole), ("early exit", early)):
            for face in chosen:
                times[name][face], scores[name][face : face + 1] = _timed(call, part.faces[face : face + 1])
        for index, member in enumerate(members):
            for face in chosen:
                alone[index, face], logits[index, face : face + 1] = _timed(member.logits, part.faces[face : face + 1])
    accuracy = {name: float(np.mean(found.argmax(axis=1) == part.labels)) for name, found in scores.items()}
    asked = {"all models": float(len(members)), "early exit": early.invocations / max(1, early.faces)}
    rows = [
        {
            "mode": name,
            "accuracy": round(accuracy[name], 5),
            "models_per_face": round(asked[name], 4),
            "ms": summary(times[name]),
        }
        for name in scores
    ]
    blocks = {name: np.add.reduceat(each, range(0, count, BLOCK)) for name, each in times.items()}
    interval = ratio_interval(blocks["all models"], blocks["early exit"], paired=True, average=np.mean)
    return {
        "rows": rows,
        "ratio": round(float(times["all models"].sum() / times["early exit"].sum()), 3),
        "ratio_interval": [round(end, 3) for end in interval],
        "accuracy_drop": round(accuracy["all models"] - accuracy["early exit"], 5),
        "curve": _points(whole, early.cascade, logits, alone, part),
    }


def _timed(
    call: Callable[[NDArray[np.uint8]], NDArray[np.float32]], face: NDArray[np.uint8]
) -> tuple[float, NDArray[np.float32]]:
    start = perf_counter()
    answer = call(face)
    return 1000 * (perf_counter() - start), answer


def _points(
    whole: Ensemble, fitted: Cascade, logits: NDArray[np.float32], alone: NDArray[np.floating], part: Split
) -> list[dict[str, float]]:
    """Each of the cascade's points on these faces: accuracy, mean time of its members in ms, members a face.

    loss is the expected one, from where the cascade was fitted.
    """
    points = []
    for point in fitted.points:
        scores, asked = run_cascade(
            lambda member, chosen: logits[member, chosen],
            len(part),
            whole.weights,
            fitted.temperatures,
            point.thresholds,
            whole.offsets,
        )
        seen = np.arange(len(logits))[:, None] < asked  # (M, N)
        points.append(
            {
                "accuracy": round(float(np.mean(scores.argmax(axis=1) == part.labels)), 5),
                "loss": point.loss,
                "ms": round(float((alone * seen).sum(axis=0).mean()), 4),
                "models_per_face": round(float(asked.mean()), 4),
            }
        )
    return points


def curve(result: dict[str, Any]) -> bytes:
    """Accuracy over mean time, expected and counted, the chosen point and the whole ensemble marked; a PNG."""
    drawn = figure(6.4, 4)
    axis = tidy(drawn.subplots())
    points = result["curve"]
    times, whole = [p["ms"] for p in points], result["rows"][0]["accuracy"]
    axis.plot(times, [100 * (whole - p["loss"]) for p in points], color="#1f6feb", lw=1.4, label="expected")
    axis.plot(times, [100 * p["accuracy"] for p in points], ".", color="#1f6feb", alpha=0.45, label="counted")
    for row, colour in zip(result["rows"], ("#57606a", "#d1242f"), strict=True):
        axis.plot(row["ms"]["mean"], 100 * row["accuracy"], "o", ms=9, color=colour, label=row["mode"])
    axis.set_xlabel("mean time of a face, ms")
    axis.set_ylabel("accuracy, %")
    axis.set_xlim(left=0)
    axis.legend(frameon=False, loc="lower right")
    return png(drawn)
