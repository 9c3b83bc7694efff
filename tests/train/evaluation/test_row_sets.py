"""Figures by set of rows, and their intervals."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss

from fer_edge.train.data.duplicates import Overlap
from fer_edge.train.evaluation import row_sets
from fer_edge.train.evaluation.metrics import measure
from fer_edge.train.evaluation.row_sets import ALL, CLEAN, METRICS, NOT_EXACT, metric_intervals, row_figures

NAMES = tuple("abcdefg")


def predictions(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated (N, 7) probabilities, and labels drawn from them."""
    rng = np.random.default_rng(seed)
    scores = rng.dirichlet(np.full(7, 0.4), count)
    return scores, np.array([rng.choice(7, p=each) for each in scores])


def test_each_set_of_rows_is_measured_by_itself() -> None:
    scores, labels = predictions(60)
    exact, near = np.arange(60) < 10, (np.arange(60) >= 10) & (np.arange(60) < 25)
    figures = row_figures(scores, labels, NAMES, Overlap(exact, near))
    assert [each.pictures for each in figures.values()] == [60, 50, 35]
    for name, start in ((ALL, 0), (NOT_EXACT, 10), (CLEAN, 25)):
        metrics = measure(scores[start:], labels[start:], NAMES)
        assert figures[name].values == {metric: getattr(metrics, metric) for metric in METRICS}
        assert list(figures[name].support.values()) == metrics.support.tolist()
    assert figures[ALL].values["nll"] == pytest.approx(log_loss(labels, scores, labels=range(7)))
    assert list(row_figures(scores, labels, NAMES, None)) == [ALL]
    assert list(row_figures(scores, labels, NAMES, Overlap(np.ones(60, bool), np.zeros(60, bool)))) == [ALL]


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    scores, labels = predictions(12_000, seed=1)
    scores = scores**2 / (scores**2).sum(axis=1, keepdims=True)  # too confident
    truth = measure(scores, labels, NAMES)
    inside = dict.fromkeys(METRICS, 0)
    for start in range(0, 12_000, 300):
        rows = slice(start, start + 300)
        for metric, (low, high) in metric_intervals(scores[rows], labels[rows]).items():
            inside[metric] += low <= getattr(truth, metric) <= high
    # of 40 intervals of 95 %, 33 hold the truth with a probability of 0.999
    assert min(inside.values()) >= 33, inside


def test_intervals_are_the_same_each_time_and_allow_absent_classes() -> None:
    scores, labels = predictions(30)
    labels[labels == 1] = 2
    first = metric_intervals(scores, labels)
    assert first == metric_intervals(scores, labels)
    assert all(np.isfinite(ends).all() and ends[0] <= ends[1] for ends in map(np.array, first.values()))


def test_intervals_of_many_rows_are_drawn_in_smaller_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, labels = predictions(30)
    whole = list(metric_intervals(scores, labels).values())
    monkeypatch.setattr(row_sets, "_DRAWS", 7 * 30)
    assert np.allclose(list(metric_intervals(scores, labels).values()), whole, atol=1e-6)
