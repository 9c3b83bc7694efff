"""Accuracy under degradations: how much light, noise, blur and angle the models bear."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmarks.degradations import DEGRADATIONS
from fer_edge.benchmarks.machine import condition
from fer_edge.benchmarks.options import labelled_pictures, result_file
from fer_edge.benchmarks.record import Recorded, identity, labelled, shipped, write
from fer_edge.edge.cascade import CascadeClassifier
from fer_edge.edge.classifier import Classifier
from fer_edge.edge.ensemble import Ensemble, open_cascade, open_classifier
from fer_edge.edge.files import write_bytes
from fer_edge.edge.interpreter import runtime
from fer_edge.train.data import Split
from fer_edge.train.figures import figure, needs_matplotlib, png, tidy
from fer_edge.train.progress import Progress


@click.command(cls=Recorded)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@labelled_pictures
@click.option("--threads", type=click.IntRange(1), default=1, help="Interpreter threads.")
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=needs_matplotlib,
    help="Draw the curves too (.png).",
)
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
    specs = models or shipped()
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
    cascades = [open_cascade(spec, threads) for spec in specs]
    rows = [identity(spec) for spec in specs]
    ways = [row for row, cascade in zip(rows, cascades, strict=True) if isinstance(cascade, CascadeClassifier)]
    ways = [*rows, *(row.setdefault("cascade", {}) for row in ways)]
    for way, accuracy in zip(ways, _accuracies(classifiers, cascades, part, part.faces), strict=True):
        way |= {"accuracy": accuracy, "degraded": {name: [] for name in DEGRADATIONS}}
    steps = [(name, strength) for name, kind in DEGRADATIONS.items() for strength in kind.strengths]
    with Progress() as progress:
        for done, (name, strength) in enumerate(steps, start=1):
            found = _accuracies(classifiers, cascades, part, DEGRADATIONS[name](part.faces, strength))
            for way, accuracy in zip(ways, found, strict=True):
                way["degraded"][name].append(accuracy)
            progress("degraded", done, len(steps))
    return rows


def _accuracies(
    classifiers: list[Ensemble], cascades: Sequence[Classifier], part: Split, faces: NDArray[np.uint8]
) -> list[float]:
    """Each classifier's accuracy, then each cascade's; a network that several of them share runs once."""
    logits: dict[Path, NDArray[np.float32]] = {}
    for member in (member for classifier in classifiers for member in classifier.members):
        if member.path not in logits:
            logits[member.path] = member.logits(faces)
    views = [np.stack([logits[member.path] for member in each.members]) for each in classifiers]
    answers = [each.fused(view) for each, view in zip(classifiers, views, strict=True)]
    answers += [
        cascade.answers(partial(_told, view), len(faces))[0]
        for cascade, view in zip(cascades, views, strict=True)
        if isinstance(cascade, CascadeClassifier)
    ]
    return [round(float(np.mean(scores.argmax(axis=1) == part.labels)), 5) for scores in answers]


def _told(view: NDArray[np.float32], member: int, chosen: NDArray[np.int64]) -> NDArray[np.float32]:
    """What a member says of the chosen faces, from (M, N, 7) logits that are there."""
    return np.asarray(view[member, chosen])


def _mean(row: dict[str, Any]) -> float:
    return 100 * float(np.mean(list(row["degraded"].values())))


def curves(rows: list[dict[str, Any]]) -> bytes:
    """One small plot per degradation, accuracy over strength, a line per model; a PNG."""
    drawn = figure(10, 8)
    plots = drawn.subplots(3, 3, sharey=True)
    for axis, (name, kind) in zip(plots.flat, DEGRADATIONS.items(), strict=True):
        for row in rows:
            bold = row["model"] == "ensemble"
            axis.plot(
                range(6),
                [100 * found for found in (row["accuracy"], *row["degraded"][name])],
                marker="o",
                ms=3,
                lw=2.4 if bold else 1.2,
                zorder=3 if bold else 2,
                label=row["model"],
            )
        axis.set_xticks(range(6), ["none", *(f"{strength:g}" for strength in kind.strengths)])
        axis.set_title(name)
        axis.set_xlabel(kind.unit)
        tidy(axis).set_ylim(0, 80)
    for axis in plots[:, 0]:
        axis.set_ylabel("accuracy, %")
    plots[0, 0].legend(frameon=False, fontsize=8)
    return png(drawn)
