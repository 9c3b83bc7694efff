"""The geometry between BlazeFace's network and the frame."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_edge.edge.faces.blazeface import (
    BACK,
    COLUMNS,
    FULL,
    OVERLAP,
    SHORT,
    SHORTEST,
    Variant,
    anchors,
    blend,
    decode,
    letterbox,
    overlaps,
)


@pytest.mark.parametrize(("variant", "count"), [(SHORT, 896), (BACK, 896), (FULL, 2304)])
def test_anchors_are_the_networks_rows(variant: Variant, count: int) -> None:
    centres = anchors(variant, variant.size, variant.size)
    assert centres.shape == (count, 2)
    assert centres.min() > 0 and centres.max() < variant.size
    np.testing.assert_allclose(centres.mean(axis=0), variant.size / 2, atol=1e-4)
    np.testing.assert_allclose(centres[0], variant.layers[0][0] / 2)


@settings(max_examples=40)
@given(st.integers(1, 800), st.integers(1, 800), st.sampled_from([SHORT, FULL, BACK]), st.data())
def test_letterbox_round_trip(width: int, height: int, variant: Variant, data: st.DataObject) -> None:
    small, laid = letterbox(np.full((height, width, 3), 200, np.uint8), variant.size, variant.grain)
    sides = small.shape[:2]
    assert max(sides) == variant.size and all(side % variant.grain == 0 for side in sides)
    x = data.draw(st.floats(0, width))
    y = data.draw(st.floats(0, height))
    row = np.zeros((1, COLUMNS), np.float32)
    row[0, 0:-1:2], row[0, 1:-1:2] = x * laid.scale + laid.left, y * laid.scale + laid.top
    back = laid.restore(row)
    # Half a pixel of the input is the layout's own rounding; float32 of 800 is exact to 2e-4.
    np.testing.assert_allclose(back[0, 0:-1:2], x, atol=0.5 / laid.scale + 1e-3)
    np.testing.assert_allclose(back[0, 1:-1:2], y, atol=0.5 / laid.scale + 1e-3)
    filled = max(1, round(width * laid.scale)) * max(1, round(height * laid.scale))
    assert int((small[..., 0] == 200).sum()) == filled
    assert (
        min(sides) == max(variant.grain, SHORTEST * variant.size)
        or filled > np.prod(sides) - variant.size * variant.grain
    )


def test_decoding_puts_boxes_and_points_at_their_anchor() -> None:
    centres = anchors(SHORT, 96, 128)
    regressors = np.zeros((len(centres), 16), np.float32)
    regressors[10] = [4, -2, 20, 30, *range(12)]
    logits = np.full(len(centres), -1e9, np.float32)
    logits[10] = 1e9
    (row,) = decode(regressors, logits, centres, SHORT)
    x, y = centres[10]
    expected = [x - 6, y - 17, x + 14, y + 13]
    np.testing.assert_allclose(row[:4], expected, atol=1e-4)
    np.testing.assert_allclose(row[4:16].reshape(6, 2) - (x, y), np.arange(12).reshape(6, 2), atol=1e-4)
    assert row[16] == 1 and np.isfinite(row).all()


sizes = st.tuples(*[st.floats(0, 100, width=32)] * 4, st.floats(0.5, 1, width=32))


@settings(max_examples=50)
@given(st.lists(sizes, max_size=12))
def test_blending_keeps_distinct_faces_and_the_best_scores(drawn: list[tuple[float, ...]]) -> None:
    rows = np.zeros((len(drawn), COLUMNS), np.float32)
    for row, (x, y, width, height, score) in zip(rows, drawn, strict=True):
        row[:4], row[-1] = (x, y, x + width, y + height), score
    found = blend(rows)
    assert found.shape == (len(found), COLUMNS) and len(found) <= len(rows)
    if not len(rows):
        return
    assert found[0, -1] == rows[:, -1].max()
    assert np.all(np.diff(found[:, -1]) <= 0)
    assert set(found[:, -1].tolist()) <= set(rows[:, -1].tolist())
    assert found[:, :4].min() >= rows[:, :4].min() - 1e-4 and found[:, :4].max() <= rows[:, :4].max() + 1e-4
    assert np.isfinite(overlaps(found[0, :4], rows[:, :4])).all()


def test_blending_is_the_score_weighted_mean() -> None:
    rows = np.zeros((3, COLUMNS), np.float32)
    rows[:, :4] = [(0, 0, 10, 10), (2, 0, 12, 10), (50, 50, 60, 60)]
    rows[:, -1] = 0.9, 0.6, 0.7
    assert overlaps(rows[0, :4], rows[:, :4]) == pytest.approx([1, 80 / 120, 0])
    assert OVERLAP < 80 / 120
    np.testing.assert_allclose(blend(rows)[:, 0], [2 * 0.6 / 1.5, 50], rtol=1e-6)
    np.testing.assert_allclose(blend(rows)[:, -1], [0.9, 0.7])
