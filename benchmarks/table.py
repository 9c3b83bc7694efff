"""Result files to Markdown tables, and those into a page between its markers."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from fer_edge.benchmarks.results_io.record import RESULTS, ResultError, read
from fer_edge.benchmarks.results_io.tables import accuracy as answers
from fer_edge.benchmarks.results_io.tables import end_to_end as wholes
from fer_edge.benchmarks.results_io.tables import latency as networks
from fer_edge.edge.expression.ensemble import NAMES
from fer_edge.edge.files import write_bytes
from fer_edge.edge.tflite.card import read_card
from fer_edge.models import FOLDER

_MARKER = re.compile(r"(<!-- table:([a-z-]+) -->\n).*?(<!-- /table -->)", re.DOTALL)


@click.command()
@click.argument("results", nargs=-1, type=click.Path(path_type=Path), metavar="[RESULT.json]...")
@click.option("--write", type=click.Path(dir_okay=False, path_type=Path), help="Page whose tables are replaced.")
def table(results: tuple[Path, ...], write: Path | None) -> None:
    """Make Markdown tables of RESULT files (default: all of benchmarks/results, and the shipped models' cards)."""
    rendered = tables(results) if results else published()
    if not rendered:
        raise ResultError(f"no results with a table in {RESULTS}; 'fer-edge bench accuracy' writes one")
    if write is None:
        click.echo("\n\n".join(rendered.values()))
        return
    click.echo(f"wrote {', '.join(replace(write, rendered))} into {write}", err=True)


def published() -> dict[str, str]:
    """The tables of all result files, and of what the shipped models' cards say that int8 costs."""
    files = (FOLDER / f"{name}_int8.tflite" for name in NAMES)
    cards = [card for card in map(read_card, filter(Path.is_file, files)) if "post_training" in card.accuracy]
    rendered = tables(sorted(RESULTS.glob("*.json")))
    return rendered | ({"quantization": answers.quantization(cards)} if cards else {})


def tables(paths: Iterable[Path]) -> dict[str, str]:
    """By name, one table per result file with a line above that says what it was measured on."""
    parts = defaultdict(list)
    for path in paths:
        result = read(path)
        for name, (kind, render) in _RENDER.items():
            if result["kind"] == kind and (rendered := render(result)):
                parts[name].append(rendered)
    return {name: "\n\n".join(parts[name]) for name in _RENDER if name in parts}


def insert(page: str, rendered: dict[str, str]) -> str:
    """The page with each `<!-- table:NAME -->` … `<!-- /table -->` filled; one without results stays as it is."""
    return _MARKER.sub(
        lambda found: f"{found[1]}{rendered[found[2]]}\n{found[3]}" if found[2] in rendered else found[0], page
    )


def replace(path: Path, rendered: dict[str, str]) -> list[str]:
    """Fill a page's tables on disk, complete or not at all; which they were. ResultError where it has none of them."""
    try:
        page = path.read_text("utf-8")
    except OSError as error:
        raise ResultError(f"{path} cannot be read: {error.strerror}; expected a Markdown page") from None
    filled = [found[1] for found in _MARKER.findall(page) if found[1] in rendered]
    if not filled:
        raise ResultError(
            f"{path} has no place for {', '.join(sorted(rendered))}; "
            "expected <!-- table:NAME --> and <!-- /table --> on lines of their own"
        )
    write_bytes(path, insert(page, rendered).encode())
    return filled


_RENDER: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "accuracy": ("accuracy", answers.accuracy),
    "recall": ("accuracy", answers.recall),
    "robustness": ("robustness", answers.robustness),
    "early-exit": ("early-exit", answers.early_exit),
    "latency": ("latency", networks.latency),
    "batching": ("batching", networks.batching),
    "layers": ("layers", networks.layers),
    "start": ("start", wholes.start),
    "pipeline": ("pipeline", wholes.pipeline),
    "sustained": ("pipeline", wholes.sustained),
    "peers": ("peers", wholes.peers),
}
