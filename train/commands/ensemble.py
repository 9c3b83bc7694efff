"""The command `ensemble fit`: fit an ensemble, and cross-validate it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import click
import numpy as np

from fer_edge.edge.config.click_options import options_from
from fer_edge.edge.errors import ModelError
from fer_edge.edge.expression.cascade import measure_members
from fer_edge.edge.expression.classifier import TFLiteClassifier, open_member
from fer_edge.edge.expression.ensemble_config import EnsembleConfig, write_ensemble
from fer_edge.edge.expression.model_spec import parse_model_spec
from fer_edge.edge.expression.operating_point import mean_time
from fer_edge.edge.expression.scores import fuse
from fer_edge.edge.pipeline import PipelineOptions
from fer_edge.edge.sinks.output_paths import refuse_shared_files
from fer_edge.edge.terminal import track
from fer_edge.edge.tflite.card import card_path
from fer_edge.train.data.class_order import dataset_in_class_order, named
from fer_edge.train.data.clean_rows import clean_split
from fer_edge.train.data.options import HOW, DataOptions
from fer_edge.train.data.splits import Split, fingerprint
from fer_edge.train.ensemble.calibration import equal_weights, fit_weights, rare_class_offsets
from fer_edge.train.ensemble.cross_validation import CrossValidation
from fer_edge.train.ensemble.fitting import EnsembleFit, fit_ensemble
from fer_edge.train.ensemble.options import EnsembleOptions
from fer_edge.train.evaluation.metrics import measure
from fer_edge.train.evaluation.predictions import collect_logits

MAX_MEMBERS = 5
"""Members that are fitted: every combination of thresholds is measured in every order, which takes
minutes and 430 MB for five, and more than a PC has for six."""


@click.group()
def ensemble() -> None:
    """Fit an ensemble's weights, temperature, class offsets and early exit."""


@ensemble.command("fit")
@click.argument("models", nargs=-1, required=True)
@options_from(DataOptions, only=("data", *HOW))
@options_from(EnsembleOptions)
@options_from(PipelineOptions, only=("threads",))
def fit_command(
    models: tuple[str, ...],
    data_options: DataOptions,
    ensemble_options: EnsembleOptions,
    pipeline_options: PipelineOptions,
) -> None:
    """Fit weights, temperature, class offsets and early exit of MODELS on the val split's clean rows.

    Rows are clean whose photograph is not in the train split.

    MODELS are shipped models' names or .tflite files. They run in the order in which early exit is cheapest, by the
    times measured on this machine. Writes OUT, and prints the metrics on those rows, also cross-validated.
    """
    if len(models) > MAX_MEMBERS:
        raise ModelError(f"{len(models)} MODELS are too many to fit an ensemble of; expected at most {MAX_MEMBERS}")
    files, out = [parse_model_spec(spec, ("tflite",)).path for spec in models], ensemble_options.out
    strangers = [str(file) for file in files if file.resolve().parent != out.resolve().parent]
    if strangers:
        raise ModelError(
            f"{strangers[0]} does not lie beside {out}; expected the members in the folder of the ensemble file"
        )
    refuse_shared_files({"--out": [out]}, {"MODELS": [*files, *map(card_path, files)], "--data": [data_options.data]})
    members = [open_member(file, pipeline_options.threads)[0] for file in files]
    classes = _classes(members)
    data = dataset_in_class_order(data_options.load(), classes, f"{files[0]}")
    val, balance = clean_split(data, "val"), rare_class_offsets(data.split("train").counts(), ensemble_options.balance)
    # the minimum: other load on this machine must not choose the order
    times = measure_members(members, rounds=50, statistic=np.min)
    views = [collect_logits(member.logits, val.faces, label=member.path.stem) for member in members]
    logits = np.concatenate(views)  # (M, N, C)
    weights_fit = fit_weights if ensemble_options.weights == "fitted" else equal_weights
    max_drop = ensemble_options.max_drop / 100
    fit = fit_ensemble(logits, val.labels, times, weights_fit, max_drop, balance)
    names = tuple(members[member].path.name for member in fit.order)
    whole = data.split("val")
    rows = "" if len(val) == len(whole) else f"{len(val)} clean rows (their photograph is not in train) of "
    origin = f"val split, {rows}{len(whole)} pictures, sha256 {fingerprint(whole)}"
    write_ensemble(
        out, EnsembleConfig(names, fit.weights, fit.temperature, fit.alone, classes, fit.offsets, origin, fit.cascade)
    )
    _report_fit(out, fit, val)
    validation = CrossValidation(fit.logits, val.labels, classes, fit.times, weights_fit, max_drop, balance)
    partitions = ensemble_options.partitions
    for seed in track(range(partitions), "cross-validation", partitions):
        validation.add_partition(seed)
    _report_cross_validation(validation)


def _classes(members: Sequence[TFLiteClassifier]) -> tuple[str, ...]:
    """The classes of all members, in the first one's order, into which the others are put.

    ModelError where their names differ.
    """
    first = members[0]
    for each in members[1:]:
        if sorted(each.classes) != sorted(first.classes):
            raise ModelError(
                f"{each.path} has the classes {named(each.classes)}; {first.path} has {named(first.classes)}; expected "
                "the same in all MODELS"
            )
        each.put_in_order(first.classes)
    return first.classes


def _report_fit(out: Path, fit: EnsembleFit, rows: Split) -> None:
    """Print the metrics on the split that was fitted on."""
    scores = fuse(fit.logits, np.asarray(fit.weights, np.float32), fit.temperature, fit.offsets)
    metrics = measure(scores, rows.labels, rows.classes)
    click.echo(
        f"{out}: weights {', '.join(f'{weight:.3f}' for weight in fit.weights)}, temperature {fit.temperature:.3f}, "
        f"accuracy {100 * metrics.accuracy:.2f} %, balanced {100 * metrics.balanced_accuracy:.2f} %, "
        f"ECE {metrics.ece:.4f}, NLL {metrics.nll:.4f} on the {len(rows)} rows it was fitted on"
    )
    point = fit.cascade.default_point
    click.echo(
        f"early exit: accuracy {100 * point.accuracy:.2f} %, members run on "
        f"{', '.join(f'{100 * share:.0f} %' for share in point.reach)} of the faces, "
        f"{sum(fit.times) / mean_time(point, fit.times):.2f} times faster here"
    )


def _report_cross_validation(validation: CrossValidation) -> None:
    """Print the means over the partitions; of several, the range of accuracies too."""
    ensemble, early = validation.ensemble, validation.early_exit
    partitions = f", mean of {len(ensemble)} partitions" if len(ensemble) > 1 else ""
    support = np.bincount(validation.labels, minlength=len(validation.classes))
    rarest = int(np.argmin(np.where(support > 0, support, np.inf)))  # of a class without rows there is no recall
    click.echo(
        f"ensemble, 5-fold cross-validation{partitions}: accuracy {_spread([each.accuracy for each in ensemble])}, "
        f"balanced {100 * fmean(each.balanced_accuracy for each in ensemble):.2f} %, "
        f"ECE {fmean(each.ece for each in ensemble):.4f}, NLL {fmean(each.nll for each in ensemble):.4f}, "
        f"recall of {validation.classes[rarest]} {100 * fmean(each.recall[rarest] for each in ensemble):.1f} %"
    )
    drops = [one.accuracy - other.accuracy for one, other in zip(ensemble, early, strict=True)]
    click.echo(
        f"early exit, 5-fold cross-validation{partitions}: accuracy {_spread([each.accuracy for each in early])}, "
        f"drop {_spread(drops, 'points')}, {fmean(validation.models_per_face):.2f} models per face"
    )


def _spread(shares: list[float], unit: str = "%") -> str:
    """The mean of shares in percent; of several, their range behind it."""
    limits = f" ({100 * min(shares):.2f} to {100 * max(shares):.2f})" if len(shares) > 1 else ""
    return f"{100 * fmean(shares):.2f} {unit}{limits}"
