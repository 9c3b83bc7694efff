"""Early exit against the whole ensemble: accuracy and time, face by face, on a labelled split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmarks.options import figure_file, labelled_pictures, one_thread, result_file
from fer_edge.benchmarks.results_io.machine import condition
from fer_edge.benchmarks.results_io.record import RecordedCommand, ResultError, identity, load_rows, write
from fer_edge.benchmarks.timing import summary
from fer_edge.edge.expression.cascade import CascadeClassifier, run_cascade
from fer_edge.edge.expression.ensemble import Ensemble, open_classifier, open_early_exit
from fer_edge.edge.expression.operating_point import Cascade
from fer_edge.edge.files.writing import write_bytes
from fer_edge.edge.pipeline import PipelineOptions
from fer_edge.edge.terminal import track
from fer_edge.edge.tflite.interpreter import runtime
from fer_edge.train.data.class_order import in_class_order
from fer_edge.train.data.duplicates import Overlap
from fer_edge.train.data.options import DataOptions
from fer_edge.train.data.splits import Split
from fer_edge.train.evaluation.figures import figure, png, tidy
from fer_edge.train.evaluation.intervals import ratio_interval
from fer_edge.train.evaluation.row_sets import row_figures, to_dicts

BLOCK = 32
"""Faces that one classifier takes before it is the other's turn."""

ALL_MODELS, EARLY_EXIT = "all models", "early exit"


@click.command(cls=RecordedCommand)
@click.argument("model", default="ensemble", metavar="[ENSEMBLE]")
@labelled_pictures
@one_thread
@figure_file
@result_file
def early_exit(
    model: str,
    data_options: DataOptions,
    pipeline_options: PipelineOptions,
    limit: int | None,
    plot: Path | None,
    out: Path | None,
) -> None:
    """Measure what early exit of ENSEMBLE (default: the shipped one) saves and costs.

    Every face is classified by all models, with early exit, and by each model alone, in turns.
    """
    threads = pipeline_options.threads
    described, ensemble, early = identity(model), open_classifier(model, threads), open_early_exit(model, threads)
    if not isinstance(early, CascadeClassifier):
        raise ResultError(f"{model} has no early exit; expected ensemble, or a file that 'fer-edge ensemble fit' wrote")
    part, data, overlap = load_rows(data_options, limit)
    part = in_class_order(part, ensemble.classes, model)
    before, here = condition(), runtime()
    shared = {"data": data, "runtime": f"{here.name} {here.version}", "threads": threads, "before": before}
    body = {**shared, **_result(_measure(ensemble, early, part), ensemble, early, part, overlap), "after": condition()}
    body["rows"] = [{**described, **row} for row in body["rows"]]
    path = write("early-exit", body, out)
    if plot:
        write_bytes(plot, curve(body))
    for row in body["rows"]:
        click.echo(_line(row))
    low, high = body["ratio_interval"]
    speedup = f"{body['ratio']:.2f} [{low:.2f}, {high:.2f}] times as fast"
    click.echo(f"early exit is {speedup}, {100 * body['accuracy_drop']:.2f} percentage points less accurate")
    click.echo(f"wrote {path}", err=True)


def _line(row: dict[str, Any]) -> str:
    ms = row["ms"]
    return (
        f"{row['mode']:10} {100 * row['accuracy']:6.2f} %  mean {ms['mean']:.3f} ms  p50 {ms['p50']:.3f} ms  "
        f"p99 {ms['p99']:.3f} ms  {row['models_per_face']:.2f} models per face"
    )


@dataclass(frozen=True)
class _Measurement:
    """What N faces gave, one at a time; times in ms.

    scores: (N, 7) by mode. times: (N,) by mode. logits: (M, N, 7) of the members. member_times: (M, N).
    """

    scores: dict[str, NDArray[np.float32]]
    times: dict[str, NDArray[np.floating]]
    logits: NDArray[np.float32]
    member_times: NDArray[np.floating]


def _measure(ensemble: Ensemble, early: CascadeClassifier, part: Split) -> _Measurement:
    """Classify every face with all models, with early exit, and with each model alone."""
    count, members = len(part), ensemble.members
    modes: dict[str, Callable[[NDArray[np.uint8]], NDArray[np.float32]]] = {ALL_MODELS: ensemble, EARLY_EXIT: early}
    result = _Measurement(
        {mode: np.empty((count, 7), np.float32) for mode in modes},
        {mode: np.empty(count) for mode in modes},
        np.empty((len(members), count, 7), np.float32),
        np.empty((len(members), count)),
    )
    for classifier in modes.values():
        classifier(part.faces[:BLOCK])  # warm-up
    early.faces = early.invocations = 0
    starts = range(0, count, BLOCK)
    for start in track(starts, "blocks of faces", len(starts)):
        block = range(start, min(count, start + BLOCK))
        for mode, classifier in modes.items():
            for face in block:
                crop = part.faces[face : face + 1]
                result.times[mode][face], result.scores[mode][face : face + 1] = _timed(classifier, crop)
        for index, member in enumerate(members):
            for face in block:
                crop = part.faces[face : face + 1]
                result.member_times[index, face], result.logits[index, face : face + 1] = _timed(member.logits, crop)
    return result


def _timed(
    call: Callable[[NDArray[np.uint8]], NDArray[np.float32]], crop: NDArray[np.uint8]
) -> tuple[float, NDArray[np.float32]]:
    start = perf_counter()
    values = call(crop)
    return 1000 * (perf_counter() - start), values


def _result(
    measurement: _Measurement, ensemble: Ensemble, early: CascadeClassifier, part: Split, overlap: Overlap | None
) -> dict[str, Any]:
    """A row per mode, their ratio, and the operating points of early exit. overlap: what is in the train split too."""
    times = measurement.times
    accuracy = {
        mode: float(np.mean(scores.argmax(axis=1) == part.labels)) for mode, scores in measurement.scores.items()
    }
    models_per_face = {
        ALL_MODELS: float(len(ensemble.members)),
        EARLY_EXIT: early.invocations / max(1, early.faces),
    }
    rows = [
        {
            "mode": mode,
            "accuracy": round(accuracy[mode], 5),
            "rows": to_dicts(row_figures(measurement.scores[mode], part.labels, part.classes, overlap)),
            "models_per_face": round(models_per_face[mode], 4),
            "ms": summary(times[mode]),
        }
        for mode in times
    ]
    blocks = {mode: np.add.reduceat(each, range(0, len(part), BLOCK)) for mode, each in times.items()}
    interval = ratio_interval(blocks[ALL_MODELS], blocks[EARLY_EXIT], paired=True, average=np.mean)
    return {
        "rows": rows,
        "ratio": round(float(times[ALL_MODELS].sum() / times[EARLY_EXIT].sum()), 3),
        "ratio_interval": [round(end, 3) for end in interval],
        "accuracy_drop": round(accuracy[ALL_MODELS] - accuracy[EARLY_EXIT], 5),
        "curve": _points(measurement, ensemble, early.cascade, part),
    }


def _points(measurement: _Measurement, ensemble: Ensemble, cascade: Cascade, part: Split) -> list[dict[str, float]]:
    """Each operating point on these faces: accuracy, mean ms of its models, models per face.

    loss is the expected one, from the split that early exit was fitted on.
    """
    points = []
    for point in cascade.points:
        scores, models = run_cascade(
            lambda member, faces: measurement.logits[member, faces],
            len(part),
            ensemble.weights,
            cascade.temperatures,
            point.thresholds,
            ensemble.offsets,
        )
        ran = np.arange(len(measurement.logits))[:, None] < models  # (M, N)
        points.append(
            {
                "accuracy": round(float(np.mean(scores.argmax(axis=1) == part.labels)), 5),
                "loss": point.loss,
                "ms": round(float((measurement.member_times * ran).sum(axis=0).mean()), 4),
                "models_per_face": round(float(models.mean()), 4),
            }
        )
    return points


def curve(result: dict[str, Any]) -> bytes:
    """Accuracy over mean time of the operating points, with both modes marked; a PNG.

    Args:
        result: The content of a result file of this benchmark.
    """
    canvas = figure(6.4, 4)
    axis = tidy(canvas.subplots())
    points = result["curve"]
    times, accuracy = [p["ms"] for p in points], result["rows"][0]["accuracy"]
    axis.plot(times, [100 * (accuracy - p["loss"]) for p in points], color="#1f6feb", lw=1.4, label="expected")
    axis.plot(times, [100 * p["accuracy"] for p in points], ".", color="#1f6feb", alpha=0.45, label="counted")
    for row, colour in zip(result["rows"], ("#57606a", "#d1242f"), strict=True):
        axis.plot(row["ms"]["mean"], 100 * row["accuracy"], "o", ms=9, color=colour, label=row["mode"])
    axis.set_xlabel("mean ms per face")
    axis.set_ylabel("accuracy, %")
    axis.set_xlim(left=0)
    axis.legend(frameon=False, loc="lower right")
    return png(canvas)
