"""Figures of result files, as PNGs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fer_edge.benchmarks import early_exit, robustness, stability
from fer_edge.benchmarks.detection import figure as detection
from fer_edge.benchmarks.layers import KINDS
from fer_edge.benchmarks.soak import figure as soak
from fer_edge.train.evaluation.figures import figure, png, tidy

PART_COLOURS = (*(f"C{index}" for index in range(10)), "#1f2328", "#afb8c1")
"""Colours of a bar's parts: matplotlib's ten and two more."""


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


def pareto(results: list[dict[str, Any]]) -> bytes | None:
    """Accuracy over median latency of the models that have both; a PNG."""
    points = accuracy_and_latency(results)
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


def accuracy_and_latency(results: list[dict[str, Any]]) -> dict[str, tuple[float, float]]:
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


FIGURES: tuple[tuple[str, str, Callable[[dict[str, Any]], bytes | None]], ...] = (
    ("latency", "Distribution of latency", distribution),
    ("layers", "Time by kind of operator", kinds),
    ("pipeline", "Stages of a frame", stages),
    ("early-exit", "Accuracy over mean time", early_exit.curve),
    ("detection", "Face detection", lambda result: detection.curves(result["rows"])),
    ("soak", "A long run with everything on", soak.curves),
    ("robustness", "Accuracy under degradation", lambda result: robustness.curves(result["rows"])),
    ("stability", "Prediction stability", lambda result: stability.chart(result["rows"])),
)
"""Kind of result, title, and the function that draws the figure, or returns None where the result lacks its data."""
