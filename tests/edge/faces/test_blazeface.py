"""BlazeFace's anchors, decoding and blending."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_edge.edge.faces.blazeface import LAYERS
from fer_edge.edge.faces.blazeface_decoding import BLEND_IOU, BLENDED, blend_best, decode, make_anchors


def test_there_is_an_anchor_for_each_output_row() -> None:
    centres = make_anchors(LAYERS, 128, 128)
    assert centres.shape == (896, 2)
    assert centres.min() > 0 and centres.max() < 128
    np.testing.assert_allclose(centres.mean(axis=0), 64, atol=1e-4)
    np.testing.assert_allclose(centres[0], LAYERS[0][0] / 2)


def test_decoding_puts_boxes_and_points_at_their_anchor() -> None:
    centres = make_anchors(LAYERS, 96, 128)
    regressors = np.zeros((len(centres), 16), np.float32)
    regressors[10] = [4, -2, 20, 30, *range(12)]
    logits = np.full(len(centres), -1e9, np.float32)
    logits[10] = 1e9
    rows = decode(regressors, logits, centres)
    x, y = centres[10]
    assert rows.shape == (BLENDED, 17) and np.isfinite(rows).all()
    np.testing.assert_allclose(rows[0, :4], [x - 6, y - 17, x + 14, y + 13], atol=1e-4)
    np.testing.assert_allclose(rows[0, 4:16].reshape(6, 2) - (x, y), np.arange(12).reshape(6, 2), atol=1e-4)
    assert rows[0, 16] == 1 and rows[1, 16] < 1e-30


sizes = st.tuples(*[st.floats(0, 100, width=32)] * 4, st.floats(0.125, 1, width=32))


@settings(max_examples=50)
@given(st.lists(sizes, min_size=1, max_size=12))
def test_a_blended_face_lies_within_its_parts_and_has_the_best_score(drawn: list[tuple[float, ...]]) -> None:
    rows = np.zeros((len(drawn), 17), np.float32)
    for row, (x, y, width, height, score) in zip(rows, sorted(drawn, key=lambda each: -each[-1]), strict=True):
        row[:4], row[-1] = (x, y, x + width, y + height), score
    face = blend_best(rows)
    assert face.shape == (17,) and face[-1] == rows[0, -1]
    assert face[:4].min() >= rows[:, :4].min() - 1e-3 and face[:4].max() <= rows[:, :4].max() + 1e-3


def test_blending_is_the_score_weighted_mean() -> None:
    rows = np.zeros((3, 17), np.float32)
    rows[:, :4] = [(0, 0, 10, 10), (2, 0, 12, 10), (50, 50, 60, 60)]
    rows[:, -1] = 0.9, 0.6, 0.5
    assert BLEND_IOU < 80 / 120
    assert blend_best(rows)[0] == pytest.approx(2 * 0.6 / 1.5)
