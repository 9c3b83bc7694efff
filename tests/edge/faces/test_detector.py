"""Face detection by the shipped networks in a real portrait, and the tiles of large frames."""

from __future__ import annotations

import itertools
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
from fer_edge.edge.faces.blazeface import BACK_CAMERA, SHORT_RANGE, open_blazeface
from fer_edge.edge.faces.boxes import box_iou
from fer_edge.edge.faces.detector import MIN_TILED_SIDE, VARIANTS, Detector, list_tiles, open_detector
from fer_edge.edge.faces.opencv_detectors import convert_haar_box
from fer_edge.edge.preprocess import FACE_SIZE
from fer_edge.edge.sources.dual_picture import DualPicture
from fer_edge.edge.types import Box, Frame

ROOT = Path(__file__).parents[3]
MODELS = ROOT / "models" / "face"
CENTRE = (226.0, 121.0)
"""The centre of the astronaut's face in the 512x512 picture, pixels."""

FACE_WIDTH = 107
"""Its width, pixels."""


@cache
def detector(spec: str = "blazeface") -> Detector:
    return open_detector(spec)


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


@pytest.mark.parametrize("spec", VARIANTS)
@pytest.mark.parametrize("gray", [False, True])
def test_the_portrait_has_one_face_with_its_eyes(spec: str, gray: bool) -> None:
    pixels = astronaut()
    if gray:
        pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), np.uint8)
    (face,) = detector(spec).detect(Frame(pixels))
    assert is_near(face.box, *CENTRE, FACE_WIDTH)
    assert face.score > 0.8
    assert face.eyes is not None
    # Marked by hand in the picture; within a tenth of the face.
    np.testing.assert_allclose(face.eyes, [(203, 102), (248, 103)], atol=FACE_WIDTH / 10)


@pytest.mark.parametrize("spec", VARIANTS)
@pytest.mark.parametrize("angle", [-30, 30])
def test_a_tilted_head_is_detected_with_its_tilt(spec: str, angle: int) -> None:
    pixels = canvas()
    paste(pixels, 300, 200, 110, angle)
    (face,) = detector(spec).detect(Frame(pixels))
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


def test_a_face_of_40_pixels() -> None:
    pixels = canvas()
    paste(pixels, 320, 240, 40)
    (face,) = detector().detect(Frame(pixels))
    assert is_near(face.box, 320, 240, 40)


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


@pytest.mark.parametrize("spec", VARIANTS)
def test_no_face_in_flat_pictures_and_noise(spec: str) -> None:
    rng = np.random.default_rng(0)
    pictures = [np.full((480, 640, 3), value, np.uint8) for value in (0, 128, 255)]
    pictures += [rng.integers(0, 256, (480, 640, 3)).astype(np.uint8), np.zeros((1, 1), np.uint8)]
    pictures.append(np.tile(np.linspace(0, 255, 640).astype(np.uint8), (480, 1)))
    for pixels in pictures:
        assert detector(spec).detect(Frame(pixels)) == []


@pytest.mark.parametrize("spec", VARIANTS)
def test_a_mirrored_picture_gives_the_mirrored_box(spec: str) -> None:
    (face,) = detector(spec).detect(Frame(astronaut()))
    (mirrored,) = detector(spec).detect(Frame(np.ascontiguousarray(astronaut()[:, ::-1])))
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


@given(st.integers(1, 4000), st.integers(1, 4000))
def test_tiles_cover_a_large_frame(width: int, height: int) -> None:
    tiles = list_tiles(width, height)
    shorter, longer = sorted((width, height))
    if longer < MIN_TILED_SIDE or shorter < FACE_SIZE:
        assert tiles == []
    for x, y, side in tiles:
        assert side == max(shorter, BACK_CAMERA.size)
        assert (x if width < height else y) == 0 <= max(x, y) <= longer - side
    if tiles:
        starts = [max(x, y) for x, y, _ in tiles]
        assert starts[0] == 0 and starts[-1] + side == longer
        overlaps = [first + side - second for first, second in itertools.pairwise(starts)]
        assert min(overlaps) >= side / 5 - 1


@pytest.mark.parametrize(("width", "height", "limit"), [(40_000, 40, 0), (8, 6_000, 0), (40_000, 60, 200)])
def test_a_strip_has_few_tiles(width: int, height: int, limit: int) -> None:
    assert len(list_tiles(width, height)) <= limit


@pytest.mark.parametrize("upright", [False, True])
def test_a_face_in_a_strip_is_detected(upright: bool) -> None:
    pixels = canvas(120, 2000) if upright else canvas(2000, 120)
    x, y = (60, 1500) if upright else (1500, 60)
    paste(pixels, x, y, 60)
    (face,) = detector().detect(Frame(pixels))
    assert is_near(face.box, x, y, 60)


@pytest.mark.parametrize("place", [0, 1000, -1])
def test_a_flipped_byte_is_a_one_line_error(tmp_path: Path, place: int) -> None:
    folder = shutil.copytree(MODELS, tmp_path / "face")
    path = folder / BACK_CAMERA.file
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"sha256 is .* expected .*reinstall") as raised:
        open_blazeface(BACK_CAMERA, folder=folder)
    assert "\n" not in str(raised.value)


def test_missing_files_are_one_line_errors(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be checked"):
        open_blazeface(SHORT_RANGE, folder=tmp_path)
    with pytest.raises(ModelError, match="no such file"):
        open_detector(f"yunet:{tmp_path / 'absent.onnx'}")
    with pytest.raises(ModelError, match="no such file"):
        open_detector("yunet:")
    with pytest.raises(ModelError, match="unknown; expected one of blazeface"):
        open_detector("retina")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a network")
    with pytest.raises(ModelError, match="cannot be used") as raised:
        open_detector(f"yunet:{broken}")
    assert "\n" not in str(raised.value)


def test_a_network_of_another_kind_is_a_one_line_error(tmp_path: Path) -> None:
    """OpenCV opens any ONNX file; only the first picture shows that it is no YuNet."""
    onnx = pytest.importorskip("onnx")
    pixels = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 3, 320, 320]) for name in "xy"]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "same", pixels[:1], pixels[1:])
    path = tmp_path / "same.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8), path)
    with pytest.raises(ModelError, match="cannot be used") as raised:
        open_detector(f"yunet:{path}")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("spec", VARIANTS)
def test_a_detector_is_described_by_its_spec(spec: str) -> None:
    assert detector(spec).description == spec


def test_haar_works_or_its_error_says_what_to_install() -> None:
    if not hasattr(cv2, "CascadeClassifier"):
        with pytest.raises(ModelError, match="opencv-python<5"):
            open_detector("haar")
        return
    faces = open_detector("haar").detect(Frame(astronaut()))
    assert any(is_near(face.box, *CENTRE, FACE_WIDTH) for face in faces)


def test_a_haar_box_is_smaller_and_lower_as_blazeface_draws_it() -> None:
    box = convert_haar_box(100, 100, 200, 200)
    assert (box.width, box.height) == pytest.approx((175.2, 175.2), abs=1)
    assert box.x + box.width / 2 == pytest.approx(200, abs=1)
    assert box.y + box.height / 2 == pytest.approx(214.6, abs=1)
