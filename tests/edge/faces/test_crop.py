"""Crops: squares of uint8, framed as FER2013 frames faces, level, without aliasing."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fer_edge.edge.faces.crop import BOX_LINE, EYE_LINE, MARGIN, eye_tilt, face_crop, place_crop
from fer_edge.edge.preprocess import shrink, to_gray
from fer_edge.edge.types import Box, Face, Frame

ASTRONAUT = Path(__file__).parents[3] / "benchmarks" / "astronaut.jpg"

Eyes = tuple[tuple[float, float], tuple[float, float]]

coordinates = st.integers(-3000, 3000)
points = st.tuples(st.floats(-3000, 3000), st.floats(-3000, 3000))


@given(
    box=st.builds(Box, coordinates, coordinates, st.integers(0, 5000), st.integers(0, 5000)),
    eyes=st.none() | st.tuples(points, points),
    shape=st.sampled_from([(1, 1), (30, 40), (480, 640), (40, 30, 3), (480, 640, 3)]),
    margin=st.floats(0.1, 4),
    size=st.sampled_from([1, 48, 224]),
    colour=st.booleans(),
)
@settings(max_examples=60)
def test_any_box_gives_a_crop(
    box: Box,
    eyes: tuple[tuple[float, float], tuple[float, float]] | None,
    shape: tuple[int, ...],
    margin: float,
    size: int,
    colour: bool,
) -> None:
    frame = Frame(np.full(shape, 77, np.uint8))
    crop = face_crop(frame, Face(box, 1.0, eyes), margin, size, colour)
    assert crop.shape == ((size, size, 3) if colour else (size, size)) and crop.dtype == np.uint8
    # The border is repeated, so a flat frame gives a flat crop; BT.601 luma of an equal triple is that value.
    assert np.all(crop == 77)


@pytest.mark.parametrize("side", [30, 150, 400])
def test_larger_crop_in_colour_shows_the_same(side: int) -> None:
    frame = Frame(cv2.imread(str(ASTRONAUT)))
    face = Face(Box(224 - side // 2, 110 - side // 2, side, side), 1.0, ((200.0, 100.0), (245.0, 106.0)))
    large = face_crop(frame, face, size=192, colour=True)
    difference = cv2.absdiff(shrink(to_gray(large)), face_crop(frame, face))
    assert difference.mean() < 2  # gray levels; the standard deviation of the crop itself is 28 to 69


def ramp(size: int = 400) -> NDArray[np.uint8]:
    return np.broadcast_to((np.arange(size) // 2).astype(np.uint8), (size, size)).copy()


def test_the_box_alone_places_the_crop() -> None:
    box = Box(100, 120, 100, 100)
    (x, y), side, angle = place_crop(Face(box, 1.0))
    assert (x, angle, side) == (150, 0, MARGIN * 100)
    assert y == pytest.approx(170 - (BOX_LINE - 0.5) * side)


@given(st.floats(-179, 179), st.integers(20, 300))
def test_the_eyes_are_level_and_on_their_line(angle: float, side: int) -> None:
    radians = np.radians(angle)
    half = np.array([np.cos(radians), np.sin(radians)]) * side * 0.2
    middle = np.array([320.0, 240.0])
    left, right = middle - half, middle + half
    face = Face(Box(320 - side // 2, 240 - side // 2, side, side), 1.0, ((left[0], left[1]), (right[0], right[1])))
    assert eye_tilt(face) == pytest.approx(angle, abs=1e-6)
    (x, y), length, tilt = place_crop(face)
    down = np.array([-np.sin(np.radians(tilt)), np.cos(np.radians(tilt))])
    np.testing.assert_allclose(np.array([x, y]) - middle, (0.5 - EYE_LINE) * length * down, atol=1e-6)


def test_a_tilted_pair_of_dots_is_level_in_the_crop() -> None:
    pixels = np.zeros((300, 300), np.uint8)
    eyes = ((120.0, 130.0), (175.0, 160.0))
    for eye in eyes:
        cv2.circle(pixels, (int(eye[0]), int(eye[1])), 5, 255, -1)
    crop = face_crop(Frame(pixels), Face(Box(90, 100, 120, 120), 1.0, eyes)).astype(float)
    rows, columns = np.indices(crop.shape)
    centres = []
    for half in (columns < 24, columns >= 24):
        weight = crop * half
        centres.append(((rows * weight).sum() / weight.sum(), (columns * weight).sum() / weight.sum()))
    (left_y, left_x), (right_y, right_x) = centres
    # A dot's centre of mass is known to a fraction of a crop pixel; drawing rounds it by half a frame pixel.
    assert left_y == pytest.approx(right_y, abs=0.5)
    assert left_y == pytest.approx(EYE_LINE * 48 - 0.5, abs=0.5)
    assert (left_x + right_x) / 2 == pytest.approx(23.5, abs=0.5)


@pytest.mark.parametrize("side", [24, 48, 96, 144, 240, 390])
def test_a_ramp_keeps_its_place(side: int) -> None:
    """Half-pixel errors would shift a ramp; the crop's value is the ramp's at the crop pixel's centre."""
    face = Face(Box(200 - side // 2, 200 - side // 2, side, side), 1.0)
    rising, falling = (
        face_crop(Frame(pixels), face, margin=1.0)[24].astype(float) for pixels in (ramp(), 255 - ramp())
    )
    expected = (200 - side / 2 + (np.arange(48) + 0.5) * side / 48 - 0.5) / 2
    # The ramp's integer steps lose 0.25 on average and 0.5 at most; warping and averaging round once each, squares too.
    assert np.abs(rising - expected).max() <= 1.5
    # What rounding adds to one it adds to the other; half a frame's pixel would be 0.25.
    assert abs(((rising + 255 - falling) / 2 - expected + 0.25).mean()) <= 0.1


def test_fine_stripes_average_to_gray() -> None:
    """One-pixel stripes shrunk tenfold are gray; point sampling would keep them black and white."""
    stripes = np.zeros((480, 640), np.uint8)
    stripes[:, ::2] = 255
    crop = face_crop(Frame(stripes), Face(Box(80, 0, 480, 480), 1.0), margin=1.0)
    assert crop.min() >= 100 and crop.max() <= 155


def test_colour_and_gray_frames_agree() -> None:
    colour = cv2.imread(str(ASTRONAUT))
    assert colour is not None
    face = Face(Box(173, 74, 106, 106), 0.9, ((203.0, 102.0), (248.0, 103.0)))
    gray = np.asarray(cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY), np.uint8)
    first, second = face_crop(Frame(np.asarray(colour, np.uint8)), face), face_crop(Frame(gray), face)
    np.testing.assert_array_equal(first, second)


def test_a_crop_at_the_border_repeats_it() -> None:
    pixels = np.zeros((100, 100), np.uint8)
    pixels[:, 99] = 200
    crop = face_crop(Frame(pixels), Face(Box(100, 20, 60, 60), 1.0), margin=1.0)
    assert np.all(crop[:, 1:] == 200)
