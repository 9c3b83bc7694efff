"""The command `evaluate`; Keras is imported only where a float model is measured."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import ModelError
from fer_edge.edge.expression.ensemble import EnsembleConfig, read_ensemble
from fer_edge.edge.expression.model_spec import FLOAT_KINDS, parse_model_spec
from fer_edge.train.cli import data_option, skip_option
from fer_edge.train.data.loading import load
from fer_edge.train.data.splits import SPLITS, Split
from fer_edge.train.evaluation.figures import needs_matplotlib
from fer_edge.train.evaluation.metrics import measure
from fer_edge.train.evaluation.networks import cascaded, collect, open_logits, probabilities, temperature
from fer_edge.train.evaluation.report import confusion_table, metrics_table, plot_confusion, plot_reliability

_logger = logging.getLogger(__name__)


@click.command()
@click.argument("models", nargs=-1, required=True)
@data_option
@skip_option
@click.option("--split", type=click.Choice(SPLITS), default="val", help="Training, PublicTest or PrivateTest.")
@click.option(
    "--tta", type=click.Choice(["none", "flip"]), default="none", help="Average over the mirrored picture too."
)
@click.option(
    "--ensemble",
    "ensemble_path",
    type=click.Path(path_type=Path),
    help="ensemble.json whose weights, temperature and offsets to use.",
)
@click.option("--cascade", is_flag=True, help="Measure the cascade of --ensemble too.")
@click.option("--threads", type=click.IntRange(1), default=2, help="Threads of the TFLite interpreter.")
@click.option(
    "--plots",
    type=click.Path(file_okay=False, path_type=Path),
    callback=needs_matplotlib,
    help="Draw confusion and reliability here.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line instead of tables.")
def evaluate(
    models: tuple[str, ...],
    data_path: str,
    skip_bad: bool,
    split: str,
    tta: str,
    ensemble_path: Path | None,
    cascade: bool,
    threads: int,
    plots: Path | None,
    as_json: bool,
) -> None:
    """Measure MODELS (names, .tflite, .keras or run folders) on a split; several are also measured as an ensemble."""
    config = read_ensemble(ensemble_path) if ensemble_path else None
    if config and len(config.members) != len(models):
        raise ModelError(
            f"{ensemble_path} has {len(config.members)} members; expected {len(models)}, in the order given"
        )
    if cascade and tta != "none":
        raise ModelError("--cascade and --tta exclude each other: a cascade stops before the second view")
    if cascade and (config is None or config.cascade is None):
        raise ModelError("--cascade needs --ensemble with a cascade in it, as 'fer-edge ensemble fit' writes it")
    models = _in_order(models, config)
    part = load(data_path, skip_bad=skip_bad).split(split)
    shown = _Shown(part, split, tta, plots, as_json)
    views = []
    for spec in models:
        views.append(collect(open_logits(spec, threads), part.faces, flip=tta == "flip", label=_stem(spec)))
        shown(spec, probabilities(views[-1:], [1.0], temperature(spec)))
    if len(models) > 1:
        even = tuple(1 / len(models) for _ in models)
        fused = (config.weights, config.temperature, config.offsets) if config else (even, 1.0)
        shown("ensemble", probabilities(views, *fused))
    if cascade and config and config.cascade:
        scores, asked = cascaded(views, config.weights, config.offsets, config.cascade)
        _logger.info(f"cascade: {asked.mean():.2f} members a face")
        shown("cascade", scores)


def _in_order(models: tuple[str, ...], config: EnsembleConfig | None) -> tuple[str, ...]:
    """The models in the ensemble's order where they are its members, else as they were given."""
    specs = [parse_model_spec(text, ("tflite", *FLOAT_KINDS)) for text in models]
    names = {spec.path.name: spec.text for spec in specs if spec.kind == "tflite"}
    if config is None or set(names) != set(config.members):
        return models
    return tuple(names[member] for member in config.members)


@dataclass(frozen=True)
class _Shown:
    """How a model's figures on a split are told: as tables or JSON, and as pictures."""

    part: Split
    split: str
    tta: str
    plots: Path | None
    as_json: bool

    def __call__(self, label: str, scores: NDArray[np.float32]) -> None:
        metrics = measure(scores, self.part.labels)
        flipped = ", with flip" if self.tta == "flip" else ""
        if self.plots:
            stem = _stem(label)
            title = f"{stem}, {self.split} split{flipped}"
            plot_confusion(self.plots / f"{stem}-confusion.png", metrics, title)
            plot_reliability(self.plots / f"{stem}-reliability.png", scores, self.part.labels, title)
        if self.as_json:
            about = {"model": label, "split": self.split, "tta": self.tta, "pictures": len(self.part)}
            click.echo(json.dumps({**about, **metrics.to_dict()}))
            return
        click.echo(f"\n{label}: {self.split} split, {len(self.part)} pictures{flipped}")
        click.echo(metrics_table(metrics))
        click.echo(confusion_table(metrics.confusion))


def _stem(spec: str) -> str:
    """What a model's pictures are called: what a run leaves is called by its folder."""
    path = Path(spec)
    return path.resolve().parent.name if path.stem == "float" else path.stem
