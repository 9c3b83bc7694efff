"""YuNet's input, output ranges, decoding, and one detection per face."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fer_edge.edge.faces.boxes import iou_with_boxes, share_in_boxes
from fer_edge.edge.faces.yunet import MAX_STRETCH, SIDE_MULTIPLE, plan_input
from fer_edge.edge.faces.yunet_decoding import (
    CHANNELS,
    DETECTION_COLUMNS,
    SAME_FACE_IOU,
    SAME_FACE_SHARE,
    STRIDES,
    OutputRange,
    best_of_each_face,
    decode,
)

RANGE = OutputRange(np.full(CHANNELS, -8, np.float32), np.full(CHANNELS, 8, np.float32))


@settings(max_examples=40)
@given(st.integers(1, 900), st.integers(1, 900), st.floats(0.1, 2), st.booleans(), st.data())
def test_a_place_in_the_input_is_one_in_the_picture(
    width: int, height: int, scale: float, square: bool, data: st.DataObject
) -> None:
    plan = plan_input((width, height), scale, square)
    placed = plan.place(np.full((height, width, 3), 200, np.uint8))
    assert placed.shape == (plan.height, plan.width, 3)
    assert plan.height % SIDE_MULTIPLE == plan.width % SIDE_MULTIPLE == 0
    assert int((placed[..., 0] == 200).sum()) == plan.inner[0] * plan.inner[1]
    if square:
        assert plan.width == plan.height
    elif plan.inner == (plan.width, plan.height):
        stretch = plan.scale[0] / plan.scale[1]
        assert max(stretch, 1 / stretch) <= MAX_STRETCH**2 + 1e-6
    else:  # less than one multiple of padding
        assert plan.width - plan.inner[0] < SIDE_MULTIPLE and plan.height - plan.inner[1] < SIDE_MULTIPLE
    x, y = data.draw(st.floats(0, width)), data.draw(st.floats(0, height))
    row = np.zeros((1, DETECTION_COLUMNS), np.float32)
    row[0, 0:-1:2], row[0, 1:-1:2], row[0, -1] = x * plan.scale[0], y * plan.scale[1], 0.5
    restored = plan.restore(row)
    np.testing.assert_allclose(restored[0, 0:-1:2], x, rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(restored[0, 1:-1:2], y, rtol=1e-5, atol=1e-3)
    assert restored[0, -1] == 0.5


def cells_with_a_face(column: int, row: int) -> tuple[NDArray[np.int8], ...]:
    """Outputs for an input of 96x64 pixels with one sure cell at stride 16, whose other values are all 0."""
    outputs = [np.full((1, 64 // stride, 96 // stride, CHANNELS), -127, np.int8) for stride in STRIDES]
    outputs[1][0, row, column] = 0
    outputs[1][0, row, column, :2] = 127
    return tuple(outputs)


@given(st.integers(0, 5), st.integers(0, 3))
def test_decoding_puts_a_box_and_points_at_its_cell(column: int, row: int) -> None:
    (detection,) = decode(cells_with_a_face(column, row), RANGE, RANGE.scores(), 0.5)
    x, y = 16 * column, 16 * row
    # an offset of 0 is the cell's corner, a logarithm of 0 is one stride
    np.testing.assert_allclose(detection[:4], [x - 8, y - 8, x + 8, y + 8], atol=1e-4)
    np.testing.assert_allclose(detection[4:14].reshape(5, 2), [(x, y)] * 5, atol=1e-4)
    assert detection[-1] == pytest.approx(1 / (1 + math.exp(-8)), rel=1e-5)


def test_nothing_is_decoded_from_low_scores() -> None:
    outputs = cells_with_a_face(2, 1)
    outputs[1][0, 1, 2, 1] = 0  # one of two logits is 0: the score is the square root of a half
    assert decode(outputs, RANGE, RANGE.scores(), 0.72).shape == (0, DETECTION_COLUMNS)
    assert len(decode(outputs, RANGE, RANGE.scores(), 0.69)) == 1


@given(st.lists(st.integers(-127, 127), min_size=CHANNELS, max_size=CHANNELS))
def test_integers_span_the_output_range(values: list[int]) -> None:
    ends = OutputRange(np.arange(CHANNELS, dtype=np.float32), np.arange(CHANNELS, dtype=np.float32) + 4)
    real = ends.dequantize(np.asarray([values], np.int8))[0]
    np.testing.assert_allclose(real, ends.low + (np.asarray(values) + 127) / 254 * 4, rtol=1e-5)


boxes = st.tuples(*[st.floats(0, 60, width=32)] * 2, *[st.floats(1, 60, width=32)] * 2, st.floats(0, 1, width=32))


@settings(max_examples=60)
@given(st.lists(boxes, max_size=15))
def test_chosen_detections_do_not_overlap_and_cover_the_others(drawn: list[tuple[float, ...]]) -> None:
    rows = np.zeros((len(drawn), DETECTION_COLUMNS), np.float32)
    for row, (x, y, width, height, score) in zip(rows, drawn, strict=True):
        row[:4], row[-1] = (x, y, x + width, y + height), score
    chosen = best_of_each_face(rows)
    faces = rows[chosen]
    assert np.all(np.diff(faces[:, -1]) <= 0)

    def same(box: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.bool_]:
        return (iou_with_boxes(box, others) >= SAME_FACE_IOU) | (share_in_boxes(box, others) >= SAME_FACE_SHARE)

    for index, row in enumerate(rows):
        assert same(row[:4], faces[:, :4]).any()
        if index in chosen:
            assert same(row[:4], faces[:, :4]).sum() == 1


def test_a_box_inside_another_is_the_same_face() -> None:
    rows = np.zeros((3, DETECTION_COLUMNS), np.float32)
    rows[:, :4] = [(0, 0, 100, 100), (40, 40, 60, 60), (200, 0, 300, 100)]
    rows[:, -1] = 0.8, 0.9, 0.7
    assert best_of_each_face(rows).tolist() == [1, 2]
