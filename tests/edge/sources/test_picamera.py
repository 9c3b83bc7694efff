"""A Raspberry Pi's camera module, with fakes of picamera2 and libcamera."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fake_picamera2 import Picamera2, gradient, install_fake_picamera2
from waiting import until

from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources import open_source
from fer_edge.edge.sources.options import SourceOptions
from fer_edge.edge.sources.picamera import MIN_SMALL_SIDE, small_size


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
    assert frame.small is None
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
    assert frame.small is not None
    assert frame.small.shape[:2] == ((360, 270) if rotate in (90, 270) else (270, 360))
    bright = frame.small[..., 0] > 150
    dark_first = bright[0, 0] < bright[-1, -1]
    assert dark_first == {0: not mirror, 90: True, 180: mirror, 270: False}[rotate]


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
    assert frame.small is None
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
        assert min(size) < 4 * MIN_SMALL_SIDE
    else:
        assert 2 * MIN_SMALL_SIDE > min(small) >= MIN_SMALL_SIDE - 1
        assert all(side % 2 == 0 for side in small)
        assert small[0] / small[1] == pytest.approx(size[0] / size[1], rel=0.01)
