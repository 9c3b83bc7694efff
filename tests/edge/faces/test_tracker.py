"""Track numbers: stable while a face is detected, new ones for new faces, none reused."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fer_edge.edge.faces.boxes import box_iou
from fer_edge.edge.faces.tracker import MIN_IOU, Tracker, match_score
from fer_edge.edge.types import TRACK_TIMEOUT, Box, Face

boxes = st.builds(Box, st.integers(-500, 500), st.integers(-500, 500), st.integers(0, 400), st.integers(0, 400))


def face(x: int, y: int = 100, side: int = 80) -> Face:
    return Face(Box(x, y, side, side), 0.9)


def test_numbers_count_from_one_and_stay_with_a_moving_face() -> None:
    tracker = Tracker()
    for step in range(20):
        faces = tracker.update([face(10 * step), face(600 - 10 * step, y=300)], step / 30)
        assert [one.track for one in faces] == [1, 2]


def test_order_of_detections_does_not_matter() -> None:
    tracker = Tracker()
    tracker.update([face(0), face(300)], 0.0)
    assert [one.track for one in tracker.update([face(302), face(3)], 0.1)] == [2, 1]


def test_everything_but_the_track_is_kept() -> None:
    one = Face(Box(1, 2, 30, 40), 0.5, ((10.0, 12.0), (20.0, 12.0)))
    (tracked,) = Tracker().update([one], 0.0)
    assert (tracked.box, tracked.score, tracked.eyes, tracked.track) == (one.box, one.score, one.eyes, 1)


def test_a_fast_face_is_matched_by_its_centre() -> None:
    tracker = Tracker()
    tracker.update([face(0)], 0.0)
    moved = face(40, y=120)
    assert box_iou(face(0).box, moved.box) >= MIN_IOU
    assert [one.track for one in tracker.update([moved], 0.1)] == [1]
    further = face(74, y=151)
    assert 0 < box_iou(moved.box, further.box) < MIN_IOU + 0.05
    assert [one.track for one in tracker.update([further], 0.2)] == [1]


def test_a_short_gap_is_bridged_and_a_long_one_is_not() -> None:
    tracker = Tracker()
    tracker.update([face(0)], 0.0)
    assert tracker.update([], TRACK_TIMEOUT / 2) == []
    assert [one.track for one in tracker.update([face(5)], TRACK_TIMEOUT)] == [1]
    assert tracker.tracks == {1}
    assert tracker.update([], 2 * TRACK_TIMEOUT + 0.01) == []
    assert tracker.tracks == set()
    assert [one.track for one in tracker.update([face(5)], 2 * TRACK_TIMEOUT + 0.02)] == [2]


def test_time_that_jumps_back_ends_all_tracks_without_reusing_numbers() -> None:
    tracker = Tracker()
    tracker.update([face(0)], 9.0)
    assert [one.track for one in tracker.update([face(0)], 0.0)] == [2]


def test_a_distant_face_is_another_face() -> None:
    tracker = Tracker()
    tracker.update([face(0)], 0.0)
    assert [one.track for one in tracker.update([face(400)], 0.03)] == [2]


def test_a_face_of_another_size_nearby_is_another_face() -> None:
    tracker = Tracker()
    tracker.update([face(0, side=200)], 0.0)
    assert [one.track for one in tracker.update([face(80, y=180, side=40)], 0.03)] == [2]


@given(boxes, boxes)
def test_iou_is_symmetric_and_bounded(a: Box, b: Box) -> None:
    assert box_iou(a, b) == box_iou(b, a)
    assert 0 <= box_iou(a, b) <= 1
    assert box_iou(a, a) == (1.0 if a.width * a.height else 0.0)
    assert 0 <= match_score(a, b) <= 2


@settings(max_examples=50)
@given(st.lists(st.lists(boxes, max_size=6), max_size=6))
def test_no_number_occurs_twice_in_a_frame(frames: list[list[Box]]) -> None:
    tracker, last = Tracker(), 0
    for step, frame_boxes in enumerate(frames):
        numbers = [one.track for one in tracker.update([Face(box, 0.9) for box in frame_boxes], step / 10)]
        assert len(set(numbers)) == len(frame_boxes)
        new = sorted(number for number in numbers if number is not None and number > last)
        assert new == list(range(last + 1, last + 1 + len(new)))
        last += len(new)
