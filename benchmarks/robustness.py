"""Accuracy and calibration under degradation: light, noise, blur, compression, occlusion, pose, distance, motion."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import click

from fer_edge.benchmarks.corruption_error import STEPS, relative_errors, robustness_figures
from fer_edge.benchmarks.fixtures.degradations import DEGRADATIONS, GROUPS, HELD_OUT, WORST_AT
from fer_edge.benchmarks.options import figure_file, labelled_pictures, result_file
from fer_edge.benchmarks.peer_scores import open_peer_scores
from fer_edge.benchmarks.peers import PeerOptions
from fer_edge.benchmarks.results_io.machine import condition
from fer_edge.benchmarks.results_io.modes import modes
from fer_edge.benchmarks.results_io.record import RecordedCommand, default_models, load_split, write
from fer_edge.benchmarks.scoring import (
    Change,
    Faces,
    Variant,
    open_networks,
    open_variants,
    scores,
    unchanged,
    workers_option,
)
from fer_edge.edge.config.click_options import options_from
from fer_edge.edge.files.writing import write_bytes
from fer_edge.edge.tflite.interpreter import runtime
from fer_edge.train.data.options import DataOptions
from fer_edge.train.data.splits import Split
from fer_edge.train.evaluation.figures import figure, png, tidy

BASELINE = "fer"
"""The package of `peers` whose errors the models' are relative to."""


@click.command(cls=RecordedCommand)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@labelled_pictures
@click.option(
    "--fer", is_flag=True, help="Measure PyPI's fer too, and the errors of the models relative to its errors."
)
@options_from(PeerOptions, only=("environments",))
@workers_option
@figure_file
@result_file
def robustness(
    models: tuple[str, ...],
    data_options: DataOptions,
    peer_options: PeerOptions,
    fer: bool,
    limit: int | None,
    workers: int,
    plot: Path | None,
    out: Path | None,
) -> None:
    """Measure the accuracy of MODELs (default: the shipped ones and the ensemble) on degraded pictures.

    Twelve kinds of degradation at five strengths, and apart from them three kinds that training does not use; an
    ensemble is measured with early exit too. With --fer, mCE and relative mCE are the mean corruption errors of
    Hendrycks and Dietterich 2019, in percent of those of fer's network, which gets the same pictures.
    """
    specs = models or default_models()
    part, described = load_split(data_options, limit)
    before = condition()
    rows = _measure(specs, part, workers, peer_options.environments if fer else None)
    here = runtime()
    shared = {"data": described, "runtime": f"{here.name} {here.version}", "before": before, "after": condition()}
    path = write("robustness", {**shared, "rows": rows}, out)
    if plot:
        write_bytes(plot, curves(rows))
    for name, figures in modes(rows):
        click.echo(_line(name, figures))
    click.echo(f"wrote {path}", err=True)


def _line(name: str, figures: dict[str, Any]) -> str:
    means, worst = figures["means"], figures["means"]["twelve kinds"]["worst_ece"]
    parts = [f"{figures['accuracy']:7.2%}", *(f"{means[group]['accuracy']:.2%} under {group}" for group in GROUPS)]
    parts.append(f"ECE {figures['ece']:.3f}, at strength {WORST_AT} up to {worst['ece']:.3f} ({worst['kind']})")
    if "relative_errors" in figures:
        ratios = figures["relative_errors"]["means"]["twelve kinds"]
        known = {"mCE": ratios["mce"], "relative mCE": ratios["relative_mce"]}
        parts += [f"{each} {value:.1%}" for each, value in known.items() if value is not None]
    return f"{name:28} {', '.join(parts)}".replace("%", " %")


def _measure(specs: tuple[str, ...], part: Split, workers: int, environments: Path | None) -> list[dict[str, Any]]:
    """A row per model, that of the baseline first where its environments' folder is given."""
    rows, variants = open_variants(specs, part.classes)
    networks = [open_networks(variants, part.classes) for _ in range(workers)]
    with ExitStack() as closing:
        if environments is not None:
            peer, key = closing.enter_context(open_peer_scores(BASELINE, environments, part.classes)), Path(BASELINE)
            rows.insert(0, peer.row)
            variants.insert(0, Variant(peer.row, (key,), lambda scores: scores[0]))
            for each in networks:
                each[key] = peer.network
        changes: list[Change] = [unchanged, *(partial(_degrade, name, strength) for name, strength in STEPS)]
        by_change = list(scores(variants, networks, part.faces, changes, "degradations"))
    for variant, of_variant in zip(variants, zip(*by_change, strict=True), strict=True):
        variant.figures.update(robustness_figures(of_variant, part.labels))
    if environments is not None:
        for variant in variants[1:]:
            variant.figures["relative_errors"] = relative_errors(variant.figures, rows[0])
    return rows


def _degrade(name: str, strength: float, faces: Faces, first: int) -> Faces:
    return DEGRADATIONS[name](faces, strength, first)


def curves(rows: list[dict[str, Any]]) -> bytes:
    """One plot per kind of degradation: accuracy over strength, a line per model, dashed with early exit; a PNG.

    Args:
        rows: The rows of a result of this benchmark.
    """
    lines = modes(rows)
    kinds = list(lines[-1][1]["degraded"])
    height = -(-len(kinds) // 3)
    canvas = figure(10, 0.7 + 2.5 * height)
    plots = canvas.subplots(height, 3, sharey=True)
    for axis, name in zip(plots.flat, kinds, strict=False):
        for index, (label, figures) in enumerate(lines):
            bold = label.startswith("ensemble")
            axis.plot(
                range(6),
                [100 * accuracy for accuracy in (figures["accuracy"], *figures["degraded"][name])],
                "--" if "early exit" in label else "-",
                color="#8c959f" if label == BASELINE else f"C{index}",
                marker="o",
                ms=3,
                lw=2.2 if bold else 1.2,
                zorder=3 if bold else 2,
                label=label,
            )
        kind = DEGRADATIONS[name]
        axis.set_xticks(range(6), ["none", *(f"{strength:g}" for strength in kind.strengths)])
        axis.set_title(f"{name} (not trained on)" if name in HELD_OUT else name)
        axis.set_xlabel(kind.unit)
        tidy(axis).set_ylim(0, 80)
    for axis in plots[:, 0]:
        axis.set_ylabel("accuracy, %")
    canvas.legend(
        *plots[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False, fontsize=8
    )
    return png(canvas)
