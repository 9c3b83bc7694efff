"""Accuracy of .tflite models on a labelled split, for one TFLite runtime or several."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmarks.options import labelled_pictures, result_file
from fer_edge.benchmarks.other_runtime import python_option, rows_from
from fer_edge.benchmarks.results_io.machine import condition
from fer_edge.benchmarks.results_io.record import Recorded, default_models, identity, labelled, write
from fer_edge.benchmarks.results_io.tables.markdown import row_label
from fer_edge.edge.errors import DataError
from fer_edge.edge.expression.classifier import Classifier
from fer_edge.edge.expression.ensemble import member_files, open_classifier
from fer_edge.edge.tflite.interpreter import runtime
from fer_edge.train.data.splits import Split
from fer_edge.train.evaluation.metrics import measure

_BATCH = 256  # pictures between two progress steps


@click.command(cls=Recorded)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@labelled_pictures
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Interpreter threads.")
@click.option("--flip", is_flag=True, help="Measure each model once more with the mirrored face averaged in.")
@python_option
@result_file
def accuracy(
    models: tuple[str, ...],
    data: Path,
    split: str,
    threads: int,
    flip: bool,
    limit: int | None,
    pythons: tuple[str, ...],
    out: Path | None,
) -> None:
    """Measure accuracy, balanced accuracy and calibration of MODELs (default: the shipped ones and the ensemble)."""
    specs = models or default_models()
    part, described = labelled(data, split, limit)
    before = condition()
    rows = [each for spec in specs for each in measured(spec, part, threads, flip)]
    for python in pythons:
        words = ["accuracy", *specs, "--data", str(data), "--split", split, "--threads", str(threads)]
        words += ["--flip"] if flip else []
        words += ["--limit", str(limit)] if limit else []
        rows += rows_from(python, words)
    path = write("accuracy", {"data": described, "before": before, "after": condition(), "rows": rows}, out)
    for each in rows:
        click.echo(f"{row_label(each):28} {each['runtime']:24} {100 * each['accuracy']:6.2f} %")
    click.echo(f"wrote {path}", err=True)


def measured(spec: str, part: Split, threads: int, flip: bool) -> list[dict[str, Any]]:
    """One model's figures on one split, with its identity and the runtime that ran it; with flip in a second row."""
    found, classifier, here = identity(spec), open_classifier(spec, threads), runtime()
    plain = _predict(classifier, part.faces, found["model"])
    views: dict[bool, NDArray[np.float32]] = {False: plain}
    if flip:
        mirrored = _predict(classifier, np.ascontiguousarray(part.faces[:, :, ::-1]), f"{found['model']}, mirrored")
        views[True] = (plain + mirrored) / np.float32(2)
    return [
        {
            **found,
            "flip": flipped,
            "invocations": len(member_files(spec)) * (2 if flipped else 1),
            "runtime": f"{here.name} {here.version}",
            "threads": threads,
            **measure(probabilities, part.labels).to_dict(),
            "predictions": _digits(probabilities.argmax(axis=1)),
            "correct": _digits(probabilities.argmax(axis=1) == part.labels),
        }
        for flipped, probabilities in views.items()
    ]


def _digits(values: NDArray[np.integer] | NDArray[np.bool_]) -> str:
    """A digit for each picture, in the split's order."""
    return "".join(str(int(value)) for value in values)


def _predict(classifier: Classifier, faces: NDArray[np.uint8], label: str) -> NDArray[np.float32]:
    """(N, 48, 48) uint8 to (N, 7) float32 probabilities, with a progress bar on stderr where that is a terminal."""
    starts = range(0, len(faces), _BATCH)
    if not starts:
        raise DataError("the split is empty; expected at least one picture")
    stderr = sys.stderr
    with click.progressbar(starts, label=label, file=stderr, hidden=not stderr.isatty()) as steps:
        return np.concatenate([classifier(faces[start : start + _BATCH]) for start in steps])
