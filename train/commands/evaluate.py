"""The command `evaluate`; Keras is imported only where a float model is measured."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np
from click.core import ParameterSource
from numpy.typing import NDArray

from fer_edge.edge.config.click_options import options_from
from fer_edge.edge.device.capacity import usable_cores
from fer_edge.edge.errors import ModelError
from fer_edge.edge.expression.ensemble_config import EnsembleConfig, read_ensemble
from fer_edge.edge.expression.model_spec import FLOAT_KINDS, parse_model_spec
from fer_edge.edge.pipeline import PipelineOptions
from fer_edge.train.data.class_order import class_order
from fer_edge.train.data.clean_rows import rows_in_train
from fer_edge.train.data.duplicates import Overlap
from fer_edge.train.data.options import DataOptions
from fer_edge.train.data.splits import Split
from fer_edge.train.evaluation.figures import require_matplotlib
from fer_edge.train.evaluation.metrics import measure
from fer_edge.train.evaluation.options import EvaluationOptions
from fer_edge.train.evaluation.predictions import collect_logits, early_exit, fuse_views
from fer_edge.train.evaluation.report import confusion_table, metrics_table, plot_confusion, plot_reliability
from fer_edge.train.evaluation.row_sets import row_figures, row_table, to_dicts
from fer_edge.train.networks import open_workers, temperature
from fer_edge.train.stored_classes import checked_classes

_logger = logging.getLogger(__name__)


@click.command()
@click.argument("models", nargs=-1, required=True)
@options_from(DataOptions)
@options_from(EvaluationOptions)
@options_from(PipelineOptions, only=("threads",))
def evaluate(
    models: tuple[str, ...],
    data_options: DataOptions,
    evaluation_options: EvaluationOptions,
    pipeline_options: PipelineOptions,
) -> None:
    """Measure accuracy, confusion matrix and calibration of MODELS on a split.

    The figures on all rows compare with papers; those on rows whose photograph is not in the train split are the
    honest ones. Both have 95 % intervals.

    MODELS are shipped models' names, .tflite, .keras or .npz files, or run folders. Several are also measured as an
    ensemble.
    """
    if evaluation_options.plots:
        require_matplotlib()
    config = _ensemble_config(models, evaluation_options)
    models = _in_order(models, config)
    flip = evaluation_options.tta == "flip"
    dataset = data_options.load()
    split = dataset.split(data_options.split)
    report = _Report(split, data_options.split, evaluation_options, rows_in_train(dataset, data_options.split))
    if report.overlap is None:
        _logger.info(
            f"{data_options.data} has no train split: which rows have a photograph in the training data is unknown"
        )
    if config:
        config = _in_class_order(config, split.classes, evaluation_options.ensemble)
    workers, threads = _workers(evaluation_options, pipeline_options)
    opened = [open_workers(spec, split.classes, threads, workers) for spec in models]
    views = []
    for spec, logits in zip(models, opened, strict=True):
        views.append(collect_logits(logits, split.faces, flip=flip, label=_stem(spec)))
        report.add(spec, fuse_views(views[-1:], [1.0], temperature(spec)))
    if len(models) > 1:
        equal = tuple(1 / len(models) for _ in models)
        weights = (config.weights, config.temperature, config.offsets) if config else (equal, 1.0)
        report.add("ensemble", fuse_views(views, *weights))
    if evaluation_options.early_exit and config and config.cascade:
        scores, invocations = early_exit(views, config.weights, config.offsets, config.cascade)
        _logger.info(f"early exit: {invocations.mean():.2f} models per face")
        report.add("early exit", scores)


def _workers(options: EvaluationOptions, pipeline_options: PipelineOptions) -> tuple[int, int]:
    """How often each network is opened, and the threads that each of its interpreters has."""
    chosen = click.get_current_context().get_parameter_source("threads") is not ParameterSource.DEFAULT
    threads = pipeline_options.threads if chosen or options.workers == 1 else 1
    return options.workers or max(1, usable_cores() // threads), threads


def _ensemble_config(models: tuple[str, ...], options: EvaluationOptions) -> EnsembleConfig | None:
    """The ensemble file that fits the models, or None without one; ModelError where the options do not go together."""
    config = read_ensemble(options.ensemble) if options.ensemble else None
    if config and len(config.members) != len(models):
        raise ModelError(
            f"{options.ensemble} has {len(config.members)} members; expected {len(models)}, in the order given"
        )
    if options.early_exit and options.tta != "none":
        raise ModelError("--early-exit and --tta exclude each other: early exit runs on the first view only")
    if options.early_exit and (config is None or config.cascade is None):
        raise ModelError(
            "--early-exit needs --ensemble with early-exit thresholds, as 'fer-edge ensemble fit' writes it"
        )
    return config


def _in_order(models: tuple[str, ...], config: EnsembleConfig | None) -> tuple[str, ...]:
    """The models in the ensemble's order where they are its members, else as they were given."""
    specs = [parse_model_spec(text, ("tflite", *FLOAT_KINDS)) for text in models]
    names = {spec.path.name: spec.text for spec in specs if spec.kind == "tflite"}
    if config is None or set(names) != set(config.members):
        return models
    return tuple(names[member] for member in config.members)


def _in_class_order(config: EnsembleConfig, classes: tuple[str, ...], path: Path | None) -> EnsembleConfig:
    """The ensemble with its offsets in the order of the data's classes; ModelError where the names differ.

    A file from before classes were stored has FER2013's.
    """
    stored = checked_classes(path or Path(), config.classes, len(config.offsets))
    order = class_order(stored, classes, f"{path}")
    return replace(config, classes=classes, offsets=tuple(config.offsets[index] for index in order))


@dataclass(frozen=True)
class _Report:
    """Reports models' metrics on a split, as tables or JSON, and as plots."""

    split: Split
    split_name: str
    options: EvaluationOptions
    overlap: Overlap | None

    def add(self, label: str, scores: NDArray[np.float32]) -> None:
        """Print the metrics of (N, C) probabilities, and draw them where plots are wanted."""
        labels, classes = self.split.labels, self.split.classes
        metrics, figures = measure(scores, labels, classes), row_figures(scores, labels, classes, self.overlap)
        flip = ", with flip" if self.options.tta == "flip" else ""
        if self.options.plots:
            stem = _stem(label).replace(" ", "-")
            title = f"{stem}, {self.split_name} split{flip}"
            plot_confusion(self.options.plots / f"{stem}-confusion.png", metrics, title)
            plot_reliability(self.options.plots / f"{stem}-reliability.png", scores, labels, title)
        if self.options.json:
            about = {"model": label, "split": self.split_name, "tta": self.options.tta, "pictures": len(self.split)}
            click.echo(json.dumps({**about, **metrics.to_dict(), "rows": to_dicts(figures)}))
            return
        click.echo(f"\n{label}: {self.split_name} split, {len(self.split)} pictures{flip}")
        click.echo(metrics_table(metrics))
        click.echo(row_table(figures))
        click.echo(confusion_table(metrics))


def _stem(spec: str) -> str:
    """What a model's plots are named after: its file, or the run folder of a run's float.keras."""
    path = Path(spec)
    return path.resolve().parent.name if path.stem == "float" else path.stem
