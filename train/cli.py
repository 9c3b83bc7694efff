"""The commands `data` and `train`; Keras is imported by the latter only, once it runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from fer_edge.edge.expression.model_spec import MODEL_NAMES
from fer_edge.edge.types import EMOTIONS
from fer_edge.train.architectures import ARCHITECTURES
from fer_edge.train.data.class_folders import write_folders
from fer_edge.train.data.loading import load
from fer_edge.train.data.splits import SPLITS
from fer_edge.train.recipes import RECIPES, Recipe, recipe, values
from fer_edge.train.training_run import check_start, softened_targets, train_one

data_option = click.option("--data", "data_path", required=True, help="FER2013 CSV (.gz, .xz, .zip) or folder tree.")
skip_option = click.option("--skip-bad", is_flag=True, help="Count bad rows or pictures and go on.")


# --- data ------------------------------------------------------------------------------------------------------


@click.group()
def data() -> None:
    """Prepare and inspect data sets."""


@data.command()
@click.argument("path")
@skip_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
def info(path: str, skip_bad: bool, as_json: bool) -> None:
    """Count the pictures per class and split in PATH, a CSV or a folder tree."""
    dataset = load(path, skip_bad=skip_bad)
    counts = {name: part.counts() for name, part in dataset.splits.items()}
    if as_json:
        table = {
            name: {**dict(zip(EMOTIONS, map(int, row), strict=True)), "total": int(row.sum())}
            for name, row in counts.items()
        }
        click.echo(json.dumps({"path": path, "splits": table, "skipped": dataset.skipped}))
        return
    click.echo(f"{'class':10}" + "".join(f"{name:>9}" for name in counts))
    for index, emotion in enumerate(EMOTIONS):
        click.echo(f"{emotion:10}" + "".join(f"{row[index]:9d}" for row in counts.values()))
    click.echo(f"{'total':10}" + "".join(f"{row.sum():9d}" for row in counts.values()))
    absent = [name for name in SPLITS if name not in counts]
    if absent:
        click.echo(f"absent: {', '.join(absent)}")


@data.command()
@click.argument("csv")
@click.argument("directory", type=click.Path(path_type=Path))
@skip_option
def prepare(csv: str, directory: Path, skip_bad: bool) -> None:
    """Write CSV's pictures as DIRECTORY/SPLIT/CLASS/NNNNN.png."""
    dataset = load(csv, skip_bad=skip_bad)
    written = write_folders(dataset, directory)
    click.echo(f"{written} pictures in {directory}")


# --- train -----------------------------------------------------------------------------------------------------


def recipe_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """One option for every field of a recipe; the default is the chosen recipe's value."""
    kinds: dict[str, Any] = {"int": click.INT, "float": click.FLOAT, "str": click.STRING}
    for item in reversed([each for each in fields(Recipe) if each.name != "name"]):
        option = click.option(
            f"--{item.name.replace('_', '-')}",
            item.name,
            type=kinds[str(item.type)],
            default=None,
            show_default=str(item.default),
            help=f"{item.metadata['help'].removesuffix('.')}; {values(item.name)}.",
        )
        command = option(command)
    return command


@click.command()
@click.argument("name", type=click.Choice([*ARCHITECTURES, "all"]))
@data_option
@skip_option
@click.option(
    "--weights",
    show_default="imagenet, none for a teacher",
    help="imagenet, none, or a .weights.h5, .npz or face recognizer's file ({name} in it is replaced).",
)
@click.option(
    "--recipe",
    "recipe_name",
    type=click.Choice(list(RECIPES)),
    default="best",
    help="Where the fields below start from.",
)
@click.option(
    "--teacher",
    "teachers",
    multiple=True,
    metavar="PATH",
    help="Learn from this model's logits too: a run folder, a model, or a run's teacher_logits.npz. Repeatable.",
)
@click.option("--ferplus", type=click.Path(path_type=Path), help="Learn from FER+'s votes too: fer2013new.csv.")
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs"), help="Where run folders lie.")
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint of the run folder.")
@recipe_options
def train(
    name: str,
    data_path: str,
    skip_bad: bool,
    weights: str | None,
    recipe_name: str,
    teachers: tuple[str, ...],
    ferplus: Path | None,
    runs: Path,
    resume: bool,
    **changes: Any,
) -> None:
    """Train NAME on the train split, choosing by the val split; leaves RUNS/NAME/.

    'all' is the three networks for devices; the others are teachers.
    """
    import keras  # noqa: F401  (fails here, in one line, before any work)

    names = MODEL_NAMES if name == "all" else (name,)
    given = {key: value for key, value in changes.items() if value is not None}
    recipes = {each: recipe(recipe_name, each, **given) for each in names}
    first = {
        each: (weights or ("imagenet" if each in MODEL_NAMES else "none")).replace("{name}", each) for each in names
    }
    for each in names:  # what would stop the last of them is said before the hours of the first
        check_start(each, runs / each, first[each], resume)
    dataset = load(data_path, skip_bad=skip_bad)
    for split in ("train", "val"):
        dataset.split(split)
    softened = softened_targets(dataset, teachers, ferplus, recipes[names[0]])
    for each, chosen in recipes.items():
        train_one(each, dataset, chosen, runs / each, first[each], resume, softened)
