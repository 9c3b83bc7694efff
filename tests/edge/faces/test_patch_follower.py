"""Faces followed between looks: where they are, when the detector is asked again, and what that must not miss."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_edge.edge.faces.detector import open_detector
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


class Knowing:
    """A detector that is told where the faces are, and counts how often it was asked."""

    description = "knowing"

    def __init__(self, *boxes: Box) -> None:
        self.boxes, self.asked = boxes, 0

    def detect(self, frame: Frame) -> list[Face]:
        self.asked += 1
        return [Face(box, 0.9, ((box.x + 30.0, box.y + 30.0), (box.x + 60.0, box.y + 30.0))) for box in self.boxes]


@settings(max_examples=25)
@given(st.tuples(*[st.integers(-FACE.width // 3, FACE.width // 3)] * 2))
def test_a_face_is_found_where_it_moved(by: tuple[int, int]) -> None:
    follower = PatchFollower(Knowing(FACE), every=4)
    follower.detect(scene(0, 0))
    (face,) = follower.detect(scene(*by, noise=4))
    assert follower.looks == 1
    assert abs(face.box.x - FACE.x - by[0]) <= 2 and abs(face.box.y - FACE.y - by[1]) <= 2
    assert (face.box.width, face.box.height) == (FACE.width, FACE.height)
    assert face.eyes is not None
    assert np.allclose(np.subtract(face.eyes[0], (FACE.x + 30, FACE.y + 30)), by, atol=2)


def looks(follower: PatchFollower, frames: Iterable[Frame]) -> list[int]:
    """At which of the frames the detector was asked."""
    before, at = follower.looks, []
    for index, frame in enumerate(frames):
        follower.detect(frame)
        if follower.looks > before:
            before, at = follower.looks, [*at, index]
    return at


@pytest.mark.parametrize(
    ("rate", "expected"), [(1000, [0, 4, 12, 28, 44]), (30, [0, 4, 12, 24, 36, 48]), (8, [*range(0, 50, 4)])]
)
def test_the_detector_looks_less_often_while_nothing_changes(rate: int, expected: list[int]) -> None:
    still = [scene(0, 0, time=index / rate + 1e-6 * index) for index in range(50)]
    assert looks(PatchFollower(Knowing(FACE), every=4), still) == expected


def test_whatever_changes_brings_the_detector_back() -> None:
    """A newcomer, a face that grew, a face that was lost for a frame: the intervals begin anew."""
    newcomer = Box(380, 300, 90, 90)
    for change in ((FACE, newcomer), (Box(150, 50, 135, 135),)):
        detector = Knowing(FACE)
        follower = PatchFollower(detector, every=4)
        assert looks(follower, [scene(0, 0)] * 28) == [0, 4, 12]
        detector.boxes = change
        assert looks(follower, [scene(0, 0)] * 14) == [0, 4, 12], "at its time, then as at first"
    follower = PatchFollower(Knowing(FACE), every=4)
    assert looks(follower, [*[scene(0, 0)] * 13, scene(300, 0), *[scene(300, 0)] * 5]) == [0, 4, 12, 13, 17]


def test_every_one_is_every_frame() -> None:
    detector = Knowing(FACE)
    follower = PatchFollower(detector, every=1)
    for _ in range(5):
        follower.detect(scene(0, 0))
    assert detector.asked == 5


def test_an_empty_scene_is_looked_at_every_time() -> None:
    detector = Knowing()
    follower = PatchFollower(detector, every=4)
    assert [follower.detect(scene(0, 0)) for _ in range(5)] == [[]] * 5 and detector.asked == 5


@pytest.mark.parametrize("lost", [scene(300, 0), Frame(np.full((480, 640, 3), 90, np.uint8)), scene(-230, 0)])
def test_a_lost_face_is_looked_for_at_once(lost: Frame) -> None:
    detector = Knowing(FACE)
    follower = PatchFollower(detector, every=8)
    follower.detect(scene(0, 0))
    follower.detect(lost)
    assert detector.asked == 2


def test_another_frame_size_and_gray_frames() -> None:
    detector = Knowing(Box(40, 20, 45, 45))
    follower = PatchFollower(detector, every=8)
    small = cv2.resize(cv2.cvtColor(scene(0, 0).pixels, cv2.COLOR_BGR2GRAY), (320, 240))
    follower.detect(scene(0, 0))
    follower.detect(Frame(np.asarray(small, np.uint8)))
    follower.detect(Frame(np.asarray(small, np.uint8)))
    assert detector.asked == 2


def test_a_face_cut_by_the_border_is_followed_or_looked_for() -> None:
    detector = Knowing(Box(-30, -20, 95, 95), Box(600, 440, 90, 90))
    follower = PatchFollower(detector, every=3)
    for step in range(6):
        assert len(follower.detect(scene(step, step))) == 2


def test_the_real_detector_agrees_with_what_was_followed() -> None:
    """A face that sways: followed boxes stay within what the detector's own answers scatter by."""
    watching, follower = open_detector(), PatchFollower(open_detector(), every=6)
    for step in range(24):
        frame = scene(60 + 60 * np.sin(step / 5), 10 * np.cos(step / 4), noise=4)
        (followed,), (found,) = follower.detect(frame), watching.detect(frame)
        assert abs(followed.box.x + followed.box.width / 2 - found.box.x - found.box.width / 2) < 8
        assert abs(followed.box.y + followed.box.height / 2 - found.box.y - found.box.height / 2) < 8
    assert follower.looks <= 5
