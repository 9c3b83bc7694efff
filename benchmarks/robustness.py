"""Accuracy under degradations: how much light, noise, blur and angle the models bear."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmarks.fixtures.degradations import DEGRADATIONS
from fer_edge.benchmarks.options import labelled_pictures, picture_file, result_file
from fer_edge.benchmarks.results_io.machine import condition
from fer_edge.benchmarks.results_io.record import Recorded, default_models, identity, labelled, write
from fer_edge.edge.expression.classifier import TFLiteClassifier
from fer_edge.edge.expression.ensemble import open_classifier, read_cascade
from fer_edge.edge.files import write_bytes
from fer_edge.edge.terminal import track
from fer_edge.edge.tflite.interpreter import runtime
from fer_edge.train.data.splits import Split
from fer_edge.train.evaluation.figures import figure, png, tidy


@click.command(cls=Recorded)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@labelled_pictures
@click.option("--threads", type=click.IntRange(1), default=1, help="Interpreter threads.")
@picture_file
@result_file
def robustness(
    models: tuple[str, ...],
    data: Path,
    split: str,
    threads: int,
    limit: int | None,
    plot: Path | None,
    out: Path | None,
) -> None:
    """Measure MODELs' accuracy (default: the shipped ones) on degraded pictures, nine kinds at five strengths."""
    specs = models or default_models()
    part, described = labelled(data, split, limit)
    before = condition()
    rows = _measure(specs, part, threads)
    here = runtime()
    about = {"data": described, "runtime": f"{here.name} {here.version}", "before": before, "after": condition()}
    path = write("robustness", {**about, "rows": rows}, out)
    if plot:
        write_bytes(plot, curves(rows))
    for row in rows:
        lost = {name: row["accuracy"] - found[-1] for name, found in row["degraded"].items()}
        worst = max(lost, key=lambda name: lost[name])
        click.echo(
            f"{row['model']:28} {100 * row['accuracy']:6.2f} %, {_mean(row):6.2f} % degraded, least under {worst}"
        )
    click.echo(f"wrote {path}", err=True)


def _measure(specs: tuple[str, ...], part: Split, threads: int) -> list[dict[str, Any]]:
    """A row per model: its accuracy, and by degradation the accuracy at each strength; the same of its cascade."""
    classifiers = [open_classifier(spec, threads) for spec in specs]
    rows = [identity(spec) for spec in specs]
    ways: list[_Way] = [(row, each.members, each.fuse) for row, each in zip(rows, classifiers, strict=True)]
    for spec, row, each in zip(specs, rows, classifiers, strict=True):
        if cascade := read_cascade(spec):
            row["early_exit"] = {}
            ways.append((row["early_exit"], each.members, each.cascade(cascade).scores_from_logits))
    for (found, _, _), accuracy in zip(ways, _accuracies(ways, part, part.faces), strict=True):
        found |= {"accuracy": accuracy, "degraded": {name: [] for name in DEGRADATIONS}}
    steps = [(name, strength) for name, kind in DEGRADATIONS.items() for strength in kind.strengths]
    for name, strength in track(steps, "degradations", len(steps)):
        degraded = DEGRADATIONS[name](part.faces, strength)
        for (found, _, _), accuracy in zip(ways, _accuracies(ways, part, degraded), strict=True):
            found["degraded"][name].append(accuracy)
    return rows


_Way = tuple[dict[str, Any], list[TFLiteClassifier], Callable[[NDArray[np.float32]], NDArray[np.float32]]]
"""Where to put what was found; members; their (M, N, 7) logits to (N, 7) probabilities."""


def _accuracies(ways: list[_Way], part: Split, faces: NDArray[np.uint8]) -> list[float]:
    """The accuracy each way; a network that several of them share runs once."""
    members = {member.path: member for _, each, _ in ways for member in each}
    logits = {path: member.logits(faces) for path, member in members.items()}
    answers = [fuse(np.stack([logits[member.path] for member in each])) for _, each, fuse in ways]
    return [round(float(np.mean(scores.argmax(axis=1) == part.labels)), 5) for scores in answers]


def _mean(row: dict[str, Any]) -> float:
    return 100 * float(np.mean(list(row["degraded"].values())))


def curves(rows: list[dict[str, Any]]) -> bytes:
    """One small plot per degradation, accuracy over strength, a line per model, dashed for a cascade; a PNG."""
    drawn = figure(10, 8)
    plots = drawn.subplots(3, 3, sharey=True)
    lines = [(row["model"], row, "-") for row in rows]
    lines += [(f"{row['model']}, cascade", row["early_exit"], "--") for row in rows if "early_exit" in row]
    for axis, (name, kind) in zip(plots.flat, DEGRADATIONS.items(), strict=True):
        for label, found, style in lines:
            bold = label == "ensemble"
            axis.plot(
                range(6),
                [100 * accuracy for accuracy in (found["accuracy"], *found["degraded"][name])],
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
    return png(drawn)
