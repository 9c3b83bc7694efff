"""What a caller of the library may pass by mistake: one error that says what it is, and no wrong answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from network_camera import PORTRAIT

from fer_edge import (
    EventDetector,
    FerEdgeError,
    Frame,
    Pipeline,
    PipelineOptions,
    SourceOptions,
    annotate,
    open_pipeline,
    open_source,
    read_picture,
)
from fer_edge.edge.sources.jpeg_picture import JpegHistory, JpegPicture

PIXELS = read_picture(PORTRAIT)


@pytest.fixture(scope="module", params=[False, True], ids=["pictures", "continuous"])
def pipeline(request: pytest.FixtureRequest) -> Pipeline:
    return open_pipeline(continuous=request.param)


WRONG: dict[str, tuple[Any, str]] = {
    "0 to 1": (PIXELS / 255, r"array of float64 with the shape \(512, 512, 3\).*255 \* pixels"),
    "float32": (PIXELS.astype(np.float32), "array of float32"),
    "16 bits": (PIXELS.astype(np.uint16) * 257, "array of uint16.*pixels // 256"),
    "signed": (PIXELS.view(np.int8), "array of int8"),
    "wide": (PIXELS.astype(int), "array of int64"),
    "mask": (PIXELS > 99, "array of bool"),
    "objects": (PIXELS[:9].astype(object), "array of object"),
    "text": (np.full((4, 4), "a"), "array of <U1"),
    "records": (np.zeros((4, 4), [("a", "u1")]), "array of"),
    "batch": (PIXELS[None], r"shape \(1, 512, 512, 3\).*one picture of the batch"),
    "channels first": (PIXELS.transpose(2, 0, 1), r"shape \(3, 512, 512\).*moveaxis"),
    "two channels": (PIXELS[..., :2], r"shape \(512, 512, 2\)"),
    "one row": (PIXELS[0, :, 0], r"shape \(512,\)"),
    "no dimension": (np.array(5, np.uint8), r"shape \(\)"),
    "no row": (PIXELS[:0], "it is empty"),
    "no column": (PIXELS[:, :0], "it is empty"),
    "None": (None, "None, expected uint8 pixels.*cv2.imread"),
    "path": (PORTRAIT, "PosixPath.*read_picture"),
    "name": ("a.jpg", "'a.jpg'.*read_picture"),
    "bytes": (b"\xff\xd8", "bytes.*read_picture"),
    "list": ([[1, 2], [3, 4]], "list.*numpy.asarray"),
    "memoryview": (memoryview(b"123"), "memoryview"),
    "number": (3, "3, expected"),
    "class": (JpegPicture, "type"),
}


@pytest.mark.faults
@pytest.mark.parametrize("name", WRONG)
def test_a_frame_of_anything_else_is_an_error_that_says_what_it_is(name: str) -> None:
    value, message = WRONG[name]
    with pytest.raises(FerEdgeError, match=message) as raised:
        Frame(value)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 400


@pytest.mark.faults
@pytest.mark.parametrize(
    "field",
    [{"index": value} for value in (-1, None, "1", 1.5)]
    + [{"time": value} for value in (None, "1", float("nan"), float("inf"), 1j)],
)
def test_a_frame_s_number_and_time_are_checked(field: dict[str, Any]) -> None:
    (name,) = field
    with pytest.raises(FerEdgeError, match=f"a frame's {name} is .*, expected"):
        Frame(PIXELS, **field)


def read_only() -> np.ndarray:
    pixels = PIXELS.copy()
    pixels.flags.writeable = False
    return pixels


RIGHT: dict[str, Callable[[], np.ndarray]] = {
    "gray (H, W, 1)": lambda: PIXELS[..., 1:2],
    "BGRA": lambda: np.dstack([PIXELS, np.zeros((512, 512), np.uint8)]),
    "not contiguous": lambda: np.repeat(PIXELS, 2, axis=1)[:, ::2],
    "columns first": lambda: np.asfortranarray(PIXELS),
    "RGB view": lambda: np.ascontiguousarray(PIXELS[..., ::-1])[..., ::-1],
    "read-only": read_only,
    "masked": lambda: np.ma.masked_array(PIXELS),  # type: ignore[no-untyped-call]
}


@pytest.mark.faults
@pytest.mark.parametrize("name", RIGHT)
def test_every_form_of_a_picture_gives_the_same_faces(pipeline: Pipeline, name: str) -> None:
    """Those of the picture itself, colour or gray; drawn on, it becomes (H, W, 3), and the array is not changed."""
    pixels = RIGHT[name]()
    before = np.array(pixels)
    frame = Frame(pixels, np.int64(0), np.float32(0))
    assert frame.size == (512, 512) and frame.pixels.ndim == (2 if "gray" in name else 3)
    plain = PIXELS if frame.pixels.ndim == 3 else PIXELS[..., 1]
    expected, found = (open_pipeline().process(each) for each in (Frame(plain), frame))
    assert [face.face.box for face in found] == [face.face.box for face in expected] and len(found) == 1
    assert pipeline.process(frame) is not None
    drawn = annotate(frame, found)
    assert drawn.shape == (512, 512, 3) and (drawn == annotate(Frame(plain), expected)).all()
    assert (np.asarray(pixels) == before).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (1, 3000, 3), (3000, 1)])
def test_tiny_and_thin_pictures_have_no_face(pipeline: Pipeline, shape: tuple[int, ...]) -> None:
    frame = Frame(np.full(shape, 99, np.uint8))
    assert annotate(frame, pipeline.process(frame)).shape == (*shape[:2], 3)


def test_a_picture_that_is_decoded_later_is_not_decoded_for_the_check() -> None:
    picture = JpegPicture(b"no JPEG", (640, 480), JpegHistory())
    assert Frame(picture).picture is picture and Frame(PIXELS).picture is PIXELS


@pytest.mark.faults
@pytest.mark.parametrize("value", [PIXELS, None, PORTRAIT, "frame"])
def test_a_raw_array_in_place_of_a_frame_is_an_error(pipeline: Pipeline, value: Any) -> None:
    calls: list[Callable[[], object]] = [lambda: pipeline.process(value), lambda: annotate(value, [])]
    for call in calls:
        with pytest.raises(FerEdgeError, match=r"Frame was expected.*Frame\(pixels\)"):
            call()


@pytest.mark.faults
def test_predictions_and_times_are_checked(pipeline: Pipeline) -> None:
    frame = Frame(PIXELS)
    found = pipeline.process(frame)
    wrong: list[Any] = [None, found[0], [None], [found[0].face], 3]
    for value in wrong:
        with pytest.raises(FerEdgeError, match="Prediction"):
            annotate(frame, value)
        with pytest.raises(FerEdgeError, match="Prediction"):
            EventDetector().update(value, 0.0)
    for time in (None, "0", float("nan")):
        with pytest.raises(FerEdgeError, match="expected finite seconds"):
            EventDetector().update(found, time)  # type: ignore[arg-type]
        with pytest.raises(FerEdgeError, match="hold_time"):
            EventDetector(time)  # type: ignore[arg-type]
    with pytest.raises(FerEdgeError, match="0 is all the work"):
        pipeline.set_load("much")  # type: ignore[arg-type]
    assert EventDetector().update(iter(found), 0.0) == []  # type: ignore[arg-type]


@pytest.mark.faults
@pytest.mark.parametrize(
    ("options", "field", "value", "expected"),
    [
        (PipelineOptions, "detect_every", 0, "at least 1"),
        (PipelineOptions, "detect_every", 2.5, "int"),
        (PipelineOptions, "threads", True, "int"),
        (PipelineOptions, "threads", "2", "int"),
        (PipelineOptions, "min_face", 0, "at least 8"),
        (PipelineOptions, "smooth", float("nan"), "at least 0"),
        (PipelineOptions, "latency_budget", 0, "more than 0"),
        (PipelineOptions, "model", None, "str"),
        (PipelineOptions, "early_exit", "yes", "bool or None"),
        (SourceOptions, "rotate", 45, "one of 0, 90, 180, 270"),
        (SourceOptions, "width", -5, "at least 1"),
        (SourceOptions, "fps", float("nan"), "at least 0.001"),
        (SourceOptions, "frame_timeout", 0, "more than 0"),
        (SourceOptions, "max_pixels", 1 << 40, "at least 1 and at most 1073741824"),
        (SourceOptions, "source", Path(), "str or None"),
        (SourceOptions, "loop", "x", "bool"),
    ],
)
def test_options_have_the_ranges_of_the_command_line(options: Any, field: str, value: Any, expected: str) -> None:
    with pytest.raises(FerEdgeError, match=f"{field} is .*, expected {expected}"):
        options(**{field: value})
    options()


@pytest.mark.faults
def test_arguments_of_another_type_are_errors() -> None:
    calls: dict[str, Callable[[], object]] = {
        "PipelineOptions was expected.*dict": lambda: open_pipeline({"model": "ensemble"}),  # type: ignore[arg-type]
        "SourceOptions was expected.*PipelineOptions": lambda: open_source(PipelineOptions()),  # type: ignore[arg-type]
        "a path was expected.*array": lambda: open_source(source=PIXELS),  # type: ignore[arg-type]
        "a path was expected.*None": lambda: read_picture(None),  # type: ignore[arg-type]
        "a path was expected.*0": lambda: read_picture(0),  # type: ignore[arg-type]
        "max_pixels is None": lambda: read_picture(PORTRAIT, None),  # type: ignore[arg-type]
        "empty": lambda: read_picture(""),
        "source is empty": lambda: open_source(source=""),
        "camera is empty": lambda: open_source(camera=""),
        "no such file": lambda: read_picture("a\0b"),
        "nothing.tflite": lambda: open_pipeline(model=Path("nothing.tflite")),
    }
    for message, call in calls.items():
        with pytest.raises(FerEdgeError, match=message):
            call()
    assert read_picture(bytes(PORTRAIT)).shape == (512, 512, 3)
    assert re.match("/", open_source(source=bytes(PORTRAIT)).name)  # type: ignore[arg-type]
