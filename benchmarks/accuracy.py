"""Accuracy of .tflite models on a labelled split, for one TFLite runtime or several."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmarks.record import Recorded, ResultError, identity, labelled, shipped, write
from fer_edge.edge.classifier import Classifier
from fer_edge.edge.ensemble import open_classifier
from fer_edge.edge.errors import DataError
from fer_edge.edge.interpreter import runtime
from fer_edge.train.data import SPLITS, Split
from fer_edge.train.metrics import measure

_BATCH = 256  # pictures between two progress steps


@click.command(cls=Recorded)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="FER2013 CSV or class-folder tree.")
@click.option("--split", type=click.Choice(SPLITS), default="val", show_default=True, help="Labelled pictures.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Interpreter threads.")
@click.option("--limit", type=click.IntRange(1), help="The first N pictures only (for a quick look).")
@click.option(
    "--python",
    "pythons",
    multiple=True,
    metavar="PATH",
    help="Another environment's Python, measured too: its TFLite runtime may differ. Repeatable.",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Result file [default: by machine].")
def accuracy(
    models: tuple[str, ...],
    data: Path,
    split: str,
    threads: int,
    limit: int | None,
    pythons: tuple[str, ...],
    out: Path | None,
) -> None:
    """Measure accuracy, balanced accuracy and calibration of MODELs (default: the shipped ones and the ensemble)."""
    specs = models or shipped()
    part, described = labelled(data, split, limit)
    rows = [row(spec, part, threads) for spec in specs]
    for python in pythons:
        rows += _elsewhere(python, specs, data, split, threads, limit)
    path = write("accuracy", {"data": described, "rows": rows}, out)
    for each in rows:
        click.echo(f"{each['model']:28} {each['runtime']:24} {100 * each['accuracy']:6.2f} %")
    click.echo(f"wrote {path}", err=True)


def row(spec: str, part: Split, threads: int) -> dict[str, Any]:
    """One model's figures on one split, with its identity and the runtime that ran it."""
    found = identity(spec)
    probabilities = _predict(open_classifier(spec, threads), part.faces, found["model"])
    here = runtime()
    return {
        **found,
        "runtime": f"{here.name} {here.version}",
        "threads": threads,
        **measure(probabilities, part.labels).to_dict(),
    }


def _predict(classifier: Classifier, faces: NDArray[np.uint8], label: str) -> NDArray[np.float32]:
    """(N, 48, 48) uint8 to (N, 7) float32 probabilities, with a progress bar on stderr where that is a terminal."""
    starts = range(0, len(faces), _BATCH)
    if not starts:
        raise DataError("the split is empty; expected at least one picture")
    stderr = sys.stderr
    with click.progressbar(starts, label=label, file=stderr, hidden=not stderr.isatty()) as steps:
        return np.concatenate([classifier(faces[start : start + _BATCH]) for start in steps])


def _elsewhere(
    python: str, specs: tuple[str, ...], data: Path, split: str, threads: int, limit: int | None
) -> list[dict[str, Any]]:
    """The same measurement by another environment's interpreter; ResultError says why it failed."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rows.json"
        command = [python, "-m", "fer_edge.edge.cli", "bench", "accuracy", *specs]
        command += ["--data", str(data), "--split", split, "--threads", str(threads), "--out", str(out)]
        command += ["--limit", str(limit)] if limit else []
        try:
            done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        except OSError as error:
            raise ResultError(f"--python {python} cannot be run: {error.strerror}; expected a Python") from None
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise ResultError(f"--python {python} failed: {last}; it needs fer-edge and a TFLite runtime")
        rows: list[dict[str, Any]] = json.loads(out.read_text("utf-8"))["rows"]
        return rows
