"""Temperature, class offsets and weights fitted to a split, and what is held out of a fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fer_edge.edge.expression.scores import fuse
from fer_edge.train.ensemble.calibration import (
    equal_weights,
    fit_prior,
    fit_temperature,
    fit_weights,
    rare_class_offsets,
)
from fer_edge.train.ensemble.cross_validation import fit_folds, fold_masks, held_out_scores

LOGITS = arrays(np.float32, (2, 5, 7), elements=st.floats(-20, 20, width=32))


@given(LOGITS)
def test_rare_classes_gain_by_their_frequency(logits: np.ndarray) -> None:
    counts = np.array([1000, 10, 1000, 1000, 1000, 1000, 1000])
    even = np.full(len(logits), 1 / len(logits))
    plain, favoured = (fuse(logits, even, 1.0, rare_class_offsets(counts, strength)) for strength in (0, 0.5))
    assert np.allclose(plain, fuse(logits, even, 1.0))
    assert np.all(favoured[:, 1] >= plain[:, 1]) and np.allclose(favoured.sum(axis=1), 1, atol=1e-5)
    odds = rare_class_offsets(counts, 0.5)
    assert odds[1] - odds[0] == pytest.approx(np.log(10), abs=1e-4) and sum(odds) == pytest.approx(0, abs=1e-4)


def sample(members: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """(M, 4000, 7) logits, and labels drawn from their fused probabilities."""
    rng = np.random.default_rng(4)
    logits = rng.normal(0, 2, (members, 4000, 7)).astype(np.float32)
    shares = fuse(logits, np.full(members, 1 / members), 1.0)
    return logits, (shares.cumsum(axis=1) > rng.random((4000, 1))).argmax(axis=1)


def test_fitted_temperature_undoes_a_known_one() -> None:
    logits, labels = sample()
    _, temperature = fit_temperature(logits * 3, labels, np.ones(1, np.float32))
    assert temperature == pytest.approx(3, rel=0.1)


def test_a_fitted_prior_undoes_a_known_shift_of_the_classes() -> None:
    logits, labels = sample()
    shift = np.array([0.5, -0.5, 0, 1, -1, 0.25, -0.25], np.float32)
    _, offsets = fit_prior(logits + shift, labels, (1.0,))
    rarest = np.bincount(labels).min()
    assert offsets == pytest.approx(-shift, abs=3 / rarest**0.5)  # three standard errors of that class's share


def test_with_a_fitted_prior_each_class_is_predicted_as_often_as_it_occurs_and_labels_are_likelier() -> None:
    logits, labels = sample(3)
    even = np.full(3, 1 / 3, np.float32)
    skewed = logits + np.linspace(-1, 1, 7, dtype=np.float32)
    temperature, offsets = fit_prior(skewed, labels, even)
    predicted = fuse(skewed, even, temperature, offsets).mean(axis=0)
    assert predicted == pytest.approx(np.bincount(labels) / len(labels), abs=0.001)
    assert fit_temperature(skewed, labels, even, offsets)[0] < fit_temperature(skewed, labels, even)[0]


def test_a_class_without_examples_has_a_finite_offset() -> None:
    logits, labels = sample()
    labels[labels == 1] = 0
    assert np.all(np.isfinite(fit_prior(logits, labels, (1.0,))[1]))


def test_held_out_faces_are_not_fitted_on() -> None:
    """Labels are random: they are likelier where they were fitted on than where they were held out."""
    rng = np.random.default_rng(6)
    logits, labels = rng.normal(0, 1, (1, 300, 7)).astype(np.float32), rng.integers(0, 7, 300)
    temperature, offsets = fit_prior(logits, labels, (1.0,))
    own, other = (
        fuse(logits, np.ones(1), temperature, offsets),
        held_out_scores(logits, fit_folds(logits, labels, equal_weights)),
    )
    assert np.allclose(other.sum(axis=1), 1, atol=1e-5)
    assert np.log(own[np.arange(300), labels]).mean() > np.log(other[np.arange(300), labels]).mean()


def test_fitted_weights_prefer_the_member_that_knows() -> None:
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 7, 500)
    knows = rng.normal(0, 1, (500, 7)).astype(np.float32) + 3 * np.eye(7, dtype=np.float32)[labels]
    logits = np.stack([knows, rng.normal(0, 3, (500, 7)).astype(np.float32)])
    assert fit_weights(logits, labels)[0] == 0.9, "the other one keeps the least weight: it may run first"


@pytest.mark.slow
def test_a_held_out_face_is_weighted_without_its_label() -> None:
    logits, labels = sample(2)
    held_out = next(fold_masks(len(labels), 5))
    sizes: list[int] = []

    def weigh(_: np.ndarray, truth: np.ndarray) -> tuple[float, ...]:
        sizes.append(len(truth))
        return (1.0, 0.0) if np.array_equal(truth, labels[~held_out]) else (0.0, 1.0)

    scores = held_out_scores(logits, fit_folds(logits, labels, weigh))
    alone = [held_out_scores(each, fit_folds(each, labels, equal_weights)) for each in (logits[:1], logits[1:])]
    assert sizes == [len(labels) - mask.sum() for mask in fold_masks(len(labels), 5)]
    assert np.allclose(scores[held_out], alone[0][held_out]) and np.allclose(scores[~held_out], alone[1][~held_out])
