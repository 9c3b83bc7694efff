"""Gather what is learned besides the labels: FER+'s votes and teachers."""

from __future__ import annotations

from pathlib import Path

from fer_edge.edge.errors import DataError
from fer_edge.train.data.ferplus import read_votes
from fer_edge.train.data.splits import Split
from fer_edge.train.recipes import Recipe
from fer_edge.train.teachers import open_teachers, teacher_logits
from fer_edge.train.training_targets import SoftTargets

VOTES_OF_LABELS = "the votes of the labels"
"""What a run's files call votes that come with the labels, in place of a file's name."""


def read_soft_targets(train: Split, teachers: tuple[str, ...], ferplus: Path | None, recipe: Recipe) -> SoftTargets:
    """The votes on the train split, and the teachers' logits or, for augmented views, the teachers themselves.

    Raises:
        DataError: The votes or logits belong to other faces, or no teacher may be used for some faces.
        ModelError: A teacher is missing or cannot be loaded.
    """
    if ferplus and train.votes is not None:
        raise DataError(f"--ferplus {ferplus}: --ferplus-labels has the votes already; expected one of the two")
    votes = read_votes(ferplus, train) if ferplus else train.votes
    name = ferplus.name if ferplus else None if votes is None else VOTES_OF_LABELS
    if not teachers:
        return SoftTargets(votes, None, name)
    if recipe.teacher_views == "augmented":
        teacher, names = open_teachers(teachers, recipe.teacher_precision, train.classes)
        return SoftTargets(votes, teacher, name, tuple(names))
    logits, names = teacher_logits(teachers, train)
    return SoftTargets(votes, logits, name, tuple(names))
