"""One run of `fer-edge train`: what it learns besides the labels, whether it may begin or go on, and what it leaves."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import DataError
from fer_edge.edge.files import write_json
from fer_edge.train.data.splits import Dataset, Split
from fer_edge.train.recipes import Recipe
from fer_edge.train.training_targets import Judge

_logger = logging.getLogger(__name__)


def check_start(name: str, out: Path, weights: str, resume: bool) -> None:
    """DataError or ModelError where the named run can neither begin nor go on."""
    from fer_edge.train.checkpoint import CHECKPOINT
    from fer_edge.train.weights import check

    if not (out / CHECKPOINT).exists():
        check(name, weights)
    elif not resume:
        raise DataError(f"{out} holds a run already; go on with --resume, or choose another --runs folder")


@dataclass(frozen=True, eq=False)
class Softened:
    """What is learnt besides the labels: (N, 7) votes, (N, 7) logits or a judge, and where it came from."""

    votes: NDArray[np.float32] | None = None
    teacher: NDArray[np.float32] | Judge | None = None
    sources: dict[str, Any] = field(default_factory=dict)


def softened_targets(dataset: Dataset, teachers: tuple[str, ...], ferplus: Path | None, chosen: Recipe) -> Softened:
    """The votes and the teachers' logits or, of every view, their judge; DataError, ModelError for wrong files."""
    from fer_edge.train.teachers import open_judge, teach
    from fer_edge.train.training_targets import read_votes

    train = dataset.split("train")
    sources: dict[str, Any] = {}
    votes = None
    teacher: NDArray[np.float32] | Judge | None = None
    if ferplus:
        votes, sources["ferplus"] = read_votes(ferplus, train.labels), ferplus.name
    if teachers and chosen.teacher_views == "augmented":
        teacher, sources["teachers"] = open_judge(teachers, chosen.teacher_precision)
    elif teachers:
        teacher, sources["teachers"] = teach(teachers, train)
    return Softened(votes, teacher, sources)


def train_one(
    name: str, dataset: Dataset, chosen: Recipe, out: Path, weights: str, resume: bool, softened: Softened
) -> None:
    """Fit a network, or go on with it, and leave its run folder; DataError where the run that is there is another."""
    from fer_edge.train.checkpoint import CHECKPOINT
    from fer_edge.train.evaluation.report import metrics_table
    from fer_edge.train.loop import fit
    from fer_edge.train.run_folder import leave
    from fer_edge.train.teachers import LOGITS, write_logits

    _logger.info(f"{name}: recipe {chosen.name}, weights {weights}, run folder {out}")
    train = dataset.split("train")
    if resume and (out / CHECKPOINT).exists():
        _same_sources(out, softened, train)
    else:
        write_json(out / "recipe.json", {**asdict(chosen), **softened.sources})
        if isinstance(softened.teacher, np.ndarray):
            write_logits(out / LOGITS, softened.teacher, softened.sources["teachers"], train)
    model, state = fit(
        name,
        dataset,
        chosen,
        out,
        weights=weights,
        votes=softened.votes,
        teacher=softened.teacher,
        resume=resume,
    )
    made_of = {"recipe": {**asdict(chosen), **softened.sources}, "weights": Path(weights).name}
    metrics = leave(out, name, model, made_of, state.history, dataset)
    click.echo(metrics_table(metrics))
    click.echo(f"{name}: see {out}/metrics.json, training_curves.png, confusion_matrix.png")


def _same_sources(out: Path, softened: Softened, train: Split) -> None:
    """DataError where the run that is resumed learnt from other teachers or votes."""
    from fer_edge.train.teachers import LOGITS, read_logits

    hint = "resume with the same, or start again with another --runs folder"
    try:
        before = json.loads((out / "recipe.json").read_text("utf-8"))
    except (OSError, ValueError):
        return  # its checkpoint will tell
    for key, option in (("teachers", "--teacher"), ("ferplus", "--ferplus")):
        if before.get(key) != softened.sources.get(key):
            raise DataError(
                f"the run in {out} began with {option} {before.get(key)}, this is {softened.sources.get(key)}; {hint}"
            )
    if isinstance(softened.teacher, np.ndarray) and (out / LOGITS).exists():
        kept = read_logits(out / LOGITS, train)
        # another machine's arithmetic moves a logit by hundredths
        if kept and np.abs(kept[0] - softened.teacher).mean() > 0.1:
            raise DataError(f"the run in {out} began with other logits of {', '.join(kept[1])}; {hint}")
