"""Track numbers: stable while a face is seen, new ones for new faces, none used twice."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fer_edge.edge.faces.tracker import MIN_OVERLAP, TRACK_TIMEOUT, Tracker, nearness, overlap
from fer_edge.edge.types import Box, Face

boxes = st.builds(Box, st.integers(-500, 500), st.integers(-500, 500), st.integers(0, 400), st.integers(0, 400))


def face(x: int, y: int = 100, side: int = 80) -> Face:
    return Face(Box(x, y, side, side), 0.9)


def test_numbers_count_from_one_and_stay_with_a_moving_face() -> None:
    tracker = Tracker()
    for step in range(20):
        found = tracker.update([face(10 * step), face(600 - 10 * step, y=300)], step / 30)
        assert [one.track for one in found] == [1, 2]


def test_order_of_detections_does_not_matter() -> None:
    tracker = Tracker()
    tracker.update([face(0), face(300)], 0.0)
    assert [one.track for one in tracker.update([face(302), face(3)], 0.1)] == [2, 1]


def test_everything_but_the_track_is_kept() -> None:
    one = Face(Box(1, 2, 30, 40), 0.5, ((10.0, 12.0), (20.0, 12.0)))
    (tracked,) = Tracker().update([one], 0.0)
    assert (tracked.box, tracked.score, tracked.eyes, tracked.track) == (one.box, one.score, one.eyes, 1)


def test_a_fast_face_is_followed_by_its_centre() -> None:
    tracker = Tracker()
    tracker.update([face(0)], 0.0)
    moved = face(40, y=120)
    assert overlap(face(0).box, moved.box) >= MIN_OVERLAP
    assert [one.track for one in tracker.update([moved], 0.1)] == [1]
    further = face(74, y=151)
    assert 0 < overlap(moved.box, further.box) < MIN_OVERLAP + 0.05
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


def test_time_that_jumps_back_starts_anew_without_reusing_numbers() -> None:
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
def test_overlap_is_symmetric_and_bounded(a: Box, b: Box) -> None:
    assert overlap(a, b) == overlap(b, a)
    assert 0 <= overlap(a, b) <= 1
    assert overlap(a, a) == (1.0 if a.width * a.height else 0.0)
    assert 0 <= nearness(a, b) <= 2


@settings(max_examples=50)
@given(st.lists(st.lists(boxes, max_size=6), max_size=6))
def test_no_number_is_given_twice_in_a_frame(frames: list[list[Box]]) -> None:
    tracker, known = Tracker(), 0
    for step, found in enumerate(frames):
        numbers = [one.track for one in tracker.update([Face(box, 0.9) for box in found], step / 10)]
        assert len(set(numbers)) == len(found)
        new = sorted(number for number in numbers if number is not None and number > known)
        assert new == list(range(known + 1, known + 1 + len(new)))
        known += len(new)
