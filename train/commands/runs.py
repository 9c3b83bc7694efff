"""The commands `runs list` and `runs compare`: what run folders hold, side by side; Keras is not imported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from fer_edge.edge.config.click_options import json_option, options_from
from fer_edge.edge.errors import DataError, printable
from fer_edge.edge.files.documents import json_text
from fer_edge.train.options import TrainingOptions
from fer_edge.train.run_records import RunRecord, differences, find_runs, open_run

FIGURES = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "ece": "ECE", "nll": "NLL"}
"""Figures of metrics.json that are compared, and their names in the table."""

UNKNOWN = "–"
"""Stands for what a run folder does not hold, or not readably."""


@click.group()
def runs() -> None:
    """List training runs and compare them."""


@runs.command("list")
@options_from(TrainingOptions, only=("runs",))
@json_option("Print one JSON array instead of a table.")
def list_runs(training_options: TrainingOptions, as_json: bool) -> None:
    """List the run folders in --runs with network, recipe, epochs and best validation figures.

    Epochs are those finished and those of the recipe. Accuracy and loss are the best of an epoch, on the rows of the
    val split on which epochs are compared. A run is finished, running, interrupted ('fer-edge train NAME --resume'
    continues it), or has no epoch finished; a trial of a sweep may be pruned, diverged or out of memory. Damaged files
    are named on stderr; the rest of such a folder is listed.
    """
    records = find_runs(training_options.runs)
    if as_json:
        click.echo(json_text([each.to_dict() for each in records]))
        return
    if not records:
        click.echo(f"no run folders in {printable(training_options.runs)}", err=True)
    else:
        head = ["RUN", "NETWORK", "RECIPE", "CLASSES", "TRAIN", "EPOCHS", "VAL_ACC", "VAL_LOSS", "DATE", "STATE"]
        click.echo(_table([head, *(_row(each, training_options.runs) for each in records)]))
    _report_problems(records)


@runs.command()
@click.argument("names", metavar="RUN RUN...", nargs=-1, required=True)
@options_from(TrainingOptions, only=("runs",))
@json_option("Print one JSON object instead of tables.")
def compare(names: tuple[str, ...], training_options: TrainingOptions, as_json: bool) -> None:
    """Show in which fields the recipes of RUNs differ, and their metrics side by side.

    RUN is the name of a run folder in --runs, or a path. Metrics are those of the saved network on the val split; a run
    that is not finished has none yet.
    """
    if len(names) < 2:
        raise DataError(f"one RUN ({names[0]}) cannot be compared; expected two or more")
    records = [open_run(name, training_options.runs) for name in names]
    different = differences(records)
    if as_json:
        click.echo(json_text({"runs": [each.to_dict() for each in records], "differences": different}))
        return
    rows = [["", *map(printable, names)]]
    rows += [["state", *(each.state for each in records)], ["epochs", *(_epochs(each) for each in records)]]
    rows += [["minutes", *(UNKNOWN if each.seconds is None else f"{each.seconds / 60:.1f}" for each in records)]]
    rows += [["best val accuracy", *(_number(each.best_accuracy) for each in records)]]
    rows += [["best val loss", *(_number(each.best_loss) for each in records)]]
    figures = [each.metrics or {} for each in records]
    for key, label in FIGURES.items():
        rows.append([f"saved network: {label}", *(_number(each.get(key)) for each in figures)])
    rows.append(["saved network: accuracy, clean rows", *(_number(_clean(each, "accuracy")) for each in figures)])
    click.echo(_table(rows))
    click.echo("\nno field of the recipes differs" if not different else "\nfields that differ")
    click.echo(_table([[key, *map(_value, values)] for key, values in different.items()]), nl=bool(different))
    _report_problems(records)


def _row(record: RunRecord, runs: Path) -> list[str]:
    """A run's line in the list, with its name in the folder `runs`, by which `compare` finds it."""
    train = (record.data or {}).get("train")
    return [
        printable(record.folder if record.folder == runs else record.folder.relative_to(runs)),
        record.network or UNKNOWN,
        _value((record.recipe or {}).get("name")),
        str(len(record.classes) or UNKNOWN),
        _value(train.get("pictures") if isinstance(train, dict) else None),
        _epochs(record),
        _number(record.best_accuracy),
        _number(record.best_loss),
        record.date,
        record.state,
    ]


def _report_problems(records: Sequence[RunRecord]) -> None:
    for record in records:
        for problem in record.problems:
            click.echo(f"{printable(record.folder)}: {problem}", err=True)


def _epochs(record: RunRecord) -> str:
    return f"{record.epochs}/{UNKNOWN if record.planned is None else record.planned}"


def _clean(metrics: dict[str, Any], key: str) -> Any:
    """A figure on the clean rows; None where there is none."""
    rows = metrics.get("rows")
    clean = rows.get("clean") if isinstance(rows, dict) else None
    return clean.get(key) if isinstance(clean, dict) else None


def _number(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, int | float) else UNKNOWN


def _value(value: Any) -> str:
    """A field's value in a table: a list's values with commas, a hash by its first characters."""
    if value is None:
        return UNKNOWN
    if isinstance(value, list):
        return ", ".join(map(str, value)) or UNKNOWN
    text = printable(value)
    return text[:12] + "…" if len(text) == 64 and set(text) <= set("0123456789abcdef") else text


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as text, in columns that are as wide as their widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)
