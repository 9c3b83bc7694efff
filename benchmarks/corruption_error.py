"""Figures of robustness: means over kinds and strengths, calibration, and errors relative to a baseline's.

The mean corruption error (mCE) and the relative mCE are those of Hendrycks and Dietterich 2019 (arXiv:1903.12261).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmarks.fixtures.degradations import DEGRADATIONS, GROUPS, WORST_AT
from fer_edge.train.evaluation.intervals import mean_interval, share_interval
from fer_edge.train.evaluation.metrics import calibration_error

STRENGTHS = 5
STEPS = [(name, strength) for name, kind in DEGRADATIONS.items() for strength in kind.strengths]
"""Every strength of every kind, in the order in which the functions here expect their scores."""


def robustness_figures(scores: Sequence[NDArray[np.floating]], labels: NDArray[np.integer]) -> dict[str, Any]:
    """Accuracy and calibration error on unchanged faces and at each strength of each kind of degradation.

    Args:
        scores: (N, 7) scores of the unchanged faces, followed by those of each of STEPS.
        labels: (N,) classes.

    Returns:
        "accuracy", with its 95 % interval (Wilson), and "ece" of the unchanged faces; "degraded" and "degraded_ece",
        five values by kind; "means" by group of kinds: the accuracy over kinds and strengths, with its 95 % interval
        (bootstrap over the faces), and the kind with the largest calibration error at strength 3.
    """
    correct = np.stack([each.argmax(axis=1) == labels for each in scores])  # (1 + steps, N)
    ece = np.array([round(calibration_error(each, labels), 5) for each in scores])
    hits = correct[1:].reshape(len(DEGRADATIONS), STRENGTHS, len(labels))
    accuracies, errors = hits.mean(axis=2), ece[1:].reshape(len(DEGRADATIONS), STRENGTHS)
    figures: dict[str, Any] = {
        "accuracy": round(float(correct[0].mean()), 5),
        "interval": [round(end, 5) for end in share_interval(int(correct[0].sum()), len(labels))],
        "ece": float(ece[0]),
        "degraded": {name: each.round(5).tolist() for name, each in zip(DEGRADATIONS, accuracies, strict=True)},
        "degraded_ece": {name: each.tolist() for name, each in zip(DEGRADATIONS, errors, strict=True)},
        "means": {},
    }
    for group, names in GROUPS.items():
        indices = [list(DEGRADATIONS).index(name) for name in names]
        cases = len(names) * STRENGTHS
        interval = mean_interval(hits[indices].sum(axis=(0, 1)))
        worst = max(names, key=lambda name: figures["degraded_ece"][name][WORST_AT - 1])
        figures["means"][group] = {
            "accuracy": round(float(accuracies[indices].mean()), 5),
            "interval": [round(end / cases, 5) for end in interval],
            "worst_ece": {"kind": worst, "ece": figures["degraded_ece"][worst][WORST_AT - 1]},
        }
    return figures


def relative_errors(figures: dict[str, Any], baseline: dict[str, Any]) -> dict[str, Any]:
    """Errors relative to a baseline's on the same faces.

    Args:
        figures: What `robustness_figures` returned for a model.
        baseline: The same for the baseline.

    Returns:
        By kind, "ce", the error rates over the strengths divided by the baseline's, and "relative_ce", the same of what
        the error rates exceed those of unchanged faces by; by group of kinds their means, "mce" and "relative_mce".
        None where the baseline has no error, or loses nothing, to divide by.
    """
    kinds = {}
    for name in figures["degraded"]:
        (errors, losses), (base_errors, base_losses) = (_errors(each, name) for each in (figures, baseline))
        kinds[name] = {"ce": _ratio(errors, base_errors), "relative_ce": _ratio(losses, base_losses)}
    means = {
        group: {
            "mce": _mean([kinds[name]["ce"] for name in names]),
            "relative_mce": _mean([kinds[name]["relative_ce"] for name in names]),
        }
        for group, names in GROUPS.items()
    }
    return {"kinds": kinds, "means": means}


def _errors(figures: dict[str, Any], name: str) -> tuple[float, float]:
    """The error rates over a kind's strengths, and what they exceed those of unchanged faces by, summed."""
    errors = 1 - np.array(figures["degraded"][name])
    losses = errors - (1 - figures["accuracy"])
    return round(float(errors.sum()), 5), round(float(losses.sum()), 5)  # as exact as the accuracies


def _ratio(value: float, base: float) -> float | None:
    return round(value / base, 4) if base > 0 else None


def _mean(ratios: list[float | None]) -> float | None:
    known = [each for each in ratios if each is not None]
    return round(float(np.mean(known)), 4) if len(known) == len(ratios) else None
