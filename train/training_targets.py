"""What a face teaches: its label, softened by FER+ votes, and what teachers say of it.

The loss takes one row per face, (15,): seven target probabilities, seven softened teacher probabilities, the label.
Rows may be mixed with one another (mixup) like the pictures they belong to.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import DataError
from fer_edge.edge.expression.scores import softmax
from fer_edge.edge.types import EMOTIONS
from fer_edge.train.data.splits import Split
from fer_edge.train.recipes import Recipe

CLASSES = len(EMOTIONS)
VOTES = {"anger": "angry", "disgust": "disgust", "fear": "fear", "happiness": "happy", "sadness": "sad",
         "surprise": "surprise", "neutral": "neutral"}  # fmt: skip
"""FER+ columns (Barsoum et al. 2016, arXiv:1608.01041) by FER2013 class; contempt, unknown and NF have none."""


Judge = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""(B, S, S, 3) views in [-1, 1] to teachers' mean (B, 7) logits."""


@dataclass(frozen=True, eq=False)
class Lessons:
    """What is to be learnt. faces: (N, 48, 48) uint8. rows: (N, 15) float32. weights: (N,) float32, mean 1.

    taught: whether rows say what teachers say of the faces as they are. judge: teachers that see every view instead.
    """

    faces: NDArray[np.uint8]
    rows: NDArray[np.float32]
    weights: NDArray[np.float32]
    taught: bool
    judge: Judge | None = None

    def __len__(self) -> int:
        return len(self.faces)


@dataclass(frozen=True, eq=False)
class Batch:
    """Some of it, seen once. views: (B, S, S, 3) float32 in [-1, 1]. rows: (B, 15). weights: (B,)."""

    views: NDArray[np.float32]
    rows: NDArray[np.float32]
    weights: NDArray[np.float32]


def lessons(
    train: Split,
    recipe: Recipe,
    votes: NDArray[np.float32] | None = None,
    teacher: NDArray[np.float32] | Judge | None = None,
) -> Lessons:
    """The train split as lessons, without the recipe's fold.

    votes: (N, 7) shares. teacher: (N, 7) logits of the faces as they are, or a judge of every view.
    """
    judge = teacher if callable(teacher) else None
    logits = None if callable(teacher) else teacher
    every = Lessons(
        train.faces,
        rows(train.labels, recipe, votes, logits),
        class_weights(train, recipe.class_weights)[train.labels],
        teacher is not None,
        judge,
    )
    if not recipe.folds:
        return every
    kept = ~in_fold(len(train), recipe.fold, recipe.folds)
    return Lessons(every.faces[kept], every.rows[kept], every.weights[kept], every.taught, judge)


def in_fold(count: int, fold: int, folds: int) -> NDArray[np.bool_]:
    """(count,) True for the faces of a fold, 0 <= fold < folds; the same for every run."""
    return np.asarray(np.random.default_rng(folds).permutation(count) % folds == fold)


def class_weights(train: Split, kind: str) -> NDArray[np.float32]:
    """(7,) loss weight per class, with mean 1 over the pictures."""
    frequency = np.maximum(train.counts(), 1) / max(1, len(train))
    power = {"none": 0.0, "sqrt": -0.5, "balanced": -1.0}[kind]
    weight = frequency**power
    return np.asarray(weight / np.sum(weight * frequency), np.float32)


def rows(
    labels: NDArray[np.int64],
    recipe: Recipe,
    votes: NDArray[np.float32] | None = None,
    teacher: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """(N,) labels to (N, 15) rows; votes are (N, 7) shares, teacher (N, 7) logits."""
    targets = np.eye(CLASSES, dtype=np.float32)[labels]
    if votes is not None:
        targets = (1 - recipe.votes_share) * targets + recipe.votes_share * votes
    targets = (1 - recipe.label_smoothing) * targets + recipe.label_smoothing / CLASSES
    taught = targets if teacher is None else softmax(teacher / recipe.teacher_temperature)
    return np.concatenate([targets, taught, labels[:, None]], axis=1).astype(np.float32)


def loss(recipe: Recipe, taught: bool) -> Callable[[Any, Any], Any]:
    """(B, 15) rows and (B, 7) logits to a loss per face: the cross-entropy with the targets and, where taught, the
    divergence from the teachers at their temperature T, which weighs T² (Hinton et al. 2015, arXiv:1503.02531)."""
    import keras

    heat, share = recipe.teacher_temperature, recipe.teacher_share if taught else 0.0

    def distilled(y: Any, logits: Any) -> Any:
        own = -keras.ops.sum(y[:, :CLASSES] * keras.ops.log_softmax(logits), axis=1)
        if not share:
            return own
        teacher = y[:, CLASSES : 2 * CLASSES]
        gap = keras.ops.log(keras.ops.maximum(teacher, 1e-7)) - keras.ops.log_softmax(logits / heat)
        soft = keras.ops.sum(teacher * gap, axis=1)
        return (1 - share) * own + share * heat**2 * soft

    return distilled


def accuracy(y: Any, logits: Any) -> Any:
    """(B, 15) rows and (B, 7) logits to 1 where the label was found; a mixed face has the label of its larger part."""
    import keras

    found = keras.ops.cast(keras.ops.argmax(logits, axis=1), y.dtype)
    return keras.ops.cast(keras.ops.equal(found, y[:, -1]), "float32")


def mixed(batch: Batch, alpha: float, rng: np.random.Generator) -> Batch:
    """Mixup (Zhang et al. 2018, arXiv:1710.09412): each face with another of the batch, its share of Beta(α, α)."""
    share = rng.beta(alpha, alpha)
    large, other = np.float32(max(share, 1 - share)), rng.permutation(len(batch.views))

    def blend(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return large * values + (1 - large) * values[other]

    rows = blend(batch.rows)
    rows[:, -1] = batch.rows[:, -1]
    return Batch(blend(batch.views), rows, blend(batch.weights))


def judged(batch: Batch, logits: NDArray[np.float32], temperature: float) -> Batch:
    """The batch with what teachers say of its views, (B, 7) logits, in place of what its rows said."""
    rows = batch.rows.copy()
    rows[:, CLASSES : 2 * CLASSES] = softmax(logits / temperature)
    return Batch(batch.views, rows, batch.weights)


def read_votes(path: Path, labels: NDArray[np.int64]) -> NDArray[np.float32]:
    """FER+'s `fer2013new.csv` to (N, 7) shares of the votes for the train split, row by row in the CSV's order.

    A face whose votes all went to contempt, unknown or 'not a face' keeps its label. Raises DataError for a file
    that is no FER+ CSV, for a bad row, and where its Training rows are not as many as the split's or of other faces.
    """
    try:
        with path.open(newline="") as stream:
            reader = csv.DictReader(stream)
            missing = {"Usage", *VOTES} - set(reader.fieldnames or ())
            if missing:
                raise DataError(f"{path} lacks the column {min(missing)}; expected FER+'s fer2013new.csv")
            order = sorted(VOTES, key=lambda column: EMOTIONS.index(VOTES[column]))
            counts = [
                _votes(path, number, row, order)
                for number, row in enumerate(reader, start=2)
                if row["Usage"] == "Training"
            ]
    except FileNotFoundError:
        raise DataError(f"--ferplus {path}: no such file; expected FER+'s fer2013new.csv") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a FER+ CSV: {error}") from None
    if len(counts) != len(labels):
        raise DataError(
            f"{path} has {len(counts)} Training rows; expected {len(labels)}, one for each face of the train split"
        )
    table = np.array(counts, np.float32).reshape(-1, CLASSES)
    silent = table.sum(axis=1) == 0
    own = table[np.arange(len(labels)), labels] > 0
    # in the CSV's order 84 % have a vote for their label, in a folder tree's 36 %
    if not silent.all() and own[~silent].mean() < 0.5:
        raise DataError(
            f"{path}: its votes are of other rows, most faces have none for their label; expected the CSV's order: "
            "give the CSV as --data, not a folder tree"
        )
    table[silent] = np.eye(CLASSES, dtype=np.float32)[labels[silent]]
    return table / table.sum(axis=1, keepdims=True)


def _votes(path: Path, number: int, row: dict[str, str], order: list[str]) -> list[int]:
    try:
        votes = [int(row[column]) for column in order]
    except (TypeError, ValueError):
        votes = [-1]
    if min(votes) < 0:
        raise DataError(f"{path}, row {number}: a vote is not a whole number from 0; mend the file")
    return votes
