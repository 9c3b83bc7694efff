"""BlazeFace's anchors, letterbox, decoding and blending."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_edge.edge.faces.blazeface import (
    BACK_CAMERA,
    FULL_RANGE,
    MIN_ASPECT,
    SHORT_RANGE,
    Variant,
    letterbox,
)
from fer_edge.edge.faces.blazeface_decoding import (
    BLEND_IOU,
    DETECTION_COLUMNS,
    blend,
    decode,
    iou_with_boxes,
    make_anchors,
)


@pytest.mark.parametrize(("variant", "count"), [(SHORT_RANGE, 896), (BACK_CAMERA, 896), (FULL_RANGE, 2304)])
def test_there_is_an_anchor_for_each_output_row(variant: Variant, count: int) -> None:
    centres = make_anchors(variant.layers, variant.size, variant.size)
    assert centres.shape == (count, 2)
    assert centres.min() > 0 and centres.max() < variant.size
    np.testing.assert_allclose(centres.mean(axis=0), variant.size / 2, atol=1e-4)
    np.testing.assert_allclose(centres[0], variant.layers[0][0] / 2)


@settings(max_examples=40)
@given(st.integers(1, 800), st.integers(1, 800), st.sampled_from([SHORT_RANGE, FULL_RANGE, BACK_CAMERA]), st.data())
def test_letterbox_round_trip(width: int, height: int, variant: Variant, data: st.DataObject) -> None:
    small, placement = letterbox(np.full((height, width, 3), 200, np.uint8), variant.size, variant.side_multiple)
    sides = small.shape[:2]
    assert max(sides) == variant.size and all(side % variant.side_multiple == 0 for side in sides)
    x = data.draw(st.floats(0, width))
    y = data.draw(st.floats(0, height))
    row = np.zeros((1, DETECTION_COLUMNS), np.float32)
    row[0, 0:-1:2], row[0, 1:-1:2] = x * placement.scale + placement.left, y * placement.scale + placement.top
    restored = placement.restore(row)
    # Half a pixel of the input is the letterbox's own rounding; float32 of 800 is exact to 2e-4.
    np.testing.assert_allclose(restored[0, 0:-1:2], x, atol=0.5 / placement.scale + 1e-3)
    np.testing.assert_allclose(restored[0, 1:-1:2], y, atol=0.5 / placement.scale + 1e-3)
    filled = max(1, round(width * placement.scale)) * max(1, round(height * placement.scale))
    assert int((small[..., 0] == 200).sum()) == filled
    assert (
        min(sides) == max(variant.side_multiple, MIN_ASPECT * variant.size)
        or filled > np.prod(sides) - variant.size * variant.side_multiple
    )


def test_decoding_puts_boxes_and_points_at_their_anchor() -> None:
    centres = make_anchors(SHORT_RANGE.layers, 96, 128)
    regressors = np.zeros((len(centres), 16), np.float32)
    regressors[10] = [4, -2, 20, 30, *range(12)]
    logits = np.full(len(centres), -1e9, np.float32)
    logits[10] = 1e9
    (row,) = decode(regressors, logits, centres, SHORT_RANGE.threshold)
    x, y = centres[10]
    expected = [x - 6, y - 17, x + 14, y + 13]
    np.testing.assert_allclose(row[:4], expected, atol=1e-4)
    np.testing.assert_allclose(row[4:16].reshape(6, 2) - (x, y), np.arange(12).reshape(6, 2), atol=1e-4)
    assert row[16] == 1 and np.isfinite(row).all()


sizes = st.tuples(*[st.floats(0, 100, width=32)] * 4, st.floats(0.5, 1, width=32))


@settings(max_examples=50)
@given(st.lists(sizes, max_size=12))
def test_blending_keeps_distinct_faces_and_the_best_scores(drawn: list[tuple[float, ...]]) -> None:
    rows = np.zeros((len(drawn), DETECTION_COLUMNS), np.float32)
    for row, (x, y, width, height, score) in zip(rows, drawn, strict=True):
        row[:4], row[-1] = (x, y, x + width, y + height), score
    faces = blend(rows)
    assert faces.shape == (len(faces), DETECTION_COLUMNS) and len(faces) <= len(rows)
    if not len(rows):
        return
    assert faces[0, -1] == rows[:, -1].max()
    assert np.all(np.diff(faces[:, -1]) <= 0)
    assert set(faces[:, -1].tolist()) <= set(rows[:, -1].tolist())
    assert faces[:, :4].min() >= rows[:, :4].min() - 1e-4 and faces[:, :4].max() <= rows[:, :4].max() + 1e-4
    assert np.isfinite(iou_with_boxes(faces[0, :4], rows[:, :4])).all()


def test_blending_is_the_score_weighted_mean() -> None:
    rows = np.zeros((3, DETECTION_COLUMNS), np.float32)
    rows[:, :4] = [(0, 0, 10, 10), (2, 0, 12, 10), (50, 50, 60, 60)]
    rows[:, -1] = 0.9, 0.6, 0.7
    assert iou_with_boxes(rows[0, :4], rows[:, :4]) == pytest.approx([1, 80 / 120, 0])
    assert BLEND_IOU < 80 / 120
    np.testing.assert_allclose(blend(rows)[:, 0], [2 * 0.6 / 1.5, 50], rtol=1e-6)
    np.testing.assert_allclose(blend(rows)[:, -1], [0.9, 0.7])
