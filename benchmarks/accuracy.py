"""Accuracy of .tflite models on a labelled split, with one TFLite runtime or several."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmarks.options import acceleration_words, labelled_pictures, result_file
from fer_edge.benchmarks.other_runtime import python_option, rows_from
from fer_edge.benchmarks.results_io.machine import condition
from fer_edge.benchmarks.results_io.record import RecordedCommand, default_models, identity, load_rows, write
from fer_edge.benchmarks.results_io.tables.markdown import row_label
from fer_edge.edge.commands.exclusive_options import one_acceleration
from fer_edge.edge.config.click_options import options_from
from fer_edge.edge.errors import DataError
from fer_edge.edge.expression.ensemble import member_files, open_classifier
from fer_edge.edge.pipeline import PipelineOptions
from fer_edge.edge.tflite.interpreter import runtime
from fer_edge.edge.types import Acceleration
from fer_edge.train.data.class_order import class_order
from fer_edge.train.data.duplicates import Overlap
from fer_edge.train.data.options import DataOptions
from fer_edge.train.data.splits import Split
from fer_edge.train.evaluation.metrics import measure
from fer_edge.train.evaluation.predictions import collect_logits
from fer_edge.train.evaluation.row_sets import row_figures, to_dicts


@click.command(cls=RecordedCommand)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@labelled_pictures
@options_from(PipelineOptions, only=("threads", "delegate", "accelerator"), defaults={"threads": 1})
@click.option("--flip", is_flag=True, help="Measure each model also with the mirrored face averaged in.")
@python_option
@result_file
def accuracy(
    models: tuple[str, ...],
    data_options: DataOptions,
    pipeline_options: PipelineOptions,
    flip: bool,
    limit: int | None,
    python: tuple[str, ...],
    out: Path | None,
) -> None:
    """Measure accuracy, balanced accuracy and calibration of MODELs (default: the shipped ones and the ensemble).

    Each is measured on all rows, on those that are not byte for byte in the train split, and on those whose photograph
    is not there, with 95 % intervals.
    """
    options, specs = one_acceleration(pipeline_options), models or default_models()
    part, described, overlap = load_rows(data_options, limit)
    before = condition()
    rows = [
        row for spec in specs for row in model_rows(spec, part, options.threads, flip, options.acceleration, overlap)
    ]
    for executable in python:
        data = ["--data", str(data_options.data), "--split", data_options.split]
        words = ["accuracy", *specs, *data, "--threads", str(options.threads)]
        words += acceleration_words(options.acceleration)
        words += data_options.words()
        words += ["--flip"] if flip else []
        words += ["--limit", str(limit)] if limit else []
        rows += rows_from(executable, words)
    path = write("accuracy", {"data": described, "before": before, "after": condition(), "rows": rows}, out)
    for row in rows:
        sets = [f"{100 * each['accuracy']:6.2f} % on {each['pictures']}" for each in row["rows"].values()]
        click.echo(f"{row_label(row):28} {row['runtime']:24} {', '.join(sets)}")
    click.echo(f"wrote {path}", err=True)


def model_rows(
    spec: str,
    part: Split,
    threads: int,
    flip: bool,
    acceleration: Acceleration | None = None,
    overlap: Overlap | None = None,
) -> list[dict[str, Any]]:
    """Measure one model on one split.

    Args:
        spec: A model's name or file.
        part: The labelled pictures.
        threads: Threads per model.
        flip: Whether to add a second row, with the mirrored face averaged in.
        acceleration: Delegate or accelerator; None for the interpreter alone.
        overlap: The pictures that are in the train split, or None where that is not known.

    Returns:
        Rows with the model's identity, the runtime, the metrics, those by set of rows (`rows`), and the predicted class
        of each picture as a digit, or a letter beyond nine.

    Raises:
        DataError: The split is empty.
        ModelError: A file is missing or altered, or the model has other classes than the data.
    """
    if not len(part):
        raise DataError("the split is empty; expected at least one picture")
    model, classifier, here = identity(spec), open_classifier(spec, threads, acceleration), runtime()
    order = class_order(classifier.classes, part.classes, spec)
    scores = collect_logits(classifier, part.faces, flip=flip, label=model["model"])  # (1 or 2 views, N, C)
    way = {"acceleration": acceleration_words(acceleration)} if acceleration_words(acceleration) else {}
    rows = []
    for views in range(1, len(scores) + 1):
        probabilities = scores[:views].mean(axis=0)[:, order]  # (N, C)
        predictions = probabilities.argmax(axis=1)
        rows.append(
            {
                **model,
                "flip": views == 2,
                "invocations": len(member_files(spec)) * views,
                "runtime": f"{here.name} {here.version}",
                "threads": threads,
                **way,
                **measure(probabilities, part.labels, part.classes).to_dict(),
                "rows": to_dicts(row_figures(probabilities, part.labels, part.classes, overlap)),
                "predictions": _digits(predictions),
                "correct": _digits(predictions == part.labels),
            }
        )
    return rows


def _digits(values: NDArray[np.integer] | NDArray[np.bool_]) -> str:
    """A digit per picture, in the split's order; a letter, from Ā on, for numbers beyond nine."""
    return "".join(str(value) if value < 10 else chr(0x100 + value - 10) for value in map(int, values))
