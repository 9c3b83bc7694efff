"""Prediction stability: how often a face keeps its label when the camera changes its picture slightly."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmarks.fixtures.views import VIEWS, view
from fer_edge.benchmarks.options import figure_file, labelled_pictures, result_file
from fer_edge.benchmarks.results_io.machine import condition
from fer_edge.benchmarks.results_io.modes import modes
from fer_edge.benchmarks.results_io.record import RecordedCommand, default_models, load_split, write
from fer_edge.benchmarks.scoring import Change, open_networks, open_variants, scores, unchanged, workers_option
from fer_edge.edge.files.writing import write_bytes
from fer_edge.edge.tflite.interpreter import runtime
from fer_edge.train.data.options import DataOptions
from fer_edge.train.data.splits import Split
from fer_edge.train.evaluation.figures import figure, png, tidy
from fer_edge.train.evaluation.intervals import mean_interval, share_interval

CONFIDENT = 0.6
"""Confidence above which an answer should hardly ever change."""

TITLES = {
    "same_label": "same label",
    "confident_changed": f"above {100 * CONFIDENT:g} % and changed",
}
"""The shares of all faces that are printed and drawn, with their titles."""


@click.command(cls=RecordedCommand)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@labelled_pictures
@workers_option
@figure_file
@result_file
def stability(
    models: tuple[str, ...],
    data_options: DataOptions,
    limit: int | None,
    workers: int,
    plot: Path | None,
    out: Path | None,
) -> None:
    """Measure how often MODELs (default: the shipped ones and the ensemble) keep a label when the picture changes.

    Each face is mirrored, shifted, scaled, made darker and lighter, compressed, blurred, made noisy and small. The data
    set's labels count for the accuracy of each change alone. An ensemble is measured with early exit too.

    An answer changes where the changed face has another most probable class than the unchanged one. Printed are, as
    means over the changes, the share of faces that keep their label, and the share of all faces whose answer was above
    60 % on the unchanged face and changes; the same as a share of the answers above 60 % is in the result file.
    """
    specs = models or default_models()
    part, described = load_split(data_options, limit)
    before = condition()
    rows = _measure(specs, part, workers)
    here = runtime()
    shared = {"data": described, "runtime": f"{here.name} {here.version}", "before": before, "after": condition()}
    path = write("stability", {**shared, "confident_above": CONFIDENT, "rows": rows}, out)
    if plot:
        write_bytes(plot, chart(rows))
    for name, figures in modes(rows):
        shares = (f"{title} {_text(figures['mean'][measured])}" for measured, title in TITLES.items())
        click.echo(f"{name:28} {', '.join(shares)}")
    click.echo(f"wrote {path}", err=True)


def _text(figure: dict[str, Any]) -> str:
    low, high = figure["interval"]
    return f"{100 * figure['share']:5.2f} % [{100 * low:.2f}, {100 * high:.2f}]"


def _measure(specs: tuple[str, ...], part: Split, workers: int) -> list[dict[str, Any]]:
    """A row per model with its figures, and with those of early exit."""
    rows, variants = open_variants(specs, part.classes)
    networks = [open_networks(variants, part.classes) for _ in range(workers)]
    changes: list[Change] = [unchanged, *(partial(view, name) for name in VIEWS)]
    first, *others = scores(variants, networks, part.faces, changes, "views")
    for index, variant in enumerate(variants):
        labels = np.stack([each[index].argmax(axis=1) for each in others])  # (views, N)
        variant.figures.update(stability_figures(first[index], labels, part.labels))
    return rows


def stability_figures(
    unchanged: NDArray[np.floating], labels: NDArray[np.integer], truth: NDArray[np.integer]
) -> dict[str, Any]:
    """Count the faces that keep their label, and those whose confident answer changes.

    Args:
        unchanged: (N, 7) scores of the unchanged faces.
        labels: (views, N) predicted classes of the changed ones, in the order of VIEWS.
        truth: (N,) classes of the data set.

    Returns:
        "faces" and "confident", the numbers of faces in all and of those whose unchanged answer is above CONFIDENT; by
        name of the view, and as "mean" over the views: "same_label" and "confident_changed", shares of all faces, and
        "changed_of_confident", the share of the confident answers that change, and "accuracy", each with its 95 %
        interval and, for a view, the count that it is made from. "accuracy" without a view is that of unchanged faces.
    """
    confident = unchanged.max(axis=1) > CONFIDENT  # (N,)
    same = labels == unchanged.argmax(axis=1)  # (views, N)
    tallies = {
        "same_label": same,
        "confident_changed": confident & ~same,
        "changed_of_confident": ~same[:, confident],
        "accuracy": labels == truth,
    }
    return {
        "accuracy": _share(unchanged.argmax(axis=1) == truth),
        "faces": len(confident),
        "confident": int(confident.sum()),
        "mean": {name: _mean(tally) for name, tally in tallies.items()},
        "views": {
            view_name: {name: _share(tally[index]) for name, tally in tallies.items()}
            for index, view_name in enumerate(VIEWS)
        },
    }


def _share(hits: NDArray[np.bool_]) -> dict[str, Any]:
    """Share and count of the faces that hit, with Wilson's interval."""
    count = int(hits.sum())
    return {"count": count, **_rounded(count / max(1, len(hits)), share_interval(count, len(hits)))}


def _mean(tally: NDArray[np.bool_]) -> dict[str, Any]:
    """The mean over views and faces, with a bootstrap interval over the faces; 0 to 1 where there is no face."""
    if not tally.size:
        return _rounded(0.0, (0.0, 1.0))
    low, high = mean_interval(tally.sum(axis=0))
    return _rounded(float(tally.mean()), (low / len(tally), high / len(tally)))


def _rounded(share: float, interval: tuple[float, float]) -> dict[str, Any]:
    return {"share": round(share, 5), "interval": [round(end, 5) for end in interval]}


def chart(rows: list[dict[str, Any]]) -> bytes:
    """Both shares for each view and as a mean, a mark per model with its 95 % interval; a PNG.

    Args:
        rows: The rows of a result of this benchmark.
    """
    lines = modes(rows)
    names = [*lines[0][1]["views"], "mean"]
    canvas = figure(10, 0.42 * len(names) + 1.6)
    plots = canvas.subplots(1, len(TITLES), sharey=True)
    for axis, (measured, title) in zip(plots, TITLES.items(), strict=True):
        for index, (model, figures) in enumerate(lines):
            shares = [figures["views"][name][measured] for name in names[:-1]] + [figures["mean"][measured]]
            values = 100 * np.array([each["share"] for each in shares])
            ends = 100 * np.array([each["interval"] for each in shares]).T  # (2, views + 1)
            heights = np.arange(len(names)) + 0.13 * (index - (len(lines) - 1) / 2)
            errors = np.clip([values - ends[0], ends[1] - values], 0, None)
            axis.errorbar(values, heights, xerr=errors, fmt="o", ms=4, lw=1.1, label=model)
        axis.set_yticks(range(len(names)), names)
        axis.axhline(len(names) - 1.5, color="#afb8c1", lw=0.8)
        axis.set_xlabel(f"{title}, % of the faces")
        tidy(axis)
    plots[0].set_xlim(right=100)
    plots[1].set_xlim(left=0)
    plots[0].set_ylim(len(names) - 0.5, -0.5)
    canvas.legend(*plots[0].get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False, fontsize=8)
    return png(canvas)
