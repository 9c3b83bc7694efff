"""The table of the README: each shipped model's accuracy, size and speed beside PyPI's `fer`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fer_edge.benchmarks.results_io.tables.markdown import (
    NOT_MEASURED,
    filled,
    interval_text,
    markdown,
    measured_on,
    rows_accuracy,
)
from fer_edge.train.evaluation.intervals import ratio_interval
from fer_edge.train.evaluation.row_sets import CLEAN

COLUMNS = (
    "model",
    "accuracy, %",
    "on clean rows, %",
    "file size, MiB",
    "ms per face, p50",
    "ms per frame, mean",
    "faster than fer",
)

NOTE = (
    "Per face: a 48-pixel crop to probabilities, one thread. Per frame: a 640x480 clip of one face, one core, "
    "in turns; most of it is face detection. Faster than fer: its time per frame over this row's. "
    "In brackets: 95 % intervals."
)

CLEAN_NOTE = "Clean rows: their photograph is not in Training."


def summary(results: Sequence[dict[str, Any]]) -> str:
    """One table per machine that has an accuracy and a latency result.

    Args:
        results: Result files' contents; results of the kinds "peers" and "early-exit" add the rows and columns that
            only they can fill.

    Returns:
        Markdown; empty where no machine has both kinds.
    """
    machines: dict[str, dict[str, dict[str, Any]]] = {}
    for result in results:
        name = result["machine"]["model"] or result["machine"]["cpu"]
        machines.setdefault(name, {})[result["kind"]] = result
    return "\n\n".join(_table(kinds) for kinds in machines.values() if kinds.keys() >= {"accuracy", "latency"})


def _table(kinds: dict[str, dict[str, Any]]) -> str:
    frames = {row["name"]: row for row in kinds["peers"]["rows"]} if "peers" in kinds else {}
    accuracy = kinds["accuracy"]["rows"]
    runtime = accuracy[0]["runtime"]
    latency = {
        row["model"]: row["classifier"]
        for row in kinds["latency"]["rows"]
        if (row["threads"], row["runtime"]) == (1, runtime)
    }
    rows = [
        (*_cells(row, latency[row["model"]]), *_frame(row["model"], frames))
        for row in accuracy
        if row["runtime"] == runtime and not row["flip"] and row["model"] in latency
    ]
    for row in kinds.get("early-exit", {"rows": ()})["rows"]:
        if row["mode"] == "early exit":
            named = {**row, "model": f"{row['model']}, as in `fer-edge run`"}
            rows.append((*_cells(named, row["ms"]), *_frame("run", frames)))
    notes = [NOTE, CLEAN_NOTE] if any(CLEAN in row.get("rows", {}) for row in accuracy) else [NOTE]
    if fer := frames.get("fer"):
        rows.append((*_cells({**fer, "model": "fer"}, fer["classifier"]), *_frame("fer", frames)))
        package, pictures = fer["package"].split(",")[0], kinds["peers"]["data"]["pictures"]
        notes.append(f"`{package}`: accuracy on the first {pictures} pictures; per face, its network alone.")
    return f"{runtime}, {measured_on(kinds['accuracy'])}\n\n{markdown(*filled(COLUMNS, rows))}\n\n{' '.join(notes)}"


def _cells(row: dict[str, Any], times: dict[str, float]) -> tuple[str, ...]:
    size = f"{row['bytes'] / 2**20:.1f}" if "bytes" in row else NOT_MEASURED
    return row["model"], f"{100 * row['accuracy']:.2f}", rows_accuracy(row, CLEAN), size, f"{times['p50']:.2f}"


def _frame(name: str, frames: dict[str, dict[str, Any]]) -> tuple[str, str]:
    """The mean time of a frame, and how many times as long fer takes for it."""
    if name not in frames:
        return NOT_MEASURED, NOT_MEASURED
    row, fer = frames[name], frames.get("fer")
    mean = row["frame"]["mean"]
    if fer is None:
        return f"{mean:.1f}", NOT_MEASURED
    interval = ratio_interval(fer["rounds"], row["rounds"], paired=True, average=np.mean)
    return f"{mean:.1f}", interval_text(fer["frame"]["mean"] / mean, interval, 1)
