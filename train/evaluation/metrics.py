"""Figures of a classifier from its probabilities and the labels; numpy alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.types import EMOTIONS


@dataclass(frozen=True, eq=False)
class Metrics:
    """Fractions are 0..1; confusion is (7, 7) counts, row = true class, column = predicted."""

    accuracy: float
    balanced_accuracy: float
    ece: float
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    support: NDArray[np.int64]
    confusion: NDArray[np.int64]

    def to_dict(self) -> dict[str, object]:
        """The same as plain numbers, for JSON."""
        per_class = {
            name: {
                "precision": round(float(self.precision[i]), 4),
                "recall": round(float(self.recall[i]), 4),
                "f1": round(float(self.f1[i]), 4),
                "support": int(self.support[i]),
            }
            for i, name in enumerate(EMOTIONS)
        }
        return {
            "accuracy": round(self.accuracy, 5),
            "balanced_accuracy": round(self.balanced_accuracy, 5),
            "ece": round(self.ece, 5),
            "per_class": per_class,
            "confusion": self.confusion.tolist(),
        }


def measure(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> Metrics:
    """Metrics of (N, 7) probabilities against (N,) labels. A class without pictures counts in no mean."""
    predicted = probabilities.argmax(axis=1)
    classes = len(EMOTIONS)
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    support, hits, claimed = confusion.sum(axis=1), confusion.diagonal(), confusion.sum(axis=0)
    recall = hits / np.maximum(support, 1)
    precision = hits / np.maximum(claimed, 1)
    f1 = 2 * hits / np.maximum(support + claimed, 1)
    return Metrics(
        accuracy=float(np.mean(predicted == labels)),
        balanced_accuracy=float(recall[support > 0].mean()),
        ece=calibration_error(probabilities, labels),
        precision=precision,
        recall=recall,
        f1=f1,
        support=support,
        confusion=confusion,
    )


def reliability(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], bins: int = 15
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """(confidence, accuracy, share of pictures) of each bin of equal width that holds any (Guo et al. 2017)."""
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    which = np.clip((confidence * bins).astype(int), 0, bins - 1)
    filled = [which == index for index in range(bins) if np.any(which == index)]
    rows = [(confidence[here].mean(), correct[here].mean(), here.mean()) for here in filled]
    mean, hits, share = np.array(rows, np.float64).T
    return mean, hits, share


def calibration_error(probabilities: NDArray[np.floating], labels: NDArray[np.integer], bins: int = 15) -> float:
    """Expected calibration error with equal-width bins (Guo et al. 2017, arXiv:1706.04599)."""
    confidence, accuracy, share = reliability(probabilities, labels, bins)
    return float(np.sum(np.abs(accuracy - confidence) * share))
