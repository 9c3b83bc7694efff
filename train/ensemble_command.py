"""The command `ensemble fit`: what a whole of several networks is, and what it is worth on faces left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import click
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.config.click_types import FloatRange
from fer_edge.edge.errors import ModelError
from fer_edge.edge.expression.cascade import mean_time, member_times
from fer_edge.edge.expression.classifier import open_member
from fer_edge.edge.expression.ensemble import EnsembleConfig, write_ensemble
from fer_edge.edge.expression.model_spec import parse_model_spec
from fer_edge.edge.terminal import track
from fer_edge.edge.types import EMOTIONS
from fer_edge.train.calibration import (
    Weigh,
    even_weights,
    fit_folds,
    fit_prior,
    fit_temperature,
    fit_weights,
    held_out,
    rare_class_offsets,
)
from fer_edge.train.cli import data_option, skip_option
from fer_edge.train.data.loading import load
from fer_edge.train.data.splits import fingerprint
from fer_edge.train.early_exit import DROP, cheapest_cascade, held_out_cascade
from fer_edge.train.evaluation.metrics import Metrics, measure
from fer_edge.train.evaluation.networks import collect, probabilities


@click.group()
def ensemble() -> None:
    """Fit an ensemble's weights, temperature, class offsets and cascade."""


@ensemble.command("fit")
@click.argument("models", nargs=-1, required=True)
@data_option
@skip_option
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="The ensemble.json to write, beside the members."
)
@click.option(
    "--weights",
    type=click.Choice(["equal", "fitted"]),
    default="fitted",
    help="The likeliest in steps of 0.1, or equal ones.",
)
@click.option(
    "--balance",
    type=FloatRange(0, 1),
    default=0.0,
    help="How far rare classes are favoured: 0 not at all, 1 by the inverse of their frequency in train.",
)
@click.option(
    "--drop",
    type=FloatRange(0, 100),
    default=100 * DROP,
    help="Percentage points that the cascade may lose against the whole ensemble.",
)
@click.option(
    "--partitions",
    type=click.IntRange(1),
    default=1,
    help="Partitions into fifths over which what is told of faces left out is averaged.",
)
@click.option("--threads", type=click.IntRange(1), default=2, help="Threads of the TFLite interpreter.")
def fit_command(
    models: tuple[str, ...],
    data_path: str,
    skip_bad: bool,
    out: Path,
    weights: str,
    balance: float,
    drop: float,
    partitions: int,
    threads: int,
) -> None:
    """Fit weights, temperature, class offsets and cascade of MODELS on the val split, and write OUT.

    The cascade asks them in the order in which stopping early costs least, by the times that they take here.
    """
    files = [parse_model_spec(spec, ("tflite",)).path for spec in models]
    strangers = [str(file) for file in files if file.resolve().parent != out.resolve().parent]
    if strangers:
        raise ModelError(
            f"{strangers[0]} does not lie beside {out}; expected the members in the folder of the ensemble file"
        )
    data = load(data_path, skip_bad=skip_bad)
    part, favour = data.split("val"), rare_class_offsets(data.split("train").counts(), balance)
    members = [open_member(file, threads)[0] for file in files]
    times = member_times(members, rounds=50, of=np.min)  # the least: other work here must not choose the order
    views = [collect(member.logits, part.faces, label=member.path.stem) for member in members]
    alone = [fit_temperature(view, part.labels, np.ones(1, np.float32)) for view in views]  # (loss, temperature) each
    weigh = fit_weights if weights == "fitted" else even_weights
    every = np.concatenate(views)  # (M, N, 7)
    chosen = weigh(every, part.labels)
    temperature, prior = fit_prior(every, part.labels, chosen)
    order, cascade = cheapest_cascade(every, part.labels, chosen, times, drop / 100, prior, favour)
    every, chosen = every[list(order)], tuple(chosen[member] for member in order)
    times, views = [times[member] for member in order], [views[member] for member in order]
    offsets = tuple(round(float(value), 5) for value in np.add(prior, favour))
    config = EnsembleConfig(
        tuple(members[member].path.name for member in order),
        chosen,
        temperature,
        tuple(alone[member][1] for member in order),
        offsets,
        f"val split, {len(part)} pictures, sha256 {fingerprint(part)}",
        cascade,
    )
    write_ensemble(out, config)
    metrics = measure(probabilities(views, chosen, temperature, offsets), part.labels)
    click.echo(
        f"{out}: weights {', '.join(f'{weight:.3f}' for weight in chosen)}, temperature {temperature:.3f}, "
        f"accuracy {100 * metrics.accuracy:.2f} %, balanced {100 * metrics.balanced_accuracy:.2f} %, "
        f"ECE {metrics.ece:.4f} on the split it was fitted on"
    )
    point = cascade.points[cascade.chosen]
    click.echo(
        f"cascade: {100 * point.accuracy:.2f} %, members asked "
        f"{', '.join(f'{100 * share:.0f} %' for share in point.reach)}, "
        f"{sum(times) / mean_time(point, times):.2f} times cheaper here"
    )
    left_out = _LeftOut(every, part.labels, weigh, times, drop / 100, favour)
    for seed in track(range(partitions), "partitions", partitions):
        left_out.add(seed)
    left_out.tell()


@dataclass
class _LeftOut:
    """What ensemble and cascade are worth on faces left out of their fit, partition by partition."""

    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    weigh: Weigh
    times: Sequence[float]
    drop: float
    favour: Sequence[float]
    whole: list[Metrics] = field(default_factory=list)
    early: list[Metrics] = field(default_factory=list)
    asked: list[float] = field(default_factory=list)

    def add(self, seed: int) -> None:
        """Fit both on four fifths and measure on the fifth, in turns."""
        folds = fit_folds(self.logits, self.labels, self.weigh, seed=seed)
        self.whole.append(measure(held_out(self.logits, folds, self.favour), self.labels))
        scores, asked = held_out_cascade(self.logits, self.labels, folds, self.times, self.drop, self.favour)
        self.early.append(measure(scores, self.labels))
        self.asked.append(float(asked.mean()))

    def tell(self) -> None:
        """The means over the partitions; of several, the least and the most of accuracies too."""
        how = f", mean of {len(self.whole)} partitions" if len(self.whole) > 1 else ""
        click.echo(
            f"ensemble fitted on four fifths, measured on the fifth, in turns{how}: accuracy "
            f"{_spread([each.accuracy for each in self.whole])}, "
            f"balanced {100 * fmean(each.balanced_accuracy for each in self.whole):.2f} %, "
            f"ECE {fmean(each.ece for each in self.whole):.4f}, "
            f"disgust {100 * fmean(each.recall[EMOTIONS.index('disgust')] for each in self.whole):.1f} %"
        )
        lost = [one.accuracy - other.accuracy for one, other in zip(self.whole, self.early, strict=True)]
        click.echo(
            f"cascade fitted on four fifths, measured on the fifth, in turns{how}: accuracy "
            f"{_spread([each.accuracy for each in self.early])}, {_spread(lost, 'points')} lost, "
            f"{fmean(self.asked):.2f} members a face"
        )


def _spread(shares: list[float], unit: str = "%") -> str:
    """The mean of shares in percent; of several, the least and the most behind it."""
    between = f" ({100 * min(shares):.2f} to {100 * max(shares):.2f})" if len(shares) > 1 else ""
    return f"{100 * fmean(shares):.2f} {unit}{between}"
