"""Options that several benchmarks have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from fer_edge.train.data import SPLITS

Command = Callable[..., Any]

result_file = click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Result file [default: by machine]."
)


def labelled_pictures(command: Command) -> Command:
    """--data, --split and --limit: what accuracy is measured on."""
    where = click.option(
        "--data", required=True, type=click.Path(path_type=Path), help="FER2013 CSV or class-folder tree."
    )
    which = click.option("--split", type=click.Choice(SPLITS), default="val", help="Labelled pictures.")
    first = click.option("--limit", type=click.IntRange(1), help="The first N pictures only (for a quick look).")
    return where(which(first(command)))
