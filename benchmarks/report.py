"""Result files as one self-contained HTML page with tables and figures."""

from __future__ import annotations

import base64
import html
import re
from pathlib import Path
from typing import Any

import click

from fer_edge.benchmarks.options import OutputFile
from fer_edge.benchmarks.report_figures import FIGURES, pareto
from fer_edge.benchmarks.results_io.record import RESULTS, ResultError, complete, read
from fer_edge.benchmarks.table import published, tables
from fer_edge.edge.files.writing import write_bytes

TITLES = {
    "summary": "Accuracy, size and speed",
    "accuracy": "Accuracy",
    "quantization": "Cost of int8",
    "recall": "Confusions",
    "robustness": "Robustness",
    "robustness-means": "Robustness, means",
    "stability": "Prediction stability",
    "early-exit": "Early exit",
    "latency": "Latency",
    "batching": "Several faces at once",
    "layers": "Time per kind of layer",
    "start": "Start-up",
    "archive": "Archives",
    "evaluation": "Evaluation on several cores",
    "cluster": "Archives on Dask",
    "pipeline": "The whole pipeline",
    "sustained": "Sustained load",
    "page": "The live page",
    "peers": "Other packages",
    "arm-instructions": "Instructions on Arm",
    "detection": "Face detection",
    "detection-size": "Face detection by size",
    "detection-tilt": "Face detection by tilt",
}

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; color: #1f2328 }
h1, h2 { line-height: 1.2 } h2 { margin-top: 3rem }
.wide { overflow-x: auto } img { max-width: 100%; background: #fff }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 1rem 0 }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid #d0d7de; white-space: nowrap }
th:first-child, td:first-child { text-align: left } code { background: #f6f8fa; padding: .1rem .3rem }
@media (prefers-color-scheme: dark) { body { background: #0d1117; color: #e6edf3 } th, td { border-color: #30363d }
code { background: #161b22 } a { color: #4493f8 } }
"""


@click.command()
@click.argument("results", nargs=-1, type=click.Path(path_type=Path), metavar="[RESULT.json]...")
@click.option(
    "--out",
    cls=OutputFile,
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="HTML page to write.",
)
def report(results: tuple[Path, ...], out: Path) -> None:
    """Make one HTML page with tables and figures from RESULT files (default: as 'fer-edge bench table')."""
    paths = list(results) or sorted(RESULTS.glob("*.json"))
    rendered = tables(results) if results else published()
    if not rendered:
        raise ResultError(f"no results with a table in {RESULTS}; 'fer-edge bench accuracy' writes one")
    with complete(*paths):
        text = page(rendered, [read(path) for path in paths])
    write_bytes(out, text.encode())
    click.echo(f"wrote {out}", err=True)


def page(rendered: dict[str, str], results: list[dict[str, Any]]) -> str:
    """The page's HTML, its figures embedded.

    Args:
        rendered: Markdown tables by name, as `benchmarks.table` makes them.
        results: The result files' contents, which the figures are drawn from.
    """
    images: dict[str, list[str]] = {}
    for result in results:
        for kind, title, draw in FIGURES:
            if kind == result["kind"] and (png_bytes := draw(result)) is not None:
                images.setdefault(kind, []).append(_image(png_bytes, title))
    scatter = pareto(results)
    if scatter is not None:
        images.setdefault("latency", []).append(_image(scatter, "Accuracy over latency"))
    sections = [
        f"<h2 id={name}>{TITLES[name]}</h2>\n{_html(rendered[name])}\n{''.join(images.get(name, []))}"
        for name in TITLES
        if name in rendered
    ]
    commands = "".join(f"<li>{_provenance(result)}</li>" for result in results)
    return (
        "<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n<meta name=viewport content='width=device-width'>\n"
        f"<title>fer-edge: measurements</title>\n<style>{STYLE}</style>\n<h1>fer-edge: measurements</h1>\n"
        f"<p>Commands of the measurements, with the git revisions that they were run at:</p>\n<ul>{commands}</ul>\n"
        f"{''.join(sections)}</html>\n"
    )


def _provenance(result: dict[str, Any]) -> str:
    command, revision = html.escape(result.get("command", "")), html.escape(result["machine"].get("git") or "unknown")
    return f"<code>{command}</code> ({revision})"


def _image(png_bytes: bytes, title: str) -> str:
    data = base64.b64encode(png_bytes).decode()
    return f"<p><img alt='{html.escape(title)}' src='data:image/png;base64,{data}'></p>\n"


def _html(markdown: str) -> str:
    """Tables, paragraphs, `code`, *italic* and **bold** cells as benchmarks.table writes them; no other Markdown."""
    blocks = []
    for block in re.split(r"\n{2,}", markdown):
        lines = block.splitlines()
        if not lines[0].startswith("|"):
            blocks.append(f"<p>{html.escape(block)}</p>")
            continue
        rows = [[_cell(cell.strip()) for cell in line.strip("|").split("|")] for line in lines]
        head = "".join(f"<th>{cell}</th>" for cell in rows[0])
        body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>\n" for row in rows[2:])
        blocks.append(f"<div class=wide><table>\n<tr>{head}</tr>\n{body}</table></div>")
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", "\n".join(blocks))


def _cell(markdown: str) -> str:
    """A cell's HTML, `code` aside."""
    bold = re.sub(r"^\*\*(.+)\*\*$", r"<b>\1</b>", html.escape(markdown))
    return re.sub(r"^\*(.+)\*$", r"<i>\1</i>", bold)
