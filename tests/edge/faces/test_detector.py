"""Face detection by the shipped networks in a real portrait, upright and turned, and the choice of their input."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fer_edge.edge.errors import ModelError
from fer_edge.edge.faces.boxes import box_iou
from fer_edge.edge.faces.crop import eye_tilt
from fer_edge.edge.faces.detector import (
    INPUT_SIDES,
    MAX_ENLARGEMENT,
    MAX_INPUT_AREA,
    MAX_TURNED_SIDE,
    SEARCHED_TILTS,
    Detector,
    drop_phantoms,
    input_scale,
    open_detector,
    turn_back,
)
from fer_edge.edge.faces.face_models import FACE_MODELS, YUNET, verified_face_model
from fer_edge.edge.faces.haar import HAAR_SCALE, convert_haar_box
from fer_edge.edge.faces.yunet import YuNet, open_yunet
from fer_edge.edge.faces.yunet_decoding import DETECTION_COLUMNS
from fer_edge.edge.sources.dual_picture import DualPicture
from fer_edge.edge.types import Box, Face, Frame

ROOT = Path(__file__).parents[3]
MODELS = ROOT / "models" / "face"
CENTRE = (226.0, 121.0)
"""The centre of the astronaut's face in the 512x512 picture, pixels."""

NO_DETECTION = np.zeros((0, DETECTION_COLUMNS), np.float32)

FACE_WIDTH = 107
"""Its width, pixels."""


@cache
def detector(continuous: bool = False) -> Detector:
    return open_detector(continuous=continuous)


@cache
def astronaut() -> NDArray[np.uint8]:
    picture = cv2.imread(str(ROOT / "benchmarks" / "astronaut.jpg"))
    assert picture is not None
    return np.asarray(picture, np.uint8)


def paste(canvas: NDArray[np.uint8], x: float, y: float, width: float, angle: float = 0.0) -> None:
    """Paste the portrait onto a canvas, the centre of its face at (x, y), scaled to a width, rotated by degrees."""
    scale = width / FACE_WIDTH
    motion = cv2.getRotationMatrix2D(CENTRE, angle, scale)
    motion[:, 2] += np.array([x - CENTRE[0], y - CENTRE[1]])
    source = cv2.GaussianBlur(astronaut(), (0, 0), 0.4 / scale) if scale < 1 else astronaut()
    size = (canvas.shape[1], canvas.shape[0])
    inside = cv2.warpAffine(np.full((512, 512), 255, np.uint8), motion, size) > 0
    canvas[inside] = cv2.warpAffine(source, motion, size)[inside]


def canvas(width: int = 640, height: int = 480) -> NDArray[np.uint8]:
    return np.full((height, width, 3), 90, np.uint8)


def is_near(box: Box, x: float, y: float, width: float) -> bool:
    """Whether a box surrounds a face: centre within a third of the width, width within a factor of 1.6."""
    dx, dy = box.x + box.width / 2 - x, box.y + box.height / 2 - y
    return bool(np.hypot(dx, dy) < width / 3 and width / 1.6 < box.width < width * 1.6)


@pytest.mark.parametrize("continuous", [False, True])
@pytest.mark.parametrize("gray", [False, True])
def test_the_portrait_has_one_face_with_its_eyes(continuous: bool, gray: bool) -> None:
    pixels = astronaut()
    if gray:
        pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), np.uint8)
    (face,) = detector(continuous).detect(Frame(pixels))
    assert is_near(face.box, *CENTRE, FACE_WIDTH)
    assert face.score > 0.8
    assert face.eyes is not None
    # Marked by hand in the picture; within a tenth of the face.
    np.testing.assert_allclose(face.eyes, [(203, 102), (248, 103)], atol=FACE_WIDTH / 10)


@pytest.mark.parametrize("continuous", [False, True])
@pytest.mark.parametrize("angle", [-30, 30])
def test_a_tilted_head_is_detected_with_its_tilt(continuous: bool, angle: int) -> None:
    pixels = canvas()
    paste(pixels, 300, 200, 110, angle)
    (face,) = detector(continuous).detect(Frame(pixels))
    assert is_near(face.box, 300, 200, 110)
    assert face.eyes is not None
    (x0, y0), (x1, y1) = face.eyes
    assert x0 < x1
    # getRotationMatrix2D turns counter-clockwise; atan2 with y downwards counts clockwise.
    assert np.degrees(np.arctan2(y1 - y0, x1 - x0)) == pytest.approx(-angle, abs=12)


@pytest.mark.parametrize(("width", "height", "halvings"), [(1280, 720, 1), (1920, 1080, 2)])
@pytest.mark.parametrize("faces", [[(700.0, 300.0, 160.0)], [(200.0, 300.0, 90.0), (1000.0, 400.0, 150.0)]])
def test_faces_detected_in_the_small_picture_have_boxes_in_the_frame(
    width: int, height: int, halvings: int, faces: list[tuple[float, float, float]]
) -> None:
    pixels = canvas(width, height)
    for face in faces:
        paste(pixels, *face)
    size = (width >> halvings, height >> halvings)
    small = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    yuv = np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2YUV_I420), np.uint8)
    detected = detector().detect(Frame(DualPicture(pixels, yuv, size, full_range=False)))
    assert len(detected) == len(faces)
    for face, expected in zip(detected, sorted(faces, key=lambda each: -each[2]), strict=True):
        assert is_near(face.box, *expected)


@pytest.mark.parametrize(("side", "min_face"), [(40, None), (20, 20)])
def test_a_small_face(side: int, min_face: int | None) -> None:
    pixels = canvas()
    paste(pixels, 320, 240, side)
    (face,) = open_detector(min_face=min_face, continuous=True).detect(Frame(pixels))
    assert is_near(face.box, 320, 240, side)


def test_a_close_up() -> None:
    pixels = canvas()
    paste(pixels, 320, 250, 400)
    (face,) = detector().detect(Frame(pixels))
    assert is_near(face.box, 320, 250, 400)


@pytest.mark.parametrize(("width", "height"), [(640, 480), (1280, 720)])
def test_several_faces_largest_first(width: int, height: int) -> None:
    pixels = canvas(width, height)
    places = [
        (0.74 * width, 0.3 * height, 90, 20),
        (0.13 * width, 0.3 * height, 70, -20),
        (0.4 * width, 0.35 * height, 56, 0),
    ]
    for place in places:
        paste(pixels, *place)
    faces = detector().detect(Frame(pixels))
    assert len(faces) == len(places)
    for face, (x, y, side, _) in zip(faces, places, strict=True):
        assert is_near(face.box, x, y, side)


@pytest.mark.parametrize("continuous", [False, True])
def test_no_face_in_flat_pictures_and_noise(continuous: bool) -> None:
    rng = np.random.default_rng(0)
    pictures = [np.full((480, 640, 3), value, np.uint8) for value in (0, 128, 255)]
    pictures += [rng.integers(0, 256, (480, 640, 3)).astype(np.uint8), np.zeros((1, 1), np.uint8)]
    pictures.append(np.tile(np.linspace(0, 255, 640).astype(np.uint8), (480, 1)))
    for pixels in pictures:
        assert detector(continuous).detect(Frame(pixels)) == []


@pytest.mark.parametrize("continuous", [False, True])
def test_a_mirrored_picture_gives_the_mirrored_box(continuous: bool) -> None:
    (face,) = detector(continuous).detect(Frame(astronaut()))
    (mirrored,) = detector(continuous).detect(Frame(np.ascontiguousarray(astronaut()[:, ::-1])))
    assert face.eyes is not None and mirrored.eyes is not None
    # No network is exactly symmetric: a tenth of the face.
    limit = FACE_WIDTH / 10
    assert 512 - (mirrored.box.x + mirrored.box.width) == pytest.approx(face.box.x, abs=limit)
    assert mirrored.box.y == pytest.approx(face.box.y, abs=limit)
    assert mirrored.box.width == pytest.approx(face.box.width, abs=limit)
    assert mirrored.eyes[0][0] < mirrored.eyes[1][0]
    assert 511 - mirrored.eyes[1][0] == pytest.approx(face.eyes[0][0], abs=limit)


@pytest.mark.parametrize(("width", "height"), [(640, 360), (360, 640)])
def test_a_wide_or_high_frame_gives_the_faces_of_the_square_around_it(width: int, height: int) -> None:
    pixels = canvas(width, height)
    for place in (0.2, 0.8):
        paste(pixels, width * (place if width > height else 0.5), height * (place if width < height else 0.5), 80)
    x, y = (640 - width) // 2, (640 - height) // 2
    square = np.zeros((640, 640, 3), np.uint8)
    square[y : y + height, x : x + width] = pixels
    detected, expected = (detector().detect(Frame(each)) for each in (pixels, square))
    assert len(detected) == len(expected) == 2
    for face in detected:
        moved = Box(face.box.x + x, face.box.y + y, face.box.width, face.box.height)
        assert max(box_iou(moved, each.box) for each in expected) > 0.85


@given(st.integers(1, 4000), st.integers(1, 4000), st.none() | st.integers(1, 4000), st.booleans())
def test_the_input_grows_with_smaller_faces_within_its_limits(
    width: int, height: int, min_face: int | None, continuous: bool
) -> None:
    scale = input_scale((width, height), min_face, continuous)
    assert 0 < scale <= MAX_ENLARGEMENT
    # rounding to whole blocks aside, no input is larger than the largest square or a strip of that area
    assert scale * max(width, height) <= INPUT_SIDES[1] + 1 or scale * scale * width * height <= MAX_INPUT_AREA + 1
    if min_face is not None:
        assert scale >= input_scale((width, height), 2 * min_face, continuous)


def test_the_default_finds_smaller_faces_in_pictures_than_in_video() -> None:
    assert input_scale((640, 480), None, continuous=True) == 0.4
    assert input_scale((640, 480), None, continuous=False) == 1
    assert input_scale((640, 480), 20, continuous=True) == 1.2


@pytest.mark.parametrize("upright", [False, True])
def test_a_face_in_a_strip_is_detected(upright: bool) -> None:
    pixels = canvas(120, 2000) if upright else canvas(2000, 120)
    x, y = (60, 1500) if upright else (1500, 60)
    paste(pixels, x, y, 60)
    (face,) = detector().detect(Frame(pixels))
    assert is_near(face.box, x, y, 60)


@pytest.mark.parametrize("name", FACE_MODELS)
@pytest.mark.parametrize("place", [0, 1000, -1])
def test_a_flipped_byte_is_a_one_line_error(tmp_path: Path, name: str, place: int) -> None:
    folder = shutil.copytree(MODELS, tmp_path / "face")
    content = bytearray((folder / name).read_bytes())
    content[place] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ModelError, match=r"sha256 is .* expected .*reinstall") as raised:
        verified_face_model(name, folder)
    assert "\n" not in str(raised.value)


def test_missing_files_and_facts_are_one_line_errors(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be checked"):
        open_yunet(folder=tmp_path)
    with pytest.raises(ModelError, match="unknown; expected one of yunet"):
        open_detector("retina")
    folder = shutil.copytree(MODELS, tmp_path / "face")
    entries = json.loads((folder / "faces.json").read_text())
    del entries[YUNET]["outputs"]["low"]
    (folder / "faces.json").write_text(json.dumps(entries))
    with pytest.raises(ModelError, match="no output range"):
        open_yunet(folder=folder)


@pytest.mark.parametrize("angle", [45, 90, 135, 180, -135, -90, -45])
@pytest.mark.parametrize("continuous", [False, True])
def test_a_turned_face_is_detected_with_its_tilt(angle: int, continuous: bool) -> None:
    pixels = canvas()
    paste(pixels, 320, 240, 150, -angle)  # of 110 px and at 135 degrees, one in seven is not
    found = open_detector(continuous=continuous)
    faces: list[Face] = []
    for _ in range(1 if not continuous else len(SEARCHED_TILTS)):  # in video, one tilt is searched per frame
        faces = faces or found.detect(Frame(pixels))
    (face,) = faces
    assert is_near(face.box, 320, 240, 150)
    assert abs((eye_tilt(face) - angle + 180) % 360 - 180) < 15


@pytest.mark.parametrize("continuous", [False, True])
def test_a_long_strip_is_searched_turned_in_a_bounded_square(monkeypatch: pytest.MonkeyPatch, continuous: bool) -> None:
    inputs: list[int] = []
    monkeypatch.setattr(YuNet, "detect", lambda network, pixels, threshold: inputs.append(pixels.size) or NO_DETECTION)
    assert open_detector(continuous=continuous).detect(Frame(canvas(20_000, 60))) == []
    assert len(inputs) > 1 and max(inputs) <= 3 * max(MAX_TURNED_SIDE**2, 2 * MAX_INPUT_AREA)


def test_a_turn_that_has_found_a_face_is_searched_again() -> None:
    pixels = canvas()
    paste(pixels, 320, 240, 110, 180)
    found = open_detector(continuous=True)
    assert [bool(found.detect(Frame(pixels))) for _ in range(12)].count(True) >= 12 - SEARCHED_TILTS.index(180)


@given(st.sampled_from(SEARCHED_TILTS), st.floats(0, 150), st.floats(0, 150), st.floats(5, 60))
def test_turned_detections_are_where_they_are_in_the_picture(tilt: int, x: float, y: float, side: float) -> None:
    matrix = cv2.getRotationMatrix2D((80, 60), tilt, 1)
    turned = matrix[:, :2] @ (x, y) + matrix[:, 2]
    row = np.zeros((1, 15), np.float32)
    half = np.array([side / 2, side])
    row[0, :4] = np.concatenate([turned - half, turned + half])
    row[0, 4:14], row[0, -1] = np.tile(turned, 5), 0.7
    (back,) = turn_back(row, matrix, tilt)
    width, height = back[2:4] - back[:2]
    np.testing.assert_allclose((back[:2] + back[2:4]) / 2, (x, y), atol=1e-3)
    np.testing.assert_allclose(back[4:14].reshape(5, 2), [(x, y)] * 5, atol=1e-3)
    assert width * height == pytest.approx(2 * side * side, rel=1e-4)
    assert width / height == pytest.approx(1 if tilt % 90 else 2 if abs(tilt) == 90 else 0.5, rel=1e-3)


@pytest.mark.parametrize("angle", [15, 30, 60])
def test_a_level_face_that_tilts_is_noticed_within_half_a_second(angle: int) -> None:
    found = open_detector(continuous=True)
    tilts = []
    for index in range(12):
        pixels = canvas()
        paste(pixels, 320, 240, 110, -angle if index >= 3 else 0)
        (face,) = found.detect(Frame(pixels, index, index / 10))
        tilts.append(eye_tilt(face))
    assert max(map(abs, tilts[:3])) < 8
    assert tilts[8:] == pytest.approx([angle] * 4, abs=8)


def test_a_box_between_two_faces_is_dropped() -> None:
    eyes = [((x + 30.0, 40.0), (x + 70.0, 40.0)) for x in (0, 110, 60)]
    left, right = Face(Box(0, 0, 100, 130), 0.9, eyes[0]), Face(Box(110, 0, 100, 130), 0.9, eyes[1])
    between = Face(Box(60, 10, 90, 110), 0.8, eyes[2])
    assert drop_phantoms([between, left, right]) == [left, right]
    assert drop_phantoms([between, left]) == [left, between]


def test_no_face_between_two_faces_and_none_in_a_face() -> None:
    head = astronaut()[40:210, 140:310]  # 170x170, the face in the middle
    pixels = canvas(1280, 720)
    places = [(x, y, FACE_WIDTH) for y in (150, 350) for x in range(120, 1200, 150)]
    for x, y, _ in places:
        pixels[y - 80 : y + 90, x - 85 : x + 85] = head
    faces = detector().detect(Frame(pixels))
    assert len(faces) == len(places)
    for x, y, side in places:
        assert sum(is_near(face.box, x, y, side) for face in faces) == 1, (x, y)


def test_haar_works_or_its_error_says_what_to_install() -> None:
    if not hasattr(cv2, "CascadeClassifier"):
        with pytest.raises(ModelError, match="opencv-python<5"):
            open_detector("haar")
        return
    faces = open_detector("haar").detect(Frame(astronaut()))
    assert any(is_near(face.box, *CENTRE, FACE_WIDTH) for face in faces)


def test_a_haar_box_becomes_one_as_yunet_draws_it() -> None:
    box = convert_haar_box(100, 100, 200, 200)
    assert (box.width, box.height) == pytest.approx((200 * HAAR_SCALE,) * 2, abs=1)
    assert box.x + box.width / 2 == pytest.approx(200, abs=1)
    assert box.y + box.height / 2 == pytest.approx(200, abs=1)
