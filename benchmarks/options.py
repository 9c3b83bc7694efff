"""Options that several benchmarks share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from fer_edge.train.data.splits import SPLITS
from fer_edge.train.evaluation.figures import needs_matplotlib

Command = Callable[..., Any]

result_file = click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Result file to write [default: benchmarks/results/NAME-MACHINE.json].",
)

picture_file = click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=needs_matplotlib,
    help="Figure to draw from the result (.png).",
)


def labelled_pictures(command: Command) -> Command:
    """Add --data, --split and --limit: the labelled pictures that accuracy is measured on."""
    data = click.option(
        "--data", required=True, type=click.Path(path_type=Path), help="FER2013 CSV or class-folder tree."
    )
    split = click.option("--split", type=click.Choice(SPLITS), default="val", help="Split to measure.")
    limit = click.option("--limit", type=click.IntRange(1), metavar="N", help="Measure the first N pictures only.")
    return data(split(limit(command)))


def comma_separated(convert: Callable[[str], Any], expected: str) -> Any:
    """A click callback that makes a tuple of comma-separated values.

    Args:
        convert: Text of one value to the value; raises ValueError where it is not valid.
        expected: The valid values, in words, for the error message.
    """

    def parse(ctx: click.Context, option: click.Parameter, value: str) -> tuple[Any, ...]:
        try:
            return tuple(convert(part) for part in value.split(","))
        except ValueError:
            raise click.BadParameter(f"{value!r}; expected {expected} with commas between") from None

    return parse


def count(text: str) -> int:
    """A whole number above 0; ValueError where the text is none."""
    if int(text) < 1:
        raise ValueError
    return int(text)
