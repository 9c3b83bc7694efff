"""Result files to Markdown tables, and those into a page between its markers."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from fer_edge.benchmarks.record import RESULTS, ResultError, read
from fer_edge.edge.files import write_bytes

_MARKER = re.compile(r"(<!-- table:([a-z-]+) -->\n).*?(<!-- /table -->)", re.DOTALL)


@click.command()
@click.argument("results", nargs=-1, type=click.Path(path_type=Path), metavar="[RESULT.json]...")
@click.option("--write", type=click.Path(dir_okay=False, path_type=Path), help="Page whose tables are replaced.")
def table(results: tuple[Path, ...], write: Path | None) -> None:
    """Make Markdown tables of RESULT files (default: all of benchmarks/results)."""
    rendered = tables(list(results) or sorted(RESULTS.glob("*.json")))
    if not rendered:
        raise ResultError(f"no accuracy or latency results in {RESULTS}; 'fer-edge bench accuracy' writes one")
    if write is None:
        click.echo("\n\n".join(rendered.values()))
        return
    replace(write, rendered)
    click.echo(f"wrote {', '.join(rendered)} into {write}", err=True)


def tables(paths: list[Path]) -> dict[str, str]:
    """By kind, one table per result file with a line above that says what it was measured on."""
    parts = defaultdict(list)
    for path in paths:
        result = read(path)
        if result["kind"] in _RENDER:  # other kinds have their own pages
            parts[result["kind"]].append(_RENDER[result["kind"]](result))
    return {kind: "\n\n".join(parts[kind]) for kind in _RENDER if kind in parts}


def insert(page: str, rendered: dict[str, str]) -> str:
    """The page with each `<!-- table:KIND -->` … `<!-- /table -->` filled; a kind without results stays as it is."""
    return _MARKER.sub(
        lambda found: f"{found[1]}{rendered[found[2]]}\n{found[3]}" if found[2] in rendered else found[0], page
    )


def replace(path: Path, rendered: dict[str, str]) -> None:
    """Fill a page's tables on disk, complete or not at all; ResultError where it has no marker for one."""
    try:
        page = path.read_text("utf-8")
    except OSError as error:
        raise ResultError(f"{path} cannot be read: {error.strerror}; expected a Markdown page") from None
    missing = rendered.keys() - {found[1] for found in _MARKER.findall(page)}
    if missing:
        raise ResultError(
            f"{path} has no place for {', '.join(sorted(missing))}; "
            "expected <!-- table:KIND --> and <!-- /table --> on lines of their own"
        )
    write_bytes(path, insert(page, rendered).encode())


def _accuracy(result: dict[str, Any]) -> str:
    data = result["data"]
    head = f"{data['name']}, split `{data['split']}`, {data['pictures']} pictures; {_machine(result)}"
    rows = [
        (
            row["model"],
            row["runtime"],
            _mib(row["bytes"]),
            f"{100 * row['accuracy']:.2f} %",
            f"{100 * row['balanced_accuracy']:.2f} %",
            f"{row['ece']:.3f}",
        )
        for row in result["rows"]
    ]
    columns = ("model", "runtime", "files", "accuracy", "balanced", "calibration error")
    return f"{head}\n\n{_markdown(columns, rows)}"


def _latency(result: dict[str, Any]) -> str:
    head = f"Milliseconds for one face, {result['runs']} calls after {result['warmup']}; {_machine(result)}"
    rows = [
        (
            row["model"],
            str(row["threads"]),
            f"{row['open']:.1f}",
            f"{row['first']:.1f}",
            *(f"{row['classifier'][name]:.2f}" for name in ("p50", "p90", "p99")),
            *(f"{row[name]['p50']:.2f}" if name in row else "–" for name in ("invoke", "frame")),
            f"{row['ratio']:.2f}",
            f"{row['peak_mib']:.0f} MiB" if row["peak_mib"] else "–",
        )
        for row in result["rows"]
    ]
    columns = ("model", "threads", "open", "first", "p50", "p90", "p99", "invoke", "frame", "ratio", "peak memory")
    return f"{head}\n\n{_markdown(columns, rows)}"


def _machine(result: dict[str, Any]) -> str:
    machine = result["machine"]
    software = ", ".join(
        f"{name} {found}" for name, found in machine["packages"].items() if name in ("ai-edge-litert", "tflite-runtime")
    )
    parts = [
        machine["model"] or machine["cpu"],
        f"{machine['cores']} cores",
        machine["os"],
        f"Python {machine['python']}",
        software,
        machine["date"][:10],
    ]
    return f"{', '.join(part for part in parts if part)}."


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"


def _markdown(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A GitHub table; the first column left, the others right."""
    lines = ["| " + " | ".join(columns) + " |", "|---" + "|--:" * (len(columns) - 1) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


_RENDER = {"accuracy": _accuracy, "latency": _latency}
