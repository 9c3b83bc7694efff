"""Accuracy under degradation: robustness of the models to light, noise, blur, compression, occlusion and rotation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmarks.fixtures.degradations import DEGRADATIONS
from fer_edge.benchmarks.options import figure_file, labelled_pictures, one_thread, result_file
from fer_edge.benchmarks.results_io.machine import condition
from fer_edge.benchmarks.results_io.record import RecordedCommand, default_models, identity, load_split, write
from fer_edge.edge.expression.classifier import TFLiteClassifier
from fer_edge.edge.expression.ensemble import open_classifier, read_cascade
from fer_edge.edge.files.writing import write_bytes
from fer_edge.edge.pipeline import PipelineOptions
from fer_edge.edge.terminal import track
from fer_edge.edge.tflite.interpreter import runtime
from fer_edge.train.data.options import DataOptions
from fer_edge.train.data.splits import Split
from fer_edge.train.evaluation.figures import figure, png, tidy


@click.command(cls=RecordedCommand)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@labelled_pictures
@one_thread
@figure_file
@result_file
def robustness(
    models: tuple[str, ...],
    data_options: DataOptions,
    pipeline_options: PipelineOptions,
    limit: int | None,
    plot: Path | None,
    out: Path | None,
) -> None:
    """Measure the accuracy of MODELs (default: the shipped ones and the ensemble) on degraded pictures.

    Nine kinds of degradation at five strengths; an ensemble is measured with early exit too.
    """
    specs = models or default_models()
    part, described = load_split(data_options, limit)
    before = condition()
    rows = _measure(specs, part, pipeline_options.threads)
    here = runtime()
    shared = {"data": described, "runtime": f"{here.name} {here.version}", "before": before, "after": condition()}
    path = write("robustness", {**shared, "rows": rows}, out)
    if plot:
        write_bytes(plot, curves(rows))
    for row in rows:
        losses = {name: row["accuracy"] - accuracies[-1] for name, accuracies in row["degraded"].items()}
        worst = max(losses, key=lambda name: losses[name])
        click.echo(
            f"{row['model']:28} {100 * row['accuracy']:6.2f} %, {_mean(row):6.2f} % degraded, least under {worst}"
        )
    click.echo(f"wrote {path}", err=True)


class _Variant(NamedTuple):
    """A model, or an ensemble with early exit: its figures, its members, their (M, N, 7) logits to (N, 7) scores."""

    figures: dict[str, Any]
    members: list[TFLiteClassifier]
    fuse: Callable[[NDArray[np.float32]], NDArray[np.float32]]


def _measure(specs: tuple[str, ...], part: Split, threads: int) -> list[dict[str, Any]]:
    """A row per model: accuracy, and accuracy at each strength of each degradation; the same with early exit."""
    classifiers = [open_classifier(spec, threads) for spec in specs]
    rows = [identity(spec) for spec in specs]
    variants = [_Variant(row, each.members, each.fuse) for row, each in zip(rows, classifiers, strict=True)]
    for spec, row, each in zip(specs, rows, classifiers, strict=True):
        if cascade := read_cascade(spec):
            row["early_exit"] = {}
            variants.append(_Variant(row["early_exit"], each.members, each.cascade(cascade).scores_from_logits))
    for variant, accuracy in zip(variants, _accuracies(variants, part, part.faces), strict=True):
        variant.figures.update({"accuracy": accuracy, "degraded": {name: [] for name in DEGRADATIONS}})
    steps = [(name, strength) for name, kind in DEGRADATIONS.items() for strength in kind.strengths]
    for name, strength in track(steps, "degradations", len(steps)):
        degraded = DEGRADATIONS[name](part.faces, strength)
        for variant, accuracy in zip(variants, _accuracies(variants, part, degraded), strict=True):
            variant.figures["degraded"][name].append(accuracy)
    return rows


def _accuracies(variants: list[_Variant], part: Split, faces: NDArray[np.uint8]) -> list[float]:
    """The accuracy of each variant; a network that several of them share runs once."""
    members = {member.path: member for variant in variants for member in variant.members}
    logits = {path: member.logits(faces) for path, member in members.items()}
    scores = [variant.fuse(np.stack([logits[member.path] for member in variant.members])) for variant in variants]
    return [round(float(np.mean(each.argmax(axis=1) == part.labels)), 5) for each in scores]


def _mean(row: dict[str, Any]) -> float:
    return 100 * float(np.mean(list(row["degraded"].values())))


def curves(rows: list[dict[str, Any]]) -> bytes:
    """One plot per degradation: accuracy over strength, a line per model, dashed with early exit; a PNG."""
    canvas = figure(10, 8)
    plots = canvas.subplots(3, 3, sharey=True)
    lines = [(row["model"], row, "-") for row in rows]
    lines += [(f"{row['model']}, early exit", row["early_exit"], "--") for row in rows if "early_exit" in row]
    for axis, (name, kind) in zip(plots.flat, DEGRADATIONS.items(), strict=True):
        for label, figures, style in lines:
            bold = label == "ensemble"
            axis.plot(
                range(6),
                [100 * accuracy for accuracy in (figures["accuracy"], *figures["degraded"][name])],
                style,
                marker="o",
                ms=3,
                lw=2.4 if bold else 1.2,
                zorder=3 if bold else 2,
                label=label,
            )
        axis.set_xticks(range(6), ["none", *(f"{strength:g}" for strength in kind.strengths)])
        axis.set_title(name)
        axis.set_xlabel(kind.unit)
        tidy(axis).set_ylim(0, 80)
    for axis in plots[:, 0]:
        axis.set_ylabel("accuracy, %")
    plots[0, 0].legend(frameon=False, fontsize=8)
    return png(canvas)
