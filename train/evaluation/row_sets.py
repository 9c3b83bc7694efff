"""Metrics with 95 % intervals on all rows of a split, and on those that are not in the train split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.train.data.duplicates import Overlap
from fer_edge.train.evaluation.metrics import confidence_bins, measure, negative_log_likelihoods

ALL, NOT_EXACT, CLEAN = "all", "not_exact", "clean"
"""All rows, as papers count; those not byte for byte in the train split; those whose photograph is not there."""

WORDS = {ALL: "all rows", NOT_EXACT: "not byte for byte in train", CLEAN: "photograph not in train"}
METRICS = ("accuracy", "balanced_accuracy", "ece", "nll")

RESAMPLES = 1000
"""Bootstrap resamples of an interval."""

_BINS = 15
_BLOCK, _DRAWS = 100, 1 << 22
"""Resamples that are drawn at once; fewer where they would have more rows than _DRAWS, of 20 bytes each."""


@dataclass(frozen=True)
class RowFigures:
    """Metrics on some rows of a split.

    Attributes:
        support: Pictures of each class.
        values: Value of each of METRICS.
        intervals: Its 95 % interval.
    """

    support: dict[str, int]
    values: dict[str, float]
    intervals: dict[str, tuple[float, float]]

    @property
    def pictures(self) -> int:
        """The number of rows."""
        return sum(self.support.values())

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain numbers, for JSON."""
        values = {name: round(value, 5) for name, value in self.values.items()}
        intervals = {name: [round(end, 5) for end in ends] for name, ends in self.intervals.items()}
        return {"pictures": self.pictures, **values, "intervals": intervals, "support": self.support}


def row_masks(count: int, overlap: Overlap | None) -> dict[str, NDArray[np.bool_]]:
    """(N,) bool masks by ALL, NOT_EXACT and CLEAN; without empty ones, and ALL alone where the overlap is unknown."""
    masks = {ALL: np.ones(count, bool)}
    if overlap is not None:
        masks |= {NOT_EXACT: ~overlap.exact, CLEAN: overlap.clean}
    return {name: mask for name, mask in masks.items() if mask.any()}


def row_figures(
    probabilities: NDArray[np.floating],
    labels: NDArray[np.integer],
    classes: tuple[str, ...],
    overlap: Overlap | None,
) -> dict[str, RowFigures]:
    """Measure predictions on each set of rows.

    Args:
        probabilities: (N, C).
        labels: (N,) true classes.
        classes: (C,) names of the classes.
        overlap: The rows that are in the train split, or None where that is not known.

    Returns:
        The figures by ALL, NOT_EXACT and CLEAN; ALL alone where the overlap is not known.
    """
    masks = row_masks(len(labels), overlap)
    return {name: _figures(probabilities[mask], labels[mask], classes) for name, mask in masks.items()}


def to_dicts(figures: Mapping[str, RowFigures]) -> dict[str, dict[str, Any]]:
    """The figures by set of rows as plain numbers, for JSON."""
    return {name: each.to_dict() for name, each in figures.items()}


def row_table(figures: Mapping[str, RowFigures]) -> str:
    """The figures by set of rows as text."""
    lines = [f"{'rows':28}pictures  accuracy, %            balanced, %            ECE                     NLL"]
    for name, each in figures.items():
        shares = "".join(_cell(each, metric, 100, 2) for metric in METRICS[:2])
        errors = "".join(_cell(each, metric, 1, 4) for metric in METRICS[2:])
        lines.append(f"{WORDS[name]:28}{each.pictures:8}  {shares}{errors}".rstrip())
    return "\n".join([*lines, "in brackets: 95 % intervals (bootstrap)"])


def _cell(figures: RowFigures, metric: str, scale: int, digits: int) -> str:
    low, high = (scale * end for end in figures.intervals[metric])
    return f"{scale * figures.values[metric]:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})".ljust(24)


def _figures(probabilities: NDArray[np.floating], labels: NDArray[np.integer], classes: tuple[str, ...]) -> RowFigures:
    metrics = measure(probabilities, labels, classes)
    support = dict(zip(classes, map(int, metrics.support), strict=True))
    values = {name: float(getattr(metrics, name)) for name in METRICS}
    return RowFigures(support, values, metric_intervals(probabilities, labels))


def metric_intervals(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer]
) -> dict[str, tuple[float, float]]:
    """The 95 % intervals of METRICS: percentile bootstrap over rows (Efron 1979) with a fixed seed.

    The calibration error is biased upwards, the more the fewer rows there are, and in resamples once more; its interval
    is therefore that of the difference to the error on all rows (basic bootstrap; Davison & Hinkley 1997, 5.2), and
    reaches at least to the error itself.

    Args:
        probabilities: (N, C).
        labels: (N,) true classes.

    Returns:
        Lower and upper end of each.
    """
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    classes = np.eye(probabilities.shape[1])[labels]  # (N, C)
    bins = np.eye(_BINS)[confidence_bins(confidence, _BINS)]  # (N, 15)
    parts = (
        classes,
        classes * correct[:, None],
        bins * (correct - confidence)[:, None],
        negative_log_likelihoods(probabilities, labels)[:, None],
    )
    rows = np.concatenate(parts, axis=1).astype(np.float32)
    rng, count = np.random.default_rng(0), len(labels)
    block = max(1, min(_BLOCK, _DRAWS // count))
    sums = []
    for start in range(0, RESAMPLES, block):
        size = min(block, RESAMPLES - start)
        draws = rng.integers(0, count, (size, count)) + count * np.arange(size)[:, None]
        weights = np.bincount(draws.ravel(), minlength=size * count).reshape(size, count)
        sums.append(weights.astype(np.float32) @ rows)
    support, hits, gaps, losses = np.split(np.concatenate(sums), np.cumsum([each.shape[1] for each in parts[:-1]]), 1)
    with np.errstate(invalid="ignore"):
        recalls = hits / np.where(support > 0, support, np.nan)
    resampled = {
        "accuracy": hits.sum(axis=1) / count,
        "balanced_accuracy": np.nanmean(recalls, axis=1),
        "ece": np.abs(gaps).sum(axis=1) / count,
        "nll": losses[:, 0] / count,
    }
    intervals = {name: np.percentile(values, (2.5, 97.5)) for name, values in resampled.items()}
    first = 2 * classes.shape[1]
    ece = float(np.abs(rows[:, first : first + _BINS].sum(axis=0)).sum() / count)
    low, high = 2 * ece - intervals["ece"][::-1]
    intervals["ece"] = np.array([max(low, 0), max(high, ece)])
    return {name: (float(low), float(high)) for name, (low, high) in intervals.items()}
