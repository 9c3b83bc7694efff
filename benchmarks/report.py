"""Result files as one self-contained HTML page with tables and figures."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from fer_edge.benchmarks import early_exit, robustness
from fer_edge.benchmarks.layers import KINDS
from fer_edge.benchmarks.results_io.record import RESULTS, ResultError, read
from fer_edge.benchmarks.table import published, tables
from fer_edge.edge.files import write_bytes
from fer_edge.train.evaluation.figures import figure, png, tidy

TITLES = {
    "summary": "Accuracy, size and speed",
    "accuracy": "Accuracy",
    "quantization": "Cost of int8",
    "recall": "Confusions",
    "robustness": "Robustness",
    "early-exit": "Early exit",
    "latency": "Latency",
    "batching": "Several faces at once",
    "layers": "Time per kind of layer",
    "start": "Start-up",
    "pipeline": "The whole pipeline",
    "sustained": "Sustained load",
    "peers": "Other packages",
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

PART_COLOURS = (*(f"C{index}" for index in range(10)), "#1f2328", "#afb8c1")
"""Colours of a bar's parts: matplotlib's ten and two more."""


@click.command()
@click.argument("results", nargs=-1, type=click.Path(path_type=Path), metavar="[RESULT.json]...")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="HTML page to write.")
def report(results: tuple[Path, ...], out: Path) -> None:
    """Make one HTML page with tables and figures from RESULT files (default: as 'fer-edge bench table')."""
    paths = list(results) or sorted(RESULTS.glob("*.json"))
    rendered = tables(results) if results else published()
    if not rendered:
        raise ResultError(f"no results with a table in {RESULTS}; 'fer-edge bench accuracy' writes one")
    write_bytes(out, page(rendered, [read(path) for path in paths]).encode())
    click.echo(f"wrote {out}", err=True)


def page(rendered: dict[str, str], results: list[dict[str, Any]]) -> str:
    """The page's HTML, its figures embedded.

    Args:
        rendered: Markdown tables by name, as `benchmarks.table` makes them.
        results: The result files' contents, which the figures are drawn from.
    """
    images: dict[str, list[str]] = {}
    for result in results:
        for kind, title, draw in _FIGURES:
            if kind == result["kind"] and (png_bytes := draw(result)) is not None:
                images.setdefault(kind, []).append(_image(png_bytes, title))
    pareto = _pareto(results)
    if pareto is not None:
        images.setdefault("latency", []).append(_image(pareto, "Accuracy over latency"))
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
    """Tables, paragraphs and `code` as benchmarks.table writes them; no other Markdown."""
    blocks = []
    for block in re.split(r"\n{2,}", markdown):
        lines = block.splitlines()
        if not lines[0].startswith("|"):
            blocks.append(f"<p>{html.escape(block)}</p>")
            continue
        rows = [[html.escape(cell.strip()) for cell in line.strip("|").split("|")] for line in lines]
        head = "".join(f"<th>{cell}</th>" for cell in rows[0])
        body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>\n" for row in rows[2:])
        blocks.append(f"<div class=wide><table>\n<tr>{head}</tr>\n{body}</table></div>")
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", "\n".join(blocks))


# --- figures -----------------------------------------------------------------------------------------------------


def distribution(result: dict[str, Any]) -> bytes | None:
    """Cumulative distribution of the milliseconds per face, a line per model and thread count; a PNG."""
    rows = [row for row in result["rows"] if "percentiles" in row["classifier"]]
    if not rows:
        return None
    canvas = figure(7.5, 4)
    axis = tidy(canvas.subplots())
    runtimes = {row["runtime"] for row in rows}
    for row in rows:
        label = ", ".join([row["model"], f"{row['threads']} thr", *([row["runtime"]] if len(runtimes) > 1 else [])])
        axis.plot(row["classifier"]["percentiles"], range(101), label=label, lw=1.5)
    axis.set_xscale("log")
    axis.set_xlabel("ms per face, crop to probabilities")
    axis.set_ylabel("share of calls, %")
    axis.legend(frameon=False, fontsize=8)
    return png(canvas)


def stages(result: dict[str, Any]) -> bytes | None:
    """Mean milliseconds per stage, a bar per clip; classification is split into its models and the rest; a PNG."""
    names = [f"{row['width']}x{row['height']}, {row['faces']} faces, {row['threads']} thr" for row in result["rows"]]
    models = dict.fromkeys(name for row in result["rows"] for name in row["models"])
    parts = ("capture", "detect", "track", "crop", *models, "fuse", "smooth", "draw", "sink")
    return _bars(names, {part: [ms_per_frame(row, part) for row in result["rows"]] for part in parts}, "ms per frame")


def ms_per_frame(row: dict[str, Any], part: str) -> float:
    """Mean milliseconds per frame of a stage or a model, over all frames of a pipeline result's row."""
    if part in row["stages"]:
        return float(row["stages"][part]["mean"])
    calls = row["models"].get(part, {"mean": 0.0, "count": 0})
    return float(calls["mean"] * calls["count"] / row["stages"]["capture"]["count"])


def kinds(result: dict[str, Any]) -> bytes | None:
    """Milliseconds per kind of operator, a bar per network; a PNG."""
    names = [f"{row['model']}, {row['threads']} thr" for row in result["rows"]]
    # differences of two measurements may come out below 0
    parts = {kind: [max(0.0, row["kinds"][kind]["ms"]) for row in result["rows"]] for kind in KINDS}
    return _bars(names, parts, "ms per invocation")


def _bars(names: list[str], parts: dict[str, list[float]], unit: str) -> bytes:
    """Stacked horizontal bars, one per name; a PNG."""
    canvas = figure(9, 0.55 * len(names) + 1.4)
    axis = tidy(canvas.subplots())
    left = [0.0] * len(names)
    for index, (part, lengths) in enumerate(parts.items()):
        axis.barh(names, lengths, left=left, label=part, color=PART_COLOURS[index])
        left = [start + length for start, length in zip(left, lengths, strict=True)]
    axis.invert_yaxis()
    axis.set_xlabel(unit)
    axis.legend(frameon=False, fontsize=8, ncols=min(6, len(parts)), loc="lower center", bbox_to_anchor=(0.4, 1.0))
    return png(canvas)


def _pareto(results: list[dict[str, Any]]) -> bytes | None:
    """Accuracy over median latency of the models that have both; a PNG."""
    points = accuracy_at(results)
    if not points:
        return None
    canvas = figure(6, 4)
    axis = tidy(canvas.subplots())
    for name, (x, y) in points.items():
        axis.plot(x, y, "o", ms=8)
        axis.annotate(name, (x, y), xytext=(8, 4), textcoords="offset points")
    axis.set_xlim(0, 1.35 * max(x for x, _ in points.values()))
    axis.set_xlabel("ms per face, p50, one thread")
    axis.set_ylabel("accuracy, %")
    return png(canvas)


def accuracy_at(results: list[dict[str, Any]]) -> dict[str, tuple[float, float]]:
    """By model, its median milliseconds with one thread and its accuracy in percent, both with LiteRT."""
    accuracy = {
        row["model"]: row["accuracy"]
        for result in results
        if result["kind"] == "accuracy"
        for row in result["rows"]
        if not row["flip"] and row["runtime"].startswith("LiteRT")
    }
    return {
        row["model"]: (row["classifier"]["p50"], 100 * accuracy[row["model"]])
        for result in results
        if result["kind"] == "latency"
        for row in result["rows"]
        if row["threads"] == 1 and row["model"] in accuracy and row["runtime"].startswith("LiteRT")
    }


_FIGURES: tuple[tuple[str, str, Callable[[dict[str, Any]], bytes | None]], ...] = (
    ("latency", "Distribution of latency", distribution),
    ("layers", "Time by kind of operator", kinds),
    ("pipeline", "Stages of a frame", stages),
    ("early-exit", "Accuracy over mean time", early_exit.curve),
    ("robustness", "Accuracy under degradation", lambda result: robustness.curves(result["rows"])),
)
