"""Patch tracking: where faces are between detections, and when the detector runs again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_edge.benchmarks.fixtures import rooms
from fer_edge.benchmarks.fixtures.rooms import Camera
from fer_edge.edge.faces.detector import open_detector
from fer_edge.edge.faces.motion_gate import MotionGate
from fer_edge.edge.faces.patch_follower import PatchFollower
from fer_edge.edge.types import Box, Face, Frame
from fer_edge.models import FOLDER

PORTRAIT = cv2.resize(cv2.imread(str(FOLDER.parent / "benchmarks" / "astronaut.jpg")), (480, 480))
FACE = Box(170, 68, 95, 95)


def scene(x: float, y: float, noise: int = 0, time: float = 0.0) -> Frame:
    """(480, 640, 3) with the portrait moved by (x, y) pixels."""
    moved = np.array([[1, 0, x], [0, 1, y]], np.float32)
    pixels = cv2.warpAffine(PORTRAIT, moved, (640, 480), borderMode=cv2.BORDER_REPLICATE)
    if noise:
        pixels = np.clip(pixels + np.random.default_rng(abs(int(x))).normal(0, noise, pixels.shape), 0, 255)
    return Frame(np.asarray(pixels, np.uint8), time=time)


class FixedDetector:
    """A detector that always returns the same boxes, and counts its calls."""

    description = "fixed"
    boxes: tuple[Box, ...]

    def __init__(self, *boxes: Box) -> None:
        self.boxes, self.calls = boxes, 0

    def detect(self, frame: Frame) -> list[Face]:
        self.calls += 1
        return [Face(box, 0.9, ((box.x + 30.0, box.y + 30.0), (box.x + 60.0, box.y + 30.0))) for box in self.boxes]


@settings(max_examples=25)
@given(st.tuples(*[st.integers(-FACE.width // 3, FACE.width // 3)] * 2))
def test_a_face_is_tracked_to_where_it_moved(shift: tuple[int, int]) -> None:
    follower = PatchFollower(FixedDetector(FACE), interval=4)
    follower.detect(scene(0, 0))
    (face,) = follower.detect(scene(*shift, noise=4))
    assert follower.detections == 1
    assert abs(face.box.x - FACE.x - shift[0]) <= 2 and abs(face.box.y - FACE.y - shift[1]) <= 2
    assert (face.box.width, face.box.height) == (FACE.width, FACE.height)
    assert face.eyes is not None
    assert np.allclose(np.subtract(face.eyes[0], (FACE.x + 30, FACE.y + 30)), shift, atol=2)


def detection_frames(follower: PatchFollower, frames: Iterable[Frame]) -> list[int]:
    """Run the follower; the indices of the frames on which the detector ran."""
    before, indices = follower.detections, list[int]()
    for index, frame in enumerate(frames):
        follower.detect(frame)
        if follower.detections > before:
            before = follower.detections
            indices.append(index)
    return indices


@pytest.mark.parametrize(
    ("rate", "expected"), [(1000, [0, 4, 12, 28, 44]), (30, [0, 4, 12, 24, 36, 48]), (8, [*range(0, 50, 4)])]
)
def test_the_interval_grows_while_nothing_changes(rate: int, expected: list[int]) -> None:
    still = [scene(0, 0, time=index / rate + 1e-6 * index) for index in range(50)]
    assert detection_frames(PatchFollower(FixedDetector(FACE), interval=4), still) == expected


def test_any_change_resets_the_interval() -> None:
    """A new face, a face that grew, a face that was lost for a frame."""
    new_face = Box(380, 300, 90, 90)
    for change in ((FACE, new_face), (Box(150, 50, 135, 135),)):
        detector = FixedDetector(FACE)
        follower = PatchFollower(detector, interval=4)
        assert detection_frames(follower, [scene(0, 0)] * 28) == [0, 4, 12]
        detector.boxes = change
        assert detection_frames(follower, [scene(0, 0)] * 14) == [0, 4, 12], (
            "when it was due, then at the first intervals"
        )
    follower = PatchFollower(FixedDetector(FACE), interval=4)
    assert detection_frames(follower, [*[scene(0, 0)] * 13, scene(300, 0), *[scene(300, 0)] * 5]) == [0, 4, 12, 13, 17]


def test_an_interval_of_one_is_every_frame() -> None:
    detector = FixedDetector(FACE)
    follower = PatchFollower(detector, interval=1)
    for _ in range(5):
        follower.detect(scene(0, 0))
    assert detector.calls == 5


def test_the_detector_runs_on_every_frame_of_an_empty_scene() -> None:
    detector = FixedDetector()
    follower = PatchFollower(detector, interval=4)
    assert [follower.detect(scene(0, 0)) for _ in range(5)] == [[]] * 5 and detector.calls == 5


HEAD = PORTRAIT[20:220, 110:320]
FIRST = Box(135, 95, 50, 50)


def room(rate: float, seconds: float, *changes: rooms.Change) -> Iterator[Frame]:
    """A room in noise, (240, 320, 3)."""
    return rooms.frames(Camera(320, 240, rate, noise=3), seconds, changes)


def sitter() -> rooms.Change:
    """Somebody whose face is still, at FIRST."""
    return rooms.face(HEAD, 50, (0.5, 0.5), start=-1)


@pytest.mark.parametrize("rate", [3, 5, 7, 30, 60])
@pytest.mark.parametrize("boxes", [(), (FIRST,)])
def test_a_still_scene_is_detected_about_once_a_second(rate: float, boxes: tuple[Box, ...]) -> None:
    """More often only at the start, when the interval grows; a face that fades in unnoticed is found within 1.2 s."""
    follower = PatchFollower(FixedDetector(*boxes), 4, MotionGate())
    times = np.array(detection_frames(follower, room(rate, 5, sitter()))) / rate
    assert np.diff(times).max() + 1 / rate <= 1.2 + 1e-6 or rate < 5
    assert len(times[times >= 2]) in (3, 4)


@pytest.mark.parametrize("rate", [5, 10, 30])
@pytest.mark.parametrize("every", [2, 4, 8])
def test_continuous_motion_costs_no_more_than_the_interval(rate: float, every: int) -> None:
    """A television: at low frame rates detection is as often as a new face needs."""
    follower = PatchFollower(FixedDetector(), every, MotionGate())
    frames = room(rate, 120 / rate, rooms.television(160))
    gaps = np.diff(detection_frames(follower, frames))[1:]
    assert gaps.min() >= min(every, max(1, 0.19 * rate))
    assert gaps.mean() <= 2 * max(every, 0.2 * rate)


@settings(max_examples=10)
@given(
    st.tuples(st.floats(0.1, 0.9), st.floats(0.1, 0.9)),
    st.integers(12, 60),
    st.floats(2, 2.99),
    st.sampled_from([5.0, 15.0, 30.0]),
)
def test_a_new_face_is_detected_in_the_frame_in_which_it_appears(
    place: tuple[float, float], size: int, start: float, rate: float
) -> None:
    follower = PatchFollower(FixedDetector(), 4, MotionGate())
    appears = rooms.face(HEAD, size, place, start)
    frames = list(room(rate, start + 2 / rate, appears))
    first = next(frame.index for frame in frames if frame.time >= start)
    assert first in detection_frames(follower, frames)


def test_a_face_before_a_television_is_detected_within_a_fifth_of_a_second() -> None:
    for start in (2.0, 2.07, 2.17):
        follower = PatchFollower(FixedDetector(), 4, MotionGate())
        changes = rooms.television(160), rooms.face(HEAD, 30, (0.6, 0.6), start)
        found = detection_frames(follower, room(30, start + 0.3, *changes))
        assert any(start <= index / 30 <= start + 0.2 for index in found)


@pytest.mark.parametrize("rate", [5, 30, 60])
def test_a_second_person_is_detected_within_a_fifth_of_a_second(rate: float) -> None:
    """Someone comes while the first one's face is still, after the interval has grown."""
    for start in (2.0, 2.4):
        follower = PatchFollower(FixedDetector(FIRST), 4, MotionGate())
        second = rooms.face(HEAD, 24, (0.15, 0.7), start)
        found = detection_frames(follower, room(rate, start + 0.4, sitter(), second))
        assert any(start <= index / rate <= start + 0.2 + 1e-6 for index in found)


def test_a_face_that_moves_is_detected_as_often_as_without_a_gate() -> None:
    frames = [scene(40 * np.sin(index / 5), 0, time=index / 30) for index in range(60)]
    assert np.diff(detection_frames(PatchFollower(FixedDetector(FACE), 4, MotionGate()), frames)).max() <= 16


def test_gate_and_jumps_in_time_or_size() -> None:
    follower = PatchFollower(FixedDetector(), 4, MotionGate())
    frames = [*room(30, 3)]
    back = [Frame(frame.pixels, time=frame.time - 2) for frame in frames[60:63]]
    other = [Frame(frame.pixels[::2, ::2], time=1.1 + frame.time / 30) for frame in frames[:3]]
    found = detection_frames(follower, [*frames, *back, *other])
    assert 90 in found and 93 in found


def test_every_level_of_load_stretches_the_intervals() -> None:
    counts = []
    for level in (0, 1, 2):
        follower = PatchFollower(FixedDetector(), 4, MotionGate())
        description = follower.set_load(level)
        assert f"{4 * 2**level} frames" in description and f"{0.95 * 2**level:.1f} s" in description
        counts.append(len(detection_frames(follower, room(5, 20))))
    assert counts[0] >= 1.7 * counts[1] >= 2.5 * counts[2]


def test_an_interval_of_one_is_every_frame_whatever_the_gate_says() -> None:
    follower = PatchFollower(FixedDetector(), 1, MotionGate())
    assert detection_frames(follower, room(30, 0.5)) == [*range(15)]


@pytest.mark.parametrize("lost", [scene(300, 0), Frame(np.full((480, 640, 3), 90, np.uint8)), scene(-230, 0)])
def test_the_detector_runs_at_once_where_a_face_is_lost(lost: Frame) -> None:
    detector = FixedDetector(FACE)
    follower = PatchFollower(detector, interval=8)
    follower.detect(scene(0, 0))
    follower.detect(lost)
    assert detector.calls == 2


def test_frames_of_another_size_and_gray_frames() -> None:
    detector = FixedDetector(Box(40, 20, 45, 45))
    follower = PatchFollower(detector, interval=8)
    small = cv2.resize(cv2.cvtColor(scene(0, 0).pixels, cv2.COLOR_BGR2GRAY), (320, 240))
    follower.detect(scene(0, 0))
    follower.detect(Frame(np.asarray(small, np.uint8)))
    follower.detect(Frame(np.asarray(small, np.uint8)))
    assert detector.calls == 2


def test_a_face_at_the_border_is_tracked_or_detected() -> None:
    detector = FixedDetector(Box(-30, -20, 95, 95), Box(600, 440, 90, 90))
    follower = PatchFollower(detector, interval=3)
    for step in range(6):
        assert len(follower.detect(scene(step, step))) == 2


def test_tracked_faces_agree_with_the_real_detector() -> None:
    """A face that sways: tracked boxes deviate by no more than the detector's own boxes scatter."""
    detector, follower = open_detector(continuous=True), PatchFollower(open_detector(continuous=True), interval=6)
    for step in range(24):
        frame = scene(60 + 60 * np.sin(step / 5), 10 * np.cos(step / 4), noise=4)
        (tracked,), (detected,) = follower.detect(frame), detector.detect(frame)
        assert abs(tracked.box.x + tracked.box.width / 2 - detected.box.x - detected.box.width / 2) < 8
        assert abs(tracked.box.y + tracked.box.height / 2 - detected.box.y - detected.box.height / 2) < 8
    assert follower.detections <= 5
