"""Markdown tables from result files, printed or written between the markers of a page."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from fer_edge.benchmarks.options import OutputFile
from fer_edge.benchmarks.results_io.record import RESULTS, ResultError, complete, read
from fer_edge.benchmarks.results_io.tables import accuracy, detection, end_to_end, latency, robustness
from fer_edge.benchmarks.results_io.tables.fleet import fleet
from fer_edge.benchmarks.results_io.tables.instructions import arm_instructions
from fer_edge.benchmarks.results_io.tables.soak import soak
from fer_edge.benchmarks.results_io.tables.stability import stability
from fer_edge.benchmarks.results_io.tables.summary import summary
from fer_edge.benchmarks.results_io.tables.training import training
from fer_edge.edge.expression.model_spec import MODEL_NAMES, parse_model_spec
from fer_edge.edge.files.writing import write_bytes
from fer_edge.edge.tflite.card import read_card

_MARKER = re.compile(r"(<!-- table:([a-z-]+) -->\n).*?(<!-- /table -->)", re.DOTALL)


@click.command()
@click.argument("results", nargs=-1, type=click.Path(path_type=Path), metavar="[RESULT.json]...")
@click.option(
    "--write",
    cls=OutputFile,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Page to fill in, instead of printing the tables.",
)
def table(results: tuple[Path, ...], write: Path | None) -> None:
    """Make Markdown tables from RESULT files.

    The default is all files in benchmarks/results and the cards of the shipped models. --write fills the blocks of a
    page that begin with <!-- table:NAME --> and end with <!-- /table -->.
    """
    rendered = tables(results) if results else published()
    if not rendered:
        raise ResultError(f"no results with a table in {RESULTS}; 'fer-edge bench accuracy' writes one")
    if write is None:
        click.echo("\n\n".join(rendered.values()))
        return
    click.echo(f"wrote {', '.join(replace(write, rendered))} into {write}", err=True)


def published() -> dict[str, str]:
    """The tables of all stored result files and of the accuracy that the shipped models' cards record.

    Returns:
        Markdown by table name.
    """
    files = (parse_model_spec(name).path for name in MODEL_NAMES)
    cards = [card for card in map(read_card, filter(Path.is_file, files)) if "post_training" in card.accuracy]
    rendered = tables(sorted(RESULTS.glob("*.json")))
    return rendered | ({"quantization": accuracy.quantization(cards)} if cards else {})


def tables(paths: Iterable[Path]) -> dict[str, str]:
    """The tables of result files.

    Args:
        paths: Result files of any kinds; several of one kind become tables one below the other.

    Returns:
        Markdown by table name; each table has a line above that names the data, the machine and the date.

    Raises:
        ResultError: A file is missing or is not a result file.
    """
    results = {path: read(path) for path in paths}
    with complete(*results):
        rendered = {"summary": text} if (text := summary([*results.values()])) else {}
    parts = defaultdict(list)
    for path, result in results.items():
        for name, (kind, render) in _RENDER.items():
            with complete(path):
                if result["kind"] == kind and (text := render(result)):
                    parts[name].append(text)
    return rendered | {name: "\n\n".join(parts[name]) for name in _RENDER if name in parts}


def insert(page: str, rendered: dict[str, str]) -> str:
    """The page's text with its marked blocks filled; a block without a table of its name stays as it is."""
    return _MARKER.sub(
        lambda match: f"{match[1]}{rendered[match[2]]}\n{match[3]}" if match[2] in rendered else match[0], page
    )


def replace(path: Path, rendered: dict[str, str]) -> list[str]:
    """Fill the marked blocks of a page on disk.

    Args:
        path: A Markdown page.
        rendered: Markdown by table name.

    Returns:
        The names of the tables that were written.

    Raises:
        ResultError: The page cannot be read, or has a block for none of the tables.
        SinkError: The page cannot be written; it stays as it was.
    """
    try:
        page = path.read_text("utf-8")
    except OSError as error:
        raise ResultError(f"{path} cannot be read: {error.strerror}; expected a Markdown page") from None
    names = [match[1] for match in _MARKER.findall(page) if match[1] in rendered]
    if not names:
        raise ResultError(
            f"{path} has no block for {', '.join(sorted(rendered))}; "
            "expected <!-- table:NAME --> and <!-- /table --> on lines of their own"
        )
    write_bytes(path, insert(page, rendered).encode())
    return names


_RENDER: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "accuracy": ("accuracy", accuracy.accuracy),
    "recall": ("accuracy", accuracy.recall),
    "robustness": ("robustness", robustness.robustness),
    "robustness-means": ("robustness", robustness.means),
    "stability": ("stability", stability),
    "early-exit": ("early-exit", accuracy.early_exit),
    "latency": ("latency", latency.latency),
    "batching": ("batching", latency.batching),
    "layers": ("layers", latency.layers),
    "start": ("start", end_to_end.start),
    "archive": ("archive", end_to_end.archive),
    "evaluation": ("evaluation", end_to_end.evaluation),
    "cluster": ("cluster", end_to_end.cluster),
    "pipeline": ("pipeline", end_to_end.pipeline),
    "sustained": ("pipeline", end_to_end.sustained),
    "capture": ("capture", end_to_end.capture),
    "page": ("page", end_to_end.page),
    "peers": ("peers", end_to_end.peers),
    "soak": ("soak", soak),
    "fleet": ("fleet", fleet),
    "training": ("training", training),
    "arm-instructions": ("arm-instructions", arm_instructions),
    "detection": ("detection", detection.overall),
    "detection-size": ("detection", detection.by_size),
    "detection-tilt": ("detection", detection.by_tilt),
}
"""By table name, the kind of result it is made from and the function that makes it."""
