"""Scores: what unsure eyes do to them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fer_edge.edge.expression.scores import SURE_EYES, UNSURE_EYES, discount, softmax

ROWS = softmax(np.random.default_rng(0).normal(0, 3, (4, 7)).astype(np.float32))


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_unsure_eyes_lower_the_confidence_and_keep_the_order(eye_scores: list[float]) -> None:
    discounted = discount(ROWS, eye_scores)
    assert discounted.dtype == np.float32
    np.testing.assert_allclose(discounted.sum(axis=1), 1, atol=1e-5)
    for row, before, eye_score in zip(discounted, ROWS, eye_scores, strict=True):
        if eye_score >= SURE_EYES:
            np.testing.assert_array_equal(row, before)
        elif eye_score <= UNSURE_EYES:
            np.testing.assert_allclose(row, 1 / 7, atol=1e-6)
        else:
            assert 1 / 7 - 1e-6 <= row.max() <= before.max() + 1e-6 and row.argmax() == before.argmax()


def test_no_face_has_no_scores() -> None:
    assert discount(ROWS[:0], []).shape == (0, 7)
