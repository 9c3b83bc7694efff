"""Training targets and the loss: smoothed labels, optionally with FER+'s votes, teachers' probabilities, consistency.

The loss takes one row of targets per face, (2C + 1,) for C classes: C target probabilities, C teacher probabilities at
the distillation temperature, and the label. Mixup mixes rows like the pictures that they belong to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import DataError
from fer_edge.edge.expression.scores import softmax
from fer_edge.train.consistency import view_divergence
from fer_edge.train.data.conflicts import resolve
from fer_edge.train.data.splits import Split
from fer_edge.train.recipes import Recipe

Teacher = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""(B, S, S, 3) views in [-1, 1] to the mean (B, C) logits of one or several teachers."""


@dataclass(frozen=True, eq=False)
class SoftTargets:
    """What is learned from the train split besides its labels.

    Attributes:
        votes: (N, C) shares of FER+'s votes, or None.
        teacher: (N, C) teachers' logits of the plain faces, or a teacher that runs on every augmented view, or None.
        ferplus: File name of the votes.
        teacher_names: Names of the teachers.
    """

    votes: NDArray[np.float32] | None = None
    teacher: NDArray[np.float32] | Teacher | None = None
    ferplus: str | None = None
    teacher_names: tuple[str, ...] = ()

    @property
    def sources(self) -> dict[str, str | list[str]]:
        """Where they come from, as a run folder's files name it."""
        ferplus: dict[str, str | list[str]] = {"ferplus": self.ferplus} if self.ferplus else {}
        return {**ferplus, **({"teachers": list(self.teacher_names)} if self.teacher_names else {})}


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """The faces to train on, without a held-out fold.

    Attributes:
        faces: (N, 48, 48) uint8.
        targets: (N, 2C + 1) float32 rows.
        weights: (N,) float32 loss weights, mean 1.
        distillation: Whether the loss has a part for the teachers' probabilities.
        teacher: The teacher that runs on every augmented view and replaces the rows' teacher probabilities, or None.
    """

    faces: NDArray[np.uint8]
    targets: NDArray[np.float32]
    weights: NDArray[np.float32]
    distillation: bool
    teacher: Teacher | None = None

    def __len__(self) -> int:
        return len(self.faces)


@dataclass(frozen=True, eq=False)
class Batch:
    """Augmented faces of one step. views: (B, S, S, 3) float32 in [-1, 1]. targets: (B, 2C + 1). weights: (B,)."""

    views: NDArray[np.float32]
    targets: NDArray[np.float32]
    weights: NDArray[np.float32]


def training_set(train: Split, recipe: Recipe, soft_targets: SoftTargets) -> TrainingSet:
    """The train split with its targets and loss weights, without the recipe's held-out fold and conflicting rows.

    Raises:
        DataError: No face is left.
    """
    labels, kept = resolve(train, recipe.conflicts)
    mask = kept & ~in_fold(len(train), recipe.fold, recipe.folds) if recipe.folds else kept
    if not mask.any():
        raise DataError(
            f"no face of the {len(train)} in the train split is left to train on, with conflicts {recipe.conflicts} "
            f"and folds {recipe.folds}; add pictures, or pass --conflicts keep --folds 0"
        )
    teacher = soft_targets.teacher
    logits = None if callable(teacher) else teacher
    targets = target_rows(labels, len(train.classes), recipe, soft_targets.votes, logits)
    counts = np.bincount(labels[kept], minlength=len(train.classes))
    weights = class_weights(counts, recipe.class_weights)[labels]
    return TrainingSet(
        train.rows(mask).faces,
        targets[mask],
        weights[mask],
        teacher is not None,
        teacher if callable(teacher) else None,
    )


def in_fold(count: int, fold: int, folds: int) -> NDArray[np.bool_]:
    """(count,) True for the faces of a fold, 0 <= fold < folds; the same for every run."""
    return np.asarray(np.random.default_rng(folds).permutation(count) % folds == fold)


def class_weights(counts: NDArray[np.int64], kind: str) -> NDArray[np.float32]:
    """(C,) pictures of each class to its loss weight, with mean 1 over the pictures.

    kind: 'none', 'sqrt' or 'balanced'. A class without pictures has a weight too, which counts in no mean.
    """
    total = max(1, int(counts.sum()))
    power = {"none": 0.0, "sqrt": -0.5, "balanced": -1.0}[kind]
    weight = (np.maximum(counts, 1) / total) ** power
    return np.asarray(weight / np.sum(weight * counts / total), np.float32)


def target_rows(
    labels: NDArray[np.int64],
    classes: int,
    recipe: Recipe,
    votes: NDArray[np.float32] | None = None,
    teacher: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """(N,) labels to (N, 2C + 1) rows of so many classes; votes: (N, C) shares, teacher: (N, C) logits."""
    targets = np.eye(classes, dtype=np.float32)[labels]
    if votes is not None:
        targets = (1 - recipe.votes_share) * targets + recipe.votes_share * votes
    targets = (1 - recipe.label_smoothing) * targets + recipe.label_smoothing / classes
    teacher_probabilities = targets if teacher is None else softmax(teacher / recipe.teacher_temperature)
    return np.concatenate([targets, teacher_probabilities, labels[:, None]], axis=1).astype(np.float32)


def training_loss(recipe: Recipe, distillation: bool) -> Callable[[Any, Any], Any]:
    """A Keras loss: (B, 2C + 1) rows and (B, C) logits to a loss per view.

    It is that of labels and teachers and, with consistency, the weighted divergence of corrupted from clean views.
    """
    supervised, weight = distillation_loss(recipe, distillation), recipe.consistency
    if not weight:
        return supervised

    def loss(y: Any, logits: Any) -> Any:
        return supervised(y, logits) + weight * view_divergence(logits)

    return loss


def distillation_loss(recipe: Recipe, distillation: bool) -> Callable[[Any, Any], Any]:
    """A Keras loss: (B, 2C + 1) rows and (B, C) logits to a loss per face.

    It is the cross-entropy with the targets and, with distillation, the Kullback-Leibler divergence from the teachers
    at the temperature T, weighted by T² (Hinton et al. 2015, arXiv:1503.02531).
    """
    from fer_edge.train.backend import keras

    temperature, share = recipe.teacher_temperature, recipe.teacher_share if distillation else 0.0

    def loss(y: Any, logits: Any) -> Any:
        classes = int(logits.shape[1])
        cross_entropy = -keras.ops.sum(y[:, :classes] * keras.ops.log_softmax(logits), axis=1)
        if not share:
            return cross_entropy
        teacher = y[:, classes : 2 * classes]
        gap = keras.ops.log(keras.ops.maximum(teacher, 1e-7)) - keras.ops.log_softmax(logits / temperature)
        divergence = keras.ops.sum(teacher * gap, axis=1)
        return (1 - share) * cross_entropy + share * temperature**2 * divergence

    return loss


def accuracy(y: Any, logits: Any) -> Any:
    """(B, 2C + 1) rows and (B, C) logits to 1 where the prediction is the label; of a mixed face, its larger part's."""
    from fer_edge.train.backend import keras

    predicted = keras.ops.cast(keras.ops.argmax(logits, axis=1), y.dtype)
    return keras.ops.cast(keras.ops.equal(predicted, y[:, -1]), "float32")


@dataclass(frozen=True, eq=False)
class Mixing:
    """How the faces of a batch are mixed (Zhang et al. 2018, arXiv:1710.09412).

    Attributes:
        share: Each face's own share, at least 0.5.
        other: (B,) the face that each one is mixed with.
    """

    share: np.float32
    other: NDArray[np.int64]


def draw_mixing(count: int, alpha: float, rng: np.random.Generator) -> Mixing:
    """Mix each of so many faces with another one of the batch, in a ratio drawn from Beta(α, α)."""
    share = rng.beta(alpha, alpha)
    return Mixing(np.float32(max(share, 1 - share)), rng.permutation(count))


def mixup(batch: Batch, mixing: Mixing, rows: NDArray[np.int64], made: NDArray[np.int64]) -> Batch:
    """Mix faces of a batch of which only a part was made.

    Args:
        batch: The part.
        mixing: How the whole batch is mixed.
        rows: (R,) the faces of the batch that are returned.
        made: (M,) the faces in the part, in ascending order: `rows`, and those that they are mixed with.
    """
    own, other = np.searchsorted(made, rows), np.searchsorted(made, mixing.other[rows])

    def blend(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return mixing.share * values[own] + (1 - mixing.share) * values[other]

    targets = blend(batch.targets)
    targets[:, -1] = batch.targets[own, -1]
    return Batch(blend(batch.views), targets, blend(batch.weights))


def with_teacher(batch: Batch, logits: NDArray[np.float32], temperature: float) -> Batch:
    """The batch with the teachers' (B, C) logits of its views as its teacher probabilities."""
    targets = batch.targets.copy()
    classes = logits.shape[1]
    targets[:, classes : 2 * classes] = softmax(logits / temperature)
    return Batch(batch.views, targets, batch.weights)
