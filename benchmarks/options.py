"""Options that several benchmarks have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from fer_edge.train.data.splits import SPLITS
from fer_edge.train.evaluation.figures import needs_matplotlib

Command = Callable[..., Any]

result_file = click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Result file [default: by machine]."
)

picture_file = click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=needs_matplotlib,
    help="Draw what was measured too (.png).",
)


def labelled_pictures(command: Command) -> Command:
    """--data, --split and --limit: what accuracy is measured on."""
    where = click.option(
        "--data", required=True, type=click.Path(path_type=Path), help="FER2013 CSV or class-folder tree."
    )
    which = click.option("--split", type=click.Choice(SPLITS), default="val", help="Labelled pictures.")
    first = click.option("--limit", type=click.IntRange(1), help="The first N pictures only (for a quick look).")
    return where(which(first(command)))


def listed(convert: Callable[[str], Any], what: str) -> Any:
    """A callback that makes a tuple of what stands between commas; convert raises ValueError where it is not what."""

    def parse(ctx: click.Context, option: click.Parameter, value: str) -> tuple[Any, ...]:
        try:
            return tuple(convert(part) for part in value.split(","))
        except ValueError:
            raise click.BadParameter(f"{value!r}; expected {what} with commas between") from None

    return parse


def count(text: str) -> int:
    """A whole number above 0; ValueError where it is none."""
    if int(text) < 1:
        raise ValueError
    return int(text)
