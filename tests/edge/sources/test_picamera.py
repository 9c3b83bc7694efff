"""A Raspberry Pi's camera module, with fakes of picamera2 and libcamera."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from fake_picamera2 import Picamera2, gradient, install_fake_picamera2
from waiting import until

from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources import open_source
from fer_edge.edge.sources.dual_picture import DualPicture
from fer_edge.edge.sources.options import SourceOptions
from fer_edge.edge.sources.picamera import MAX_SINGLE_PIXELS, MIN_SMALL_SIDE, small_size


@pytest.fixture
def picamera2(monkeypatch: pytest.MonkeyPatch) -> type[Picamera2]:
    return install_fake_picamera2(monkeypatch)


@pytest.mark.parametrize("unsupported", [(), ("RGB888",)])
@pytest.mark.parametrize("camera", ["picamera2", "picamera2:0", "0"])
def test_picamera(picamera2: type[Picamera2], unsupported: tuple[str, ...], camera: str) -> None:
    """Camera 0 falls through to libcamera where V4L2 has none; XRGB8888 where RGB888 does not start."""
    if camera == "0" and Path("/dev/video0").exists():
        pytest.skip("this computer has a camera 0")
    picamera2.unsupported = unsupported
    with open_source(SourceOptions(camera=camera, width=642, height=480)) as source:
        (opened,) = picamera2.open_cameras
        frame = next(iter(source))
    assert (frame.pixels == gradient(642, 480)).all()  # a copy: the camera has written there since
    assert frame.pixels.flags.c_contiguous
    assert frame.at_width(1) is frame.pixels
    assert "imx708, 642x480, 30 fps" in source.name
    until(lambda: not picamera2.open_cameras)
    assert opened.buffers_in_use == 0


@pytest.mark.parametrize(("rotate", "mirror"), [(r, m) for r in (0, 90, 180, 270) for m in (False, True)])
@pytest.mark.parametrize("refuses_flips", [False, True])
def test_picamera_rotates(picamera2: type[Picamera2], rotate: int, mirror: bool, refuses_flips: bool) -> None:
    """By the image processor where it can, else while copying; the small stream with it."""
    picamera2.refuses_flips = refuses_flips
    picamera2.unsupported = () if mirror else ("RGB888",)
    with open_source(
        SourceOptions(camera="picamera2", width=1440, height=1080, rotate=rotate, mirror=mirror)
    ) as source:
        frame = next(iter(source))
    rotated = np.rot90(gradient(1440, 1080), -rotate // 90)
    assert (frame.pixels == (rotated[:, ::-1] if mirror else rotated)).all()
    width, height = (270, 360) if rotate in (90, 270) else (360, 270)
    for colour in (False, True):
        small = frame.at_width(200, colour)
        assert small.shape == ((height, width, 3) if colour else (height, width))
        dark_first = small[0, 0].mean() < small[-1, -1].mean()
        assert dark_first == {0: not mirror, 90: True, 180: mirror, 270: False}[rotate]
    assert frame.at_width(width + 1) is frame.pixels


def test_picamera_negotiates_the_rate(picamera2: type[Picamera2]) -> None:
    with open_source(SourceOptions(camera="picamera2", fps=10)) as source:
        assert source.fps == pytest.approx(10)
        assert "10 fps)" in source.name
    until(lambda: not picamera2.open_cameras)
    with open_source(SourceOptions(camera="picamera2", fps=100)) as source:
        assert "56 fps instead of 100" in source.name


@pytest.mark.parametrize("granted", ["BGR888", "XBGR8888"])
def test_picamera_that_grants_another_channel_order(picamera2: type[Picamera2], granted: str) -> None:
    """libcamera grants a format that the pipeline has in place of the requested one, without an error."""
    picamera2.granted_format = granted
    with open_source(SourceOptions(camera="picamera2", width=642, height=480, mirror=True)) as source:
        assert (next(iter(source)).pixels == gradient(642, 480)[:, ::-1]).all()


def test_picamera_without_a_colour_format_is_an_error(picamera2: type[Picamera2]) -> None:
    picamera2.granted_format = "YUYV"
    with pytest.raises(SourceError, match="RGB888: it gives YUYV; expected RGB888, XRGB8888, BGR888, XBGR8888"):
        open_source(camera="picamera2")
    assert not picamera2.open_cameras


def test_picamera_that_another_program_uses(picamera2: type[Picamera2]) -> None:
    with picamera2(), pytest.raises(SourceError) as raised:
        open_source(SourceOptions(camera="picamera2", width=1920, height=1080))
    assert str(raised.value).count("Failed to acquire camera: Device or resource busy") == 1
    assert "does another program use it?" in str(raised.value)


def test_picamera_of_usb_has_one_stream(picamera2: type[Picamera2]) -> None:
    picamera2.single_stream = True
    with open_source(SourceOptions(camera="picamera2", width=1920, height=1080, fps=5)) as source:
        frame = next(iter(source))
    assert frame.pixels.shape == (1080, 1920, 3)
    assert frame.at_width(1) is frame.pixels
    assert "5 fps requested" in source.name


@pytest.mark.slow
def test_picamera_that_stops_giving_pictures(picamera2: type[Picamera2]) -> None:
    with open_source(SourceOptions(camera="picamera2", frame_timeout=2, reconnect_timeout=0)) as source:
        frames = iter(source)
        next(frames)
        picamera2.silent = True
        with pytest.raises(SourceError, match=r"no picture for 2 s; is its cable loose"):
            list(frames)


def test_picamera_that_does_not_start(picamera2: type[Picamera2]) -> None:
    picamera2.unsupported = ("RGB888", "XRGB8888")
    with pytest.raises(SourceError, match=r"RGB888: Failed to start camera: Invalid argument; XRGB8888") as raised:
        open_source(camera="picamera2")
    assert "\n" not in str(raised.value)
    assert not picamera2.open_cameras
    with pytest.raises(SourceError, match="there is no camera 1; libcamera sees 1"):
        open_source(camera="picamera2:1")


@pytest.mark.parametrize("size", [(640, 480), (1280, 720), (1920, 1080), (2304, 1296), (720, 1280), (513, 511)])
def test_small_stream_is_enough_for_the_detector(size: tuple[int, int]) -> None:
    small = small_size(*size)
    if small is None:
        assert size[0] * size[1] <= MAX_SINGLE_PIXELS
    else:
        assert 2 * MIN_SMALL_SIDE > max(small) >= MIN_SMALL_SIDE - 1
        assert all(side % 2 == 0 for side in small)
        assert small[0] / small[1] == pytest.approx(size[0] / size[1], rel=0.01)


@pytest.mark.parametrize("full_range", [True, False])
@pytest.mark.parametrize("flips", [(False, False), (True, False)])
def test_the_small_picture_has_the_colours_of_the_whole_one(full_range: bool, flips: tuple[bool, bool]) -> None:
    """Of either range of luma; the rows are padded as the camera's are."""
    bgr = cv2.GaussianBlur(gradient(96, 64) // 2 + 60, (0, 0), 3)
    if full_range:
        luma, red, blue = cv2.split(cv2.cvtColor(bgr, cv2.COLOR_BGR2YCrCb))
        chroma = [cv2.resize(plane, (48, 32), interpolation=cv2.INTER_AREA).reshape(16, 96) for plane in (blue, red)]
        yuv = np.concatenate([luma, *chroma])
    else:
        yuv = cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420)
    padded = np.full((96, 128), 255, np.uint8)
    padded[:64, :96] = yuv[:64]
    padded[64:].reshape(64, 64)[:, :48] = yuv[64:].reshape(64, 48)
    picture = DualPicture(np.zeros((640, 960, 3), np.uint8), padded, (96, 64), full_range, flips)
    expected = bgr[:, ::-1] if flips[0] else bgr
    assert np.abs(picture.at_width(96, True).astype(int) - expected).max() <= 8
    gray = cv2.cvtColor(np.ascontiguousarray(expected), cv2.COLOR_BGR2GRAY).astype(int)
    assert np.abs(picture.at_width(96, False) - gray).max() <= 2
    assert picture.at_width(97, False).shape == (640, 960, 3)
