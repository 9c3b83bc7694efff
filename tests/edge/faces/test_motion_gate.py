"""The motion gate: what counts as a change of the scene, and what does not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_edge.benchmarks.fixtures import rooms
from fer_edge.benchmarks.fixtures.rooms import Camera, Change
from fer_edge.edge.faces.motion_gate import HOLD_SECONDS, Motion, MotionGate
from fer_edge.edge.sources.dual_picture import DualPicture
from fer_edge.edge.sources.jpeg_picture import JpegHistory, JpegPicture
from fer_edge.edge.types import Box, Frame

PORTRAIT = rooms.room(96, 96, seed=5).astype(np.uint8)  # any picture with the contrast of a face
RNG = np.random.default_rng(0)


def motions(frames: Iterable[Frame]) -> list[Motion]:
    gate = MotionGate()
    return [gate.motion(frame) for frame in frames]


def camera(noise: float, rate: float = 15, jpeg: int = 0) -> Camera:
    return Camera(320, 240, rate, noise, jpeg)


@settings(max_examples=20)
@given(
    st.builds(camera, st.floats(0, 8), st.sampled_from([5.0, 12.5, 15.0, 29.97]), st.sampled_from([0, 50, 90])),
    st.one_of(
        st.builds(rooms.brightness, st.floats(0, 0.25), st.floats(3, 20)),
        st.builds(rooms.offset, st.floats(0, 20), st.floats(3, 20)),
        st.builds(rooms.step, st.floats(-0.2, 0.2), st.floats(0, 3)),
        st.builds(rooms.drift, st.floats(-0.5, 0.5)),
    ),
    st.one_of(
        st.builds(rooms.white_balance, st.floats(0, 0.25), st.floats(2, 20)),
        st.builds(rooms.mains_flicker, st.floats(0, 0.1), st.sampled_from([50.0, 60.0])),
    ),
    st.integers(0, 100),
    st.booleans(),
)
def test_noise_and_light_are_no_motion(view: Camera, light: Change, colour: Change, seed: int, sideways: bool) -> None:
    frames = rooms.frames(view, 3, (light, colour), seed)
    seen = motions(replace(f, picture=cv2.rotate(f.pixels, cv2.ROTATE_90_CLOCKWISE)) if sideways else f for f in frames)
    assert seen[0] is Motion.SCENE
    assert set(seen[round(view.rate) :]) == {Motion.NONE}


@settings(max_examples=15)
@given(
    st.tuples(st.floats(0.1, 0.9), st.floats(0.1, 0.9)),
    st.integers(12, 100),
    st.floats(0, 8),
    st.sampled_from([5.0, 15.0]),
    st.booleans(),
)
def test_a_face_that_appears_is_motion_in_that_frame(
    place: tuple[float, float], size: int, noise: float, rate: float, gray: bool
) -> None:
    face = rooms.face(PORTRAIT, size, place, start=1)
    frames = rooms.frames(camera(noise, rate), 1 + 2 / rate, (face, rooms.mains_flicker(0.05, 50)))
    seen = motions(Frame(np.ascontiguousarray(f.pixels[..., 2]), f.index, f.time) if gray else f for f in frames)
    assert seen[round(rate) - 1 :] == [Motion.NONE, Motion.SCENE, Motion.SCENE]


def test_a_change_lasts_until_it_is_accepted_and_held() -> None:
    gate = MotionGate()
    empty, full = rooms.room(320, 240).astype(np.uint8), rooms.room(320, 240, seed=1).astype(np.uint8)
    assert [gate.motion(Frame(empty, time=index / 10)) for index in range(10)][5:] == [Motion.NONE] * 5
    assert [gate.motion(Frame(full, time=1 + index / 10)) for index in range(5)] == [Motion.SCENE] * 5
    gate.accept()
    after = [gate.motion(Frame(full, time=1.5 + index / 10)) for index in range(5)]
    held = sum(0.1 * (index + 1) < HOLD_SECONDS for index in range(5))
    assert after == [Motion.SCENE] * held + [Motion.NONE] * (5 - held)


@pytest.mark.parametrize(
    ("time", "shape", "expected"),
    [
        (-0.5, (240, 320, 3), Motion.SCENE),
        (30.0, (240, 320, 3), Motion.SCENE),
        (1.1, (320, 240, 3), Motion.SCENE),
        (1.1, (240, 320), Motion.NONE),
    ],
)
def test_jumps_in_time_and_other_sizes_start_the_gate_anew(
    time: float, shape: tuple[int, ...], expected: Motion
) -> None:
    gate = MotionGate()
    for index in range(10):
        motion = gate.motion(Frame(np.full((240, 320, 3), 90, np.uint8), time=index / 10))
    assert motion is Motion.NONE
    assert gate.motion(Frame(np.full(shape, 90, np.uint8), time=time)) is expected


def test_frames_without_times() -> None:
    room = rooms.room(320, 240).astype(np.uint8)
    assert motions([Frame(room)] * 20)[10:] == [Motion.NONE] * 10


@given(
    st.lists(st.tuples(st.integers(1, 400), st.integers(1, 400), st.booleans()), min_size=1, max_size=4),
    st.sampled_from([0, 128, 255]),
    st.lists(
        st.builds(Box, st.integers(-500, 500), st.integers(-500, 500), st.integers(1, 900), st.integers(1, 900)),
        max_size=2,
    ),
)
def test_frames_of_any_size(shapes: list[tuple[int, int, bool]], level: int, faces: list[Box]) -> None:
    gate = MotionGate()
    for height, width, gray in shapes:
        pixels = np.full((height, width) if gray else (height, width, 3), level, np.uint8)
        pixels[height // 2 :] = 100
        still = [gate.motion(Frame(pixels, index, index / 10), faces) for index in range(6)]
        assert still[-1] is Motion.NONE and np.isfinite(gate.change)


def test_the_small_picture_is_compared_where_there_is_one() -> None:
    yuv = cv2.cvtColor(rooms.room(160, 120).astype(np.uint8), cv2.COLOR_BGR2YUV_I420)
    noisy = [RNG.integers(0, 255, (480, 640, 3), np.uint8) for _ in range(10)]
    pictures = [DualPicture(pixels, yuv, (160, 120)) for pixels in noisy]
    assert motions(Frame(picture, time=i / 10) for i, picture in enumerate(pictures))[-1] is Motion.NONE


def test_tracked_faces_that_move_are_no_motion_of_the_scene() -> None:
    """A face that sways, then one more elsewhere."""

    def frame(index: int, second: bool) -> Frame:
        pixels = cv2.GaussianBlur(rooms.room(640, 480), (0, 0), 3).astype(np.uint8)
        x = 300 + 3 * (index % 7)
        pixels[190:290, x : x + 96] = cv2.resize(PORTRAIT, (96, 100))
        if second:
            pixels[40:64, 60:84] = cv2.resize(PORTRAIT, (24, 24))
        return Frame(pixels, index, index / 10)

    gate = MotionGate()
    seen = [gate.motion(frame(index, index >= 12), [Box(300, 190, 96, 100)]) for index in range(14)]
    assert seen[6:] == [Motion.FACES] * 6 + [Motion.SCENE] * 2


def test_pictures_that_are_decoded_at_several_resolutions() -> None:
    """A motion JPEG camera whose pictures are decoded larger in frames with a detection: none of them is a change."""
    history, gate, seen = JpegHistory(), MotionGate(), []
    face = rooms.face(PORTRAIT, 30, (0.3, 0.6), start=4)
    for frame in rooms.frames(Camera(640, 480, 10, noise=3), 4.1, (face,)):
        _, jpeg = cv2.imencode(".jpg", frame.pixels)
        lazy = Frame(JpegPicture(jpeg.tobytes(), (640, 480), history), frame.index, frame.time)
        seen.append(gate.motion(lazy))
        if frame.index % 20 == 0:
            lazy.at_width(320)
            gate.accept()
    assert set(seen[10:-1]) == {Motion.NONE} and seen[-1] is Motion.SCENE
