"""Cross-validation of an ensemble: each face is predicted by what was fitted without its fold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.expression.scores import fuse
from fer_edge.train.ensemble.calibration import WeightsFit, fit_prior
from fer_edge.train.ensemble.early_exit import fit_cascade
from fer_edge.train.evaluation.metrics import Metrics, measure
from fer_edge.train.evaluation.predictions import early_exit

FOLDS = 5


@dataclass(frozen=True, eq=False)
class Fold:
    """An ensemble fitted without one fold.

    Attributes:
        held_out: (N,) bool mask of the fold's faces.
        weights: (M,) weights of the members.
        temperature: Of the ensemble.
        prior: (C,) class offsets.
    """

    held_out: NDArray[np.bool_]
    weights: tuple[float, ...]
    temperature: float
    prior: tuple[float, ...]


def fold_masks(count: int, folds: int, seed: int = 0) -> Iterator[NDArray[np.bool_]]:
    """(count,) bool masks of the folds of a random partition; the same seed gives the same partition."""
    fold_of = np.random.default_rng(seed).permutation(count) % folds
    for fold in range(folds):
        yield fold_of == fold


def fit_folds(
    logits: NDArray[np.float32], labels: NDArray[np.int64], weights_fit: WeightsFit, count: int = FOLDS, seed: int = 0
) -> list[Fold]:
    """An ensemble for each fold, fitted on all other folds.

    Args:
        logits: (M, N, C) logits of the members.
        labels: (N,) true classes.
        weights_fit: How the members' weights are fitted.
        count: Number of folds.
        seed: Of the random partition.
    """
    folds = []
    for held_out in fold_masks(len(labels), count, seed):
        weights = weights_fit(logits[:, ~held_out], labels[~held_out])
        folds.append(Fold(held_out, weights, *fit_prior(logits[:, ~held_out], labels[~held_out], weights)))
    return folds


def held_out_scores(
    logits: NDArray[np.float32], folds: Sequence[Fold], balance: Sequence[float] = (0.0,)
) -> NDArray[np.float32]:
    """(M, N, C) logits to (N, C) probabilities, each face's by the ensemble fitted without its fold.

    balance: (C,) offsets in favour of rare classes, added to the fitted ones.
    """
    scores = np.empty(logits.shape[1:], np.float32)
    for fold in folds:
        weights, offsets = np.asarray(fold.weights, np.float32), np.add(fold.prior, balance)
        scores[fold.held_out] = fuse(logits[:, fold.held_out], weights, fold.temperature, offsets)
    return scores


@dataclass(eq=False)
class CrossValidation:
    """Metrics of an ensemble and of its early exit on held-out folds, partition by partition.

    Attributes:
        logits: (M, N, C) logits of the members in the order in which they run.
        labels: (N,) true classes.
        classes: (C,) names of the classes.
        times: (M,) time of each member, in any unit.
        weights_fit: How the members' weights are fitted.
        max_drop: Accuracy, 0..1, that early exit may lose.
        balance: (C,) offsets in favour of rare classes.
        ensemble: Metrics of the ensemble, one for each partition.
        early_exit: Metrics with early exit, one for each partition.
        models_per_face: Mean invocations with early exit, one for each partition.
    """

    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    times: Sequence[float]
    weights_fit: WeightsFit
    max_drop: float
    balance: Sequence[float]
    ensemble: list[Metrics] = field(default_factory=list)
    early_exit: list[Metrics] = field(default_factory=list)
    models_per_face: list[float] = field(default_factory=list)

    def add_partition(self, seed: int) -> None:
        """Fit and measure with another random partition into folds."""
        folds = fit_folds(self.logits, self.labels, self.weights_fit, seed=seed)
        self.ensemble.append(measure(held_out_scores(self.logits, folds, self.balance), self.labels, self.classes))
        scores, invocations = self.held_out_early_exit(folds)
        self.early_exit.append(measure(scores, self.labels, self.classes))
        self.models_per_face.append(float(invocations.mean()))

    def held_out_early_exit(self, folds: Sequence[Fold]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """(N, C) probabilities and (N,) models per face, each face's by an early exit fitted without its fold."""
        scores, invocations = np.empty(self.logits.shape[1:], np.float32), np.empty(len(self.labels), np.int64)
        for fold in folds:
            held_out, fitted = fold.held_out, ~fold.held_out
            cascade = fit_cascade(
                self.logits[:, fitted],
                self.labels[fitted],
                fold.weights,
                self.times,
                self.max_drop,
                fold.prior,
                self.balance,
            )
            offsets = np.add(fold.prior, self.balance)
            scores[held_out], invocations[held_out] = early_exit(
                self.logits[:, None, held_out], fold.weights, offsets, cascade
            )
        return scores, invocations
