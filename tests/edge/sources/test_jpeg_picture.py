"""A Motion JPEG camera's pictures: what is decoded of them, when, and what happens to damaged ones."""

from __future__ import annotations

import logging
import struct
import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from waiting import until

from fer_edge.edge.errors import SourceError
from fer_edge.edge.faces.crop import face_crop
from fer_edge.edge.sources import v4l2
from fer_edge.edge.sources.base_source import BaseSource
from fer_edge.edge.sources.camera import MOTION_JPEG, V4l2Camera
from fer_edge.edge.sources.capture_request import CaptureRequest
from fer_edge.edge.sources.jpeg_picture import MAX_DAMAGED, JpegPicture, JpegStream, read_size
from fer_edge.edge.sources.newest_frame import NewestFrameReader
from fer_edge.edge.sources.rotated import RotatedSource, rotate_picture
from fer_edge.edge.types import Box, Face, Frame

PORTRAIT = Path(__file__).parents[3] / "benchmarks" / "astronaut.jpg"


@cache
def scene(width: int = 1280, height: int = 720) -> np.ndarray:
    """(height, width, 3), a portrait that fills it."""
    return cv2.resize(cv2.imread(str(PORTRAIT)), (width, height), interpolation=cv2.INTER_AREA)


@cache
def jpeg(width: int = 1280, height: int = 720, *parameters: int) -> bytes:
    return cv2.imencode(".jpg", scene(width, height), parameters)[1].tobytes()


def decoded(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def without_tables(data: bytes) -> bytes:
    """Without its Huffman tables, as many webcams send it."""
    at, kept = 2, data[:2]
    while data[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        kept += b"" if data[at + 1] == 0xC4 else data[at:end]
        at = end
    return kept + data[at:]


def picture(stream: JpegStream, data: bytes | None = None) -> JpegPicture:
    made = stream.picture(jpeg() if data is None else data)
    assert made is not None
    return made


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of all pictures that are decoded."""
    shapes: list[tuple[int, ...]] = []
    imdecode = cv2.imdecode

    def record(*arguments: Any) -> Any:
        pixels = imdecode(*arguments)
        shapes.append(pixels.shape)
        return pixels

    monkeypatch.setattr(cv2, "imdecode", record)
    return shapes


@given(
    st.integers(1, 70),
    st.integers(1, 70),
    st.lists(st.binary(max_size=40), max_size=2),
    st.integers(0, 3),
    st.booleans(),
)
def test_the_header_has_the_size(width: int, height: int, comments: list[bytes], fill: int, progressive: bool) -> None:
    pixels = np.zeros((height, width), np.uint8)
    data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)])[1].tobytes()
    segments = b"".join(b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text for text in comments)
    assert read_size(data[:2] + segments + b"\xff" * fill + data[2:]) == (width, height)


@given(st.binary(max_size=60))
def test_any_bytes_may_come_from_a_camera(data: bytes) -> None:
    assert read_size(b"\xff\xd8" + data) is None or len(data) > 8
    assert read_size(data[1:]) is None or data[1:3] == b"\xff\xd8"


def test_a_picture_has_no_fewer_pixels_than_needed(decodings: list[tuple[int, ...]]) -> None:
    for width, shape in ((1, (90, 160)), (160, (90, 160)), (161, (180, 320)), (640, (360, 640)), (641, (720, 1280))):
        assert picture(JpegStream("")).at_width(width, False).shape == shape
        assert picture(JpegStream("")).at_width(width, True).shape == (*shape, 3)
    frame = Frame(picture(JpegStream("")))
    assert frame.size == (1280, 720)
    assert len(decodings) == 10
    assert (frame.pixels == decoded(jpeg())).all()


@pytest.mark.parametrize("sampling", [cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420])
def test_fewer_pixels_show_the_same(sampling: int) -> None:
    data = without_tables(jpeg(1280, 720, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling))
    whole = decoded(data)
    assert (picture(JpegStream(""), data).at_width(1280, True) == whole).all()
    for width in (640, 320, 160):
        expected = cv2.resize(whole, (width, width * 9 // 16), interpolation=cv2.INTER_AREA).astype(int)
        colour = picture(JpegStream(""), data).at_width(width, True)
        gray = picture(JpegStream(""), data).at_width(width, False)
        assert np.abs(colour - expected).mean() < 3
        assert np.abs(gray - cv2.cvtColor(expected.astype(np.uint8), cv2.COLOR_BGR2GRAY).astype(int)).mean() < 2


def test_what_was_decoded_serves_later_uses(decodings: list[tuple[int, ...]]) -> None:
    frame = Frame(picture(JpegStream("")))
    first = frame.at_width(500)
    assert all(frame.at_width(width, colour) is first for width in (640, 320, 1) for colour in (True, False))
    assert frame.at_width(641, False).shape == (720, 1280)
    assert len(decodings) == 2


def test_the_next_picture_is_decoded_as_the_last_ones_were_used(decodings: list[tuple[int, ...]]) -> None:
    stream = JpegStream("")
    for colour in (False, True):  # a motion gate, a face that needs more, and the gate again
        frame = Frame(picture(stream))
        frame.at_width(160, False)
        frame.at_width(640, colour)
    assert decodings == [(90, 160), (360, 640), (360, 640), (360, 640, 3)]
    decodings.clear()
    assert Frame(picture(stream)).pixels.ndim == 3  # somebody looks at the live page
    assert Frame(picture(stream)).at_width(160, False).shape == (720, 1280, 3)
    assert decodings == [(720, 1280, 3)] * 2
    for _ in range(10):  # nobody does any more
        Frame(picture(stream)).at_width(160, False)
    assert decodings[-1] == (90, 160)


def test_an_unused_picture_is_not_decoded(decodings: list[tuple[int, ...]]) -> None:
    stream = JpegStream("")
    picture(stream).prepare()
    assert not decodings
    picture(stream).at_width(640, True)
    ahead = picture(stream)
    ahead.prepare()
    assert decodings == [(360, 640, 3), (360, 640)]
    assert ahead.at_width(160, False).shape == (360, 640)
    assert len(decodings) == 2


@pytest.mark.parametrize(("rotate", "mirror"), [(r, m) for r in (0, 90, 180, 270) for m in (False, True)])
def test_it_is_rotated_after_it_was_decoded(rotate: int, mirror: bool, decodings: list[tuple[int, ...]]) -> None:
    class Camera(BaseSource):
        def __iter__(self) -> Iterator[Frame]:
            yield Frame(picture(JpegStream("")))

    (frame,) = RotatedSource(Camera(), rotate, mirror)
    sideways = rotate in (90, 270)
    assert frame.size == ((720, 1280) if sideways else (1280, 720))
    assert not decodings
    small = frame.at_width(170, False)
    assert small.shape == ((320, 180) if sideways else (180, 320))
    assert (small == frame.at_width(180, False)).all()
    assert (frame.pixels == rotate_picture(decoded(jpeg()), rotate, mirror)).all()


@pytest.mark.parametrize("side", [60, 120, 250, 500])
def test_a_crop_of_fewer_pixels_is_the_same_crop(side: int) -> None:
    """Where the picture is decoded at half its size, so that 96 px of the face remain, and where it is not."""
    face = Face(
        Box(500, 150, side, side), 1.0, ((500 + side / 3, 150 + side / 3), (500 + side / 1.5, 150 + side / 2.5))
    )
    frame = Frame(picture(JpegStream("")))
    crop = face_crop(frame, face).astype(int)
    assert np.abs(crop - face_crop(Frame(decoded(jpeg())), face)).mean() < 1.5  # half a pixel off would be 4
    assert frame.at_width(1, False).shape[1] == (1280 if side < 170 else 640 if side < 330 else 320)


def test_damaged_pictures_are_left_out_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    stream = JpegStream("/dev/video0")
    picture(stream)
    cut = jpeg()[: len(jpeg()) // 2]
    with caplog.at_level(logging.WARNING):
        for data in (cut, b"", b"\0" * 100, jpeg()[4:], jpeg(640, 480)):
            assert stream.picture(data) is None
    assert stream.damaged == 5
    assert len(caplog.records) == 1
    picture(stream, jpeg() + b"\0" * 1000)  # a padded buffer
    assert all(stream.picture(cut) is None for _ in range(MAX_DAMAGED - 1))
    with pytest.raises(SourceError, match="damaged pictures in a row"):
        stream.picture(cut)


def test_bytes_that_were_altered_on_the_way_do_not_end_the_run() -> None:
    data = bytearray(jpeg())
    random = np.random.default_rng(0)
    for index in random.integers(700, len(data) - 2, 50):
        data[index] = random.integers(256)
    assert Frame(picture(JpegStream(""), bytes(data))).pixels.shape == (720, 1280, 3)
    no_quantization = jpeg().replace(b"\xff\xdb", b"\xff\xfe")  # it cannot be decoded at all
    frame = Frame(picture(JpegStream(""), no_quantization))
    assert frame.at_width(600, False).shape == (360, 640)
    assert (frame.pixels == 128).all()


class Capture:
    """A cv2.VideoCapture of a camera that has Motion JPEG, or refuses it: then it gives raw pictures."""

    def __init__(self, buffers: list[bytes], refuses: bool = False) -> None:
        self._buffers, self._refuses = buffers, refuses
        self._settings: dict[int, float] = {cv2.CAP_PROP_FOURCC: cv2.VideoWriter.fourcc(*"YUYV")}

    def set(self, setting: int, value: float) -> bool:
        if setting == cv2.CAP_PROP_FOURCC and self._refuses:
            return False
        self._settings[setting] = value
        return True

    def get(self, setting: int) -> float:
        return self._settings.get(setting, 0)

    def read(self) -> tuple[bool, np.ndarray | None]:
        if not self._buffers:
            return False, None
        raw = np.frombuffer(self._buffers.pop(0), np.uint8)[None]  # (1, N)
        as_it_is = self.get(cv2.CAP_PROP_FOURCC) == MOTION_JPEG and self._settings.get(cv2.CAP_PROP_CONVERT_RGB) == 0
        return True, raw if as_it_is else decoded(raw.tobytes())

    def release(self) -> None:
        pass


@pytest.fixture
def webcam(monkeypatch: pytest.MonkeyPatch) -> Callable[..., V4l2Camera]:
    """Opens a camera that has 1280x720 at 30 frames per second as Motion JPEG only."""
    size = (v4l2.Size(1280, 720, (30.0,)),)
    formats = (v4l2.Format("MJPG", "Motion-JPEG", True, size),)
    monkeypatch.setattr("fer_edge.edge.sources.camera._read_formats", lambda path: formats)

    def open_webcam(buffers: list[bytes], refuses: bool = False) -> V4l2Camera:
        capture = Capture(buffers, refuses)
        monkeypatch.setattr("fer_edge.edge.sources.camera.open_capture", lambda path, backend: capture)
        return V4l2Camera("/dev/null", CaptureRequest(1280, 720, 30))

    return open_webcam


def read_frames(camera: V4l2Camera) -> list[Frame]:
    frames = []
    with pytest.raises(SourceError, match="stopped giving"):
        frames += list(map(frames.append, camera))
    return frames


def test_a_webcam_gives_its_jpegs_undecoded(webcam: Callable[..., V4l2Camera], decodings: list[Any]) -> None:
    camera = webcam([jpeg(), jpeg()[:5000], jpeg() + b"\0\0"])
    assert "MJPG, 1280x720, 30 fps" in camera.name
    frames = read_frames(camera)
    assert [frame.index for frame in frames] == [0, 1]
    assert camera.dropped == 1
    assert not decodings
    assert all((frame.pixels == decoded(jpeg())).all() for frame in frames)


def test_a_webcam_that_refuses_motion_jpeg_gives_raw_pictures(webcam: Callable[..., V4l2Camera]) -> None:
    camera = webcam([jpeg()], refuses=True)
    assert "MJPG" not in camera.name
    (frame,) = read_frames(camera)
    assert (frame.pixels == decoded(jpeg())).all()


def test_frames_that_are_dropped_are_decoded_only_ahead_of_a_busy_user(
    webcam: Callable[..., V4l2Camera], decodings: list[Any]
) -> None:
    """Nothing is known yet of how they are used, so that even a busy user's are not."""
    camera = webcam([jpeg()] * 20)
    with NewestFrameReader.start(camera) as reader:
        until(lambda: not any(each.name.startswith("reader of /dev/null") for each in threading.enumerate()))
        assert not decodings
        assert next(iter(reader)).at_width(640, False).shape == (360, 640)
    assert decodings == [(360, 640)]


def test_the_next_frame_is_decoded_while_its_user_is_busy(decodings: list[Any]) -> None:
    stream, busy = JpegStream(""), threading.Event()

    class Camera(BaseSource):
        def __iter__(self) -> Iterator[Frame]:
            yield Frame(picture(stream))
            assert busy.wait(10)
            yield Frame(picture(stream), 1)

    with NewestFrameReader.start(Camera()) as reader:
        frames = iter(reader)
        next(frames).at_width(640, False)
        busy.set()
        until(lambda: len(decodings) == 2)
        assert next(frames).at_width(640, False).shape == (360, 640)
        assert decodings == [(360, 640)] * 2
