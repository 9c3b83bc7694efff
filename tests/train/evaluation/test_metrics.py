"""Metrics against scikit-learn's definitions, worked by hand where it has none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn

from fer_edge.train.evaluation.metrics import calibration_error, measure

NAMES = tuple("abcdefg")


@given(st.integers(0, 2**32 - 1), st.integers(7, 200))
@settings(max_examples=30)
def test_against_scikit_learn(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    scores, labels = rng.dirichlet(np.ones(7), count), np.concatenate([np.arange(7), rng.integers(0, 7, count - 7)])
    ours, predicted = measure(scores, labels, NAMES), scores.argmax(axis=1)
    assert np.array_equal(ours.confusion, sklearn.confusion_matrix(labels, predicted, labels=range(7)))
    assert ours.balanced_accuracy == pytest.approx(sklearn.balanced_accuracy_score(labels, predicted))
    precision, recall, f1, support = sklearn.precision_recall_fscore_support(
        labels, predicted, labels=range(7), zero_division=0
    )
    for one, other in ((ours.precision, precision), (ours.recall, recall), (ours.f1, f1), (ours.support, support)):
        assert np.allclose(one, other)


def test_calibration_error_by_hand() -> None:
    sure = np.eye(7)[[0, 0, 1, 1]]
    assert calibration_error(sure, np.array([0, 0, 1, 1])) == 0
    assert calibration_error(sure, np.array([0, 0, 0, 0])) == pytest.approx(0.5)


def test_absent_class_counts_in_no_mean() -> None:
    scores = np.eye(7)[[3, 3, 4]]
    assert measure(scores, np.array([3, 3, 4]), NAMES).balanced_accuracy == 1.0
