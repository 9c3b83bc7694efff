"""The command `data`: count a data set's pictures, and write them as class folders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from fer_edge.edge.config.click_options import json_option, options_from
from fer_edge.edge.config.click_types import IntRange
from fer_edge.edge.config.lazy_group import LazyGroup
from fer_edge.edge.errors import printable
from fer_edge.edge.files.documents import json_text
from fer_edge.edge.sinks.output_paths import refuse_shared_files
from fer_edge.train.data.class_folders import write_folders
from fer_edge.train.data.clean_rows import write_list
from fer_edge.train.data.duplicate_counts import conflicting_files, count_duplicates, duplicates_table
from fer_edge.train.data.options import HOW, TRAINED, DataOptions
from fer_edge.train.data.remarks import absent_classes
from fer_edge.train.data.splits import SPLITS

MOST_SHOWN = 10
"""Photographs with several labels whose files `data info` names, in its table."""


@click.group(
    cls=LazyGroup,
    lazy={
        "crop": ("fer_edge.train.commands.data_crop:crop", "Crop the faces of photographs in class folders."),
        "record": ("fer_edge.train.commands.data_record:record", "Record faces of one class from a camera."),
    },
)
def data() -> None:
    """Inspect data sets and convert them to class folders; make them of photographs, or with a camera."""


@data.command()
@click.argument("path", type=click.Path(path_type=Path))
@options_from(DataOptions, only=TRAINED)
@click.option(
    "--no-near-duplicates", is_flag=True, help="Skip the search for the same photographs, cropped or changed otherwise."
)
@json_option("Print one JSON object instead of a table.")
def info(path: Path, data_options: DataOptions, no_near_duplicates: bool, as_json: bool) -> None:
    """Count the pictures per class and split of PATH, and those that it holds more than once.

    What was skipped or left out, tiny pictures and those that may show more than a face come as warnings.

    Two pictures show one photograph where they are equal byte for byte, or cropped, scaled or mirrored otherwise.
    Finding them takes a minute for a data set of FER2013's size, once, and four times as long for twice the pictures.

    PATH is FER2013's CSV or another with the columns label and pixels or path (plain, .gz, .xz or .zip), or a tree of
    class folders.
    """
    dataset = data_options.load(path)
    counts = {name: split.counts() for name, split in dataset.splits.items()}
    duplicates = count_duplicates(dataset, near=not no_near_duplicates)
    conflicts = conflicting_files(dataset, near=not no_near_duplicates)
    if as_json:
        splits = {
            name: {"total": int(row.sum()), **dict(zip(dataset.classes, map(int, row), strict=True))}
            for name, row in counts.items()
        }
        facts = {
            "path": str(path),
            "classes": dataset.classes,
            "splits": splits,
            "absent_classes": absent_classes(dataset),
            "duplicates": duplicates,
            "conflicting_files": conflicts,
            "dropped": dataset.dropped,
            "skipped": dataset.skipped,
            "left_out": dataset.left_out,
            "tiny": dataset.tiny,
            "large": dataset.large,
        }
        click.echo(json_text(facts))
        return
    width = max(10, *(len(name) + 1 for name in dataset.classes))
    click.echo(f"{'class':{width}}" + "".join(f"{name:>9}" for name in counts))
    for index, class_name in enumerate(dataset.classes):
        click.echo(f"{class_name:{width}}" + "".join(f"{row[index]:9d}" for row in counts.values()))
    click.echo(f"{'total':{width}}" + "".join(f"{row.sum():9d}" for row in counts.values()))
    click.echo("\n".join(["", *duplicates_table(duplicates), ""]))
    for files in conflicts[:MOST_SHOWN]:
        click.echo(f"one photograph with several labels: {printable(', '.join(files))}")
    if len(conflicts) > MOST_SHOWN:
        click.echo(f"… and {len(conflicts) - MOST_SHOWN} more; --json lists them all")
    absent = [name for name in SPLITS if name not in counts]
    if absent:
        click.echo(f"absent: {', '.join(absent)}")


@data.command()
@click.argument("path", type=click.Path(path_type=Path))
@options_from(DataOptions, only=HOW)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), metavar="JSON", required=True, help="File to write."
)
def duplicates(path: Path, data_options: DataOptions, out: Path) -> None:
    """List the rows of PATH's other splits whose photograph is in its train split.

    Rows count from 0 within their split. PATH is a CSV (plain, .gz, .xz or .zip) or a class-folder tree.
    """
    refuse_shared_files({"--out": [out]}, {"PATH": [path]})
    for name, rows in write_list(out, data_options.load(path)).items():
        click.echo(
            f"{name}: {rows.exact.sum()} rows byte for byte in train, {rows.near.sum()} more whose photograph is "
            f"there, {rows.clean.sum()} others"
        )
    click.echo(f"wrote {out}", err=True)


@data.command()
@click.argument("csv", type=click.Path(path_type=Path))
@click.argument("directory", type=click.Path(path_type=Path))
@options_from(DataOptions, only=HOW)
@click.option(
    "--per-class",
    type=IntRange(1),
    metavar="PICTURES",
    help="Write at most so many of each class of train, chosen at random but always the same.  [default: all]",
)
def prepare(csv: Path, directory: Path, data_options: DataOptions, per_class: int | None) -> None:
    """Write the pictures of CSV as DIRECTORY/SPLIT/CLASS/NNNNN.png.

    CSV is FER2013's or another (plain, .gz, .xz or .zip), or a class-folder tree; DIRECTORY must not exist yet.
    """
    dataset = data_options.load(csv)
    if per_class is not None:
        dataset = replace(dataset, splits={**dataset.splits, "train": dataset.split("train").sample(per_class)})
    count = write_folders(dataset, directory)
    click.echo(f"{count} pictures in {directory}")
