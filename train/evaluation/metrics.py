"""Metrics of a classifier from its probabilities and the labels; numpy alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Metrics:
    """Metrics of a classifier on a labelled split; fractions are 0..1.

    Attributes:
        classes: (C,) names of the classes.
        accuracy: Share of correct predictions.
        balanced_accuracy: Mean recall of the classes.
        ece: Expected calibration error.
        nll: Mean negative log-likelihood of the labels, nats, which temperatures are fitted on.
        precision: (C,) by class.
        recall: (C,) by class.
        f1: (C,) by class.
        support: (C,) pictures of each class.
        confusion: (C, C) counts; rows are true classes, columns predicted ones.
    """

    classes: tuple[str, ...]
    accuracy: float
    balanced_accuracy: float
    ece: float
    nll: float
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    support: NDArray[np.int64]
    confusion: NDArray[np.int64]

    def to_dict(self) -> dict[str, object]:
        """The metrics as plain numbers, for JSON."""
        per_class = {
            name: {
                "precision": round(float(self.precision[i]), 4),
                "recall": round(float(self.recall[i]), 4),
                "f1": round(float(self.f1[i]), 4),
                "support": int(self.support[i]),
            }
            for i, name in enumerate(self.classes)
        }
        return {
            "accuracy": round(self.accuracy, 5),
            "balanced_accuracy": round(self.balanced_accuracy, 5),
            "ece": round(self.ece, 5),
            "nll": round(self.nll, 5),
            "per_class": per_class,
            "confusion": self.confusion.tolist(),
        }


def measure(probabilities: NDArray[np.floating], labels: NDArray[np.integer], classes: tuple[str, ...]) -> Metrics:
    """Measure predictions against labels. A class without pictures counts in no mean.

    Args:
        probabilities: (N, C).
        labels: (N,) true classes.
        classes: (C,) names of the classes.
    """
    predicted = probabilities.argmax(axis=1)
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    support, correct, predictions = confusion.sum(axis=1), confusion.diagonal(), confusion.sum(axis=0)
    recall = correct / np.maximum(support, 1)
    precision = correct / np.maximum(predictions, 1)
    f1 = 2 * correct / np.maximum(support + predictions, 1)
    return Metrics(
        classes=classes,
        accuracy=float(np.mean(predicted == labels)),
        balanced_accuracy=float(recall[support > 0].mean()),
        ece=calibration_error(probabilities, labels),
        nll=float(negative_log_likelihoods(probabilities, labels).mean()),
        precision=precision,
        recall=recall,
        f1=f1,
        support=support,
        confusion=confusion,
    )


def negative_log_likelihoods(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """(N,) negative log-likelihood of each label, nats, at most that of a probability of 1e-9."""
    return -np.log(np.maximum(probabilities[np.arange(len(labels)), labels].astype(np.float64), 1e-9))


def reliability(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], bins: int = 15
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The reliability diagram's points (Guo et al. 2017, arXiv:1706.04599).

    Args:
        probabilities: (N, C).
        labels: (N,) true classes.
        bins: Number of bins of equal width; empty ones are left out.

    Returns:
        Mean confidence, accuracy and share of the pictures of each bin.
    """
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    bin_of = confidence_bins(confidence, bins)
    masks = [bin_of == index for index in range(bins) if np.any(bin_of == index)]
    rows = [(confidence[mask].mean(), correct[mask].mean(), mask.mean()) for mask in masks]
    mean_confidence, accuracy, share = np.array(rows, np.float64).T
    return mean_confidence, accuracy, share


def confidence_bins(confidence: NDArray[np.floating], bins: int = 15) -> NDArray[np.int64]:
    """(N,) int64 bin of each confidence, 0..1, of bins of equal width."""
    return np.clip((confidence * bins).astype(np.int64), 0, bins - 1)


def calibration_error(probabilities: NDArray[np.floating], labels: NDArray[np.integer], bins: int = 15) -> float:
    """Expected calibration error (ECE), 0..1, of (N, C) probabilities, with bins of equal width (Guo et al. 2017)."""
    confidence, accuracy, share = reliability(probabilities, labels, bins)
    return float(np.sum(np.abs(accuracy - confidence) * share))
