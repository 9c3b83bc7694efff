"""Sources, on files that OpenCV wrote and a stream that a real server sends."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standins import Picamera2, install, scene
from waiting import LIMIT, until

from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources import open_source
from fer_edge.edge.sources.address import shown
from fer_edge.edge.sources.capture import Closing, open_capture
from fer_edge.edge.sources.latest import Latest
from fer_edge.edge.sources.picamera import SMALL_SIDE, small_size
from fer_edge.edge.sources.pictures import list_pictures, read_picture
from fer_edge.edge.sources.stream import within
from fer_edge.edge.types import Frame

FPS = 12.5


def picture(shade: int) -> np.ndarray:
    pixels = np.full((120, 160, 3), shade, np.uint8)
    pixels[20:100, 40:120] = np.random.default_rng(shade).integers(0, 255, (80, 80, 3))
    return pixels


def write_video(path: Path, count: int = 40) -> Path:
    codec = {".avi": "MJPG", ".mp4": "mp4v"}[path.suffix]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), FPS, (160, 120))
    assert writer.isOpened()
    for index in range(count):
        writer.write(picture(5 * index))
    writer.release()
    return path


def faststart(path: Path) -> Path:
    """The MP4 with its index in front, as web servers want it: only such a one can be read when it is cut off."""
    data = path.read_bytes()
    atoms, at = {}, 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4])
        atoms[data[at + 4 : at + 8]] = data[at : at + size]
        at += size
    index = bytearray(atoms[b"moov"])
    table = index.index(b"stco") + 8
    for entry in range(int.from_bytes(index[table : table + 4])):
        place = table + 4 + 4 * entry
        index[place : place + 4] = (int.from_bytes(index[place : place + 4]) + len(index)).to_bytes(4)
    rest = b"".join(atom for name, atom in atoms.items() if name not in (b"ftyp", b"moov"))
    path.write_bytes(atoms[b"ftyp"] + bytes(index) + rest)
    return path


@pytest.mark.parametrize("suffix", [".avi", ".mp4"])
def test_video_gives_every_frame_in_media_time(tmp_path: Path, suffix: str) -> None:
    with open_source(source=str(write_video(tmp_path / f"v{suffix}"))) as source:
        frames = list(source)
    assert source.fps == pytest.approx(FPS)
    assert source.problem is None
    assert not source.live
    assert [frame.index for frame in frames] == list(range(40))
    assert [frame.time for frame in frames] == pytest.approx([i / FPS for i in range(40)], abs=1e-3)
    shades = [float(frame.pixels[:10].mean()) for frame in frames]
    assert shades == pytest.approx([5 * i for i in range(40)], abs=6)  # lossy coding
    assert len({id(frame.pixels) for frame in frames}) == 40  # each frame's memory is its own


def test_a_looped_video_is_a_camera_that_never_ends(tmp_path: Path) -> None:
    with open_source(source=write_video(tmp_path / "v.avi", 4), loop=True) as source:
        frames = list(islice(source, 10))
    assert source.live and source.continuous and source.fps == pytest.approx(FPS)
    numbers = [frame.index for frame in frames]
    assert numbers == sorted(set(numbers)) and numbers[-1] >= 9  # a slow reader misses some, as from a camera
    assert [frame.time for frame in frames] == pytest.approx([number / FPS for number in numbers], abs=1e-3)
    assert [frame.pixels[:10].mean() for frame in frames] == pytest.approx([5 * (n % 4) for n in numbers], abs=6)


def test_a_looped_video_that_is_cut_off_ends_with_an_error(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.avi")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with open_source(source=path, loop=True) as source, pytest.raises(SourceError, match="cut off"):
        list(source)


@pytest.mark.parametrize("given", [{"camera": "0"}, {"source": "rtsp://camera/1"}, {"source": "."}, {}])
def test_only_a_video_can_be_looped(given: dict[str, str]) -> None:
    with pytest.raises(SourceError, match="expected a video file"):
        open_source(**given, loop=True)


@pytest.mark.parametrize("suffix", [".avi", ".mp4"])
@pytest.mark.parametrize("share", [0.9, 0.5])
def test_cut_video_keeps_what_was_decoded(tmp_path: Path, suffix: str, share: float) -> None:
    path = write_video(tmp_path / f"v{suffix}")
    if suffix == ".mp4":
        faststart(path)
        with open_source(source=str(path)) as whole:
            assert len(list(whole)) == 40
            assert whole.problem is None
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with open_source(source=str(path)) as source:
        frames = list(source)
    assert 0.7 * share * 40 <= len(frames) < 40
    assert source.problem is not None
    assert "is cut off" in source.problem
    assert f"{len(frames)} of 40" in source.problem


def test_file_that_grows_is_read_to_where_it_then_ends(tmp_path: Path) -> None:
    """And no further: a file is no camera that could come back."""
    path = tmp_path / "v.mjpeg"
    jpegs = b"".join(cv2.imencode(".jpg", picture(20 * index))[1].tobytes() for index in range(10))
    path.write_bytes(jpegs)
    count = 0
    with open_source(source=str(path)) as source:
        for frame in source:
            assert frame.index == count
            count += 1
            if count == 5:
                with path.open("ab") as more:
                    more.write(jpegs)
    assert 10 <= count <= 20
    assert source.problem is None


def test_mp4_without_its_index_is_an_error(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SourceError, match="not a readable video"):
        open_source(source=str(path))


@pytest.mark.parametrize("content", [b"", b"no video at all\n" * 100])
def test_what_is_no_video_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "v.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"v\.mp4"), open_source(source=str(path)) as source:
        list(source)


def test_missing_source() -> None:
    with pytest.raises(SourceError, match="nowhere: no such file"):
        open_source(source="nowhere")
    with pytest.raises(SourceError, match="--camera 3"):
        open_source(source="3")


def test_folder_goes_on_after_a_bad_picture(tmp_path: Path) -> None:
    for name, shade in (("b.png", 50), ("a.jpg", 10), ("c.PNG", 90)):
        (tmp_path / name).write_bytes(cv2.imencode(name[1:], picture(shade))[1].tobytes())
    (tmp_path / "aa.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:1000])
    (tmp_path / "empty.png").touch()
    (tmp_path / "notes.txt").write_text("not a picture")
    with open_source(source=str(tmp_path)) as source:
        frames = list(source)
    assert [round(float(frame.pixels[:10].mean()) / 10) for frame in frames] == [1, 5, 9]
    assert not source.continuous
    assert source.problem is not None
    assert source.problem.startswith("2 of 5 pictures could not be read")


def test_folder_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no pictures"):
        list_pictures(tmp_path)


def test_gray_and_sixteen_bit_pictures_become_bgr(tmp_path: Path) -> None:
    for name, pixels in (("g.png", np.full((8, 9), 77, np.uint8)), ("w.png", np.full((8, 9), 77 * 257, np.uint16))):
        cv2.imwrite(str(tmp_path / name), pixels)
        read = read_picture(tmp_path / name)
        assert read.shape == (8, 9, 3)
        assert read.dtype == np.uint8
        assert (read == 77).all()


@pytest.mark.parametrize(
    ("camera", "words"),
    [
        ("99", "V4L2: /dev/video99 does not exist"),
        ("99", "libcamera: picamera2 is missing"),
        ("/dev/video99", "/dev/video99 does not exist"),
        ("front", "is not a number"),
    ],
)
def test_missing_camera(
    camera: str, words: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(SourceError) as told:
        open_source(camera=camera)
    assert words in str(told.value)
    assert "\n" not in str(told.value)
    assert capfd.readouterr().err == ""  # OpenCV kept quiet


def test_camera_that_is_none(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SourceError, match="cannot be opened as a V4L2 camera"):
        open_source(camera="/dev/null")
    assert capfd.readouterr().err == ""


class Endless(Closing):
    """A camera at `pace` seconds a frame that may stop, hang or break."""

    live = True
    name = "endless"

    def __init__(self, pace: float = 0.002, frames: int | None = None, then: Callable[[], None] | None = None) -> None:
        self.pace, self.frames, self.then = pace, frames, then
        self.closed = threading.Event()
        self.made = 0

    def __iter__(self) -> Iterator[Frame]:
        while self.made != self.frames:
            time.sleep(self.pace)
            self.made += 1
            yield Frame(np.zeros((2, 2), np.uint8), self.made - 1, self.pace * self.made)
        if self.then is not None:
            self.then()

    def close(self) -> None:
        self.closed.set()


def test_latest_gives_the_newest_and_counts_the_rest() -> None:
    endless = Endless()
    with Latest.started(endless) as latest:
        seen: list[int] = []
        due = 0
        for frame in latest:
            assert frame.index >= due
            seen.append(frame.index)
            if len(seen) == 4:
                break
            while endless.made < frame.index + 10:  # ten pictures pass by while this one is looked at
                time.sleep(0.001)
            due = frame.index + 8  # the tenth may still be on its way
        missed = seen[-1] - seen[0] - 3
    assert endless.closed.wait(LIMIT)
    assert endless.made - len(seen) >= latest.dropped >= missed >= 3 * 7


def test_latest_ends_with_its_source() -> None:
    with Latest.started(Endless(frames=3)) as latest:
        assert next(reversed([frame.index for frame in latest])) == 2


def test_latest_tells_a_lost_camera() -> None:
    def lost() -> None:
        raise SourceError("/dev/video7 stopped giving pictures")

    with Latest.started(Endless(frames=3, then=lost)) as latest, pytest.raises(SourceError, match="video7 stopped"):
        list(latest)


def test_latest_tells_an_unforeseen_error() -> None:
    def broken() -> None:
        raise ValueError("unforeseen")

    with Latest.started(Endless(frames=3, then=broken)) as latest, pytest.raises(SourceError, match="unforeseen"):
        list(latest)


def test_latest_gives_up_on_silence_and_closes_when_it_hangs() -> None:
    hang = threading.Event()
    try:
        with (
            Latest.started(Endless(frames=3, then=lambda: bool(hang.wait(LIMIT))), silence=2) as latest,
            pytest.raises(SourceError, match="no picture for 2 s"),
        ):
            list(latest)
        assert latest._thread.is_alive()
    finally:
        hang.set()


def test_latest_needs_a_first_picture() -> None:
    hang = threading.Event()
    silent = Endless(frames=0, then=lambda: bool(hang.wait(LIMIT)))
    with pytest.raises(SourceError, match="gave no picture"):
        Latest.started(silent, silence=0.1)
    hang.set()
    assert silent.closed.wait(LIMIT)
    with pytest.raises(SourceError, match="before its first picture"):
        Latest.started(Endless(frames=0))


@pytest.fixture
def guarded(camera: str) -> str:
    """The camera's address with user and password in it."""
    return camera.replace("//", "//user:secret@")


def test_stream_is_read_to_its_end(guarded: str) -> None:
    with open_source(source=f"{guarded}some", silence=30, patience=0) as source:
        assert source.live
        assert "secret" not in source.name
        frames = list(source)
    assert frames[-1].index == 39
    assert 40 - frames[0].index <= len(frames) + source.dropped <= 40  # those before the first are nobody's loss
    assert frames[-1].pixels.shape == (240, 320, 3)
    times = [frame.time for frame in frames]
    assert times == sorted(times)


def test_stream_that_falls_silent(guarded: str, capfd: pytest.CaptureFixture[str]) -> None:
    with (
        open_source(source=f"{guarded}silent", silence=5, patience=0) as source,
        pytest.raises(SourceError, match="no picture"),
    ):
        list(source)
    assert capfd.readouterr().err == ""


def test_stream_that_is_not_there(guarded: str) -> None:
    with pytest.raises(SourceError, match="cannot be opened") as told:
        open_source(source=f"{guarded}none", silence=2)
    assert "secret" not in str(told.value)
    with pytest.raises(SourceError, match="cannot be opened"):
        open_source(source="http://127.0.0.1:9/x", silence=1)


@pytest.fixture
def picamera2(monkeypatch: pytest.MonkeyPatch) -> type[Picamera2]:
    return install(monkeypatch)


@pytest.mark.parametrize("lacks", [(), ("RGB888",)])
@pytest.mark.parametrize("camera", ["picamera2", "picamera2:0", "0"])
def test_picamera(picamera2: type[Picamera2], lacks: tuple[str, ...], camera: str) -> None:
    """Camera 0 falls through to libcamera where V4L2 has none; XRGB8888 where RGB888 does not start."""
    if camera == "0" and Path("/dev/video0").exists():
        pytest.skip("this computer has a camera 0")
    picamera2.lacks = lacks
    with open_source(camera=camera, width=642, height=480) as source:
        (opened,) = picamera2.alive
        frame = next(iter(source))
    assert (frame.pixels == scene(642, 480)).all()  # a copy: the camera has written there since
    assert frame.pixels.flags.c_contiguous
    assert frame.small is None
    assert "imx708, 642x480, 30 fps" in source.name
    until(lambda: not picamera2.alive)
    assert opened.lent == 0


@pytest.mark.parametrize(("rotate", "mirror"), [(r, m) for r in (0, 90, 180, 270) for m in (False, True)])
@pytest.mark.parametrize("stubborn", [False, True])
def test_picamera_turns(picamera2: type[Picamera2], rotate: int, mirror: bool, stubborn: bool) -> None:
    """By the image processor where it can, else while copying; the small stream with it."""
    picamera2.stubborn = stubborn
    picamera2.lacks = () if mirror else ("RGB888",)
    with open_source(camera="picamera2", width=1440, height=1080, rotate=rotate, mirror=mirror) as source:
        frame = next(iter(source))
    turned = np.rot90(scene(1440, 1080), -rotate // 90)
    assert (frame.pixels == (turned[:, ::-1] if mirror else turned)).all()
    assert frame.small is not None
    assert frame.small.shape[:2] == ((360, 270) if rotate in (90, 270) else (270, 360))
    bright = frame.small[..., 0] > 150
    dark_first = bright[0, 0] < bright[-1, -1]
    assert dark_first == {0: not mirror, 90: True, 180: mirror, 270: False}[rotate]


def test_picamera_rate_and_what_became_of_it(picamera2: type[Picamera2]) -> None:
    with open_source(camera="picamera2", fps=10) as source:
        assert source.fps == pytest.approx(10)
        assert "10 fps)" in source.name
    until(lambda: not picamera2.alive)
    with open_source(camera="picamera2", fps=100) as source:
        assert "56 fps instead of 100" in source.name


def test_picamera_of_usb_has_one_stream(picamera2: type[Picamera2]) -> None:
    picamera2.usb = True
    with open_source(camera="picamera2", width=1920, height=1080, fps=5) as source:
        frame = next(iter(source))
    assert frame.pixels.shape == (1080, 1920, 3)
    assert frame.small is None
    assert "5 fps were asked" in source.name


def test_picamera_that_falls_silent(picamera2: type[Picamera2]) -> None:
    with open_source(camera="picamera2", silence=2, patience=0) as source:
        frames = iter(source)
        next(frames)
        picamera2.silent = True
        with pytest.raises(SourceError, match=r"no picture for 2 s; is its cable loose"):
            list(frames)


def test_picamera_that_does_not_start(picamera2: type[Picamera2]) -> None:
    picamera2.lacks = ("RGB888", "XRGB8888")
    with pytest.raises(SourceError, match=r"RGB888: Failed to start camera: Invalid argument; XRGB8888") as told:
        open_source(camera="picamera2")
    assert "\n" not in str(told.value)
    assert not picamera2.alive
    with pytest.raises(SourceError, match="there is no camera 1; libcamera sees 1"):
        open_source(camera="picamera2:1")


@pytest.mark.parametrize("size", [(640, 480), (1280, 720), (1920, 1080), (2304, 1296), (720, 1280), (513, 511)])
def test_small_stream_is_enough_for_the_detector(size: tuple[int, int]) -> None:
    small = small_size(*size)
    if small is None:
        assert min(size) < 4 * SMALL_SIDE
    else:
        assert 2 * SMALL_SIDE > min(small) >= SMALL_SIDE - 1
        assert all(side % 2 == 0 for side in small)
        assert small[0] / small[1] == pytest.approx(size[0] / size[1], rel=0.01)


@pytest.mark.parametrize("shape", [(480, 640), (720, 1280)])
@pytest.mark.parametrize(("rotate", "mirror"), [(r, m) for r in (0, 90, 180, 270) for m in (False, True)])
def test_pictures_are_turned_exactly(tmp_path: Path, shape: tuple[int, int], rotate: int, mirror: bool) -> None:
    pixels = scene(shape[1], shape[0])
    cv2.imwrite(str(tmp_path / "p.png"), pixels)
    with open_source(source=str(tmp_path / "p.png"), rotate=rotate, mirror=mirror) as source:
        (frame,) = source
    turned = np.rot90(pixels, -rotate // 90)
    assert (frame.pixels == (turned[:, ::-1] if mirror else turned)).all()
    assert source.problem is None


def test_opening_that_hangs_is_given_up(tmp_path: Path) -> None:
    """As a GStreamer pipeline without a source does; here a named pipe that nobody writes to."""
    silent = tmp_path / "pipe"
    os.mkfifo(silent)
    with pytest.raises(TimeoutError):
        within(0.2, lambda: open_capture(str(silent), cv2.CAP_FFMPEG))
    os.close(os.open(silent, os.O_WRONLY))  # the thread that was left behind ends
    film = write_video(tmp_path / "v.avi", 3)
    assert within(LIMIT, lambda: open_capture(str(film), cv2.CAP_FFMPEG)) is not None
    assert within(LIMIT, lambda: open_capture(str(tmp_path / "none"), cv2.CAP_FFMPEG)) is None


def test_pipeline_without_gstreamer_costs_one_line() -> None:
    if cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
        pytest.skip("this OpenCV has GStreamer")
    for pipeline in ("gst:rtspsrc location=rtsp://me:secret@host user-pw=secret", "v4l2src ! appsink"):
        with pytest.raises(SourceError, match="no GStreamer") as told:
            open_source(source=pipeline)
        assert "secret" not in str(told.value)


WORDS = st.text(st.characters(codec="ascii", exclude_characters=" \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f!"), min_size=1)


@given(user=WORDS, scheme=st.sampled_from(["rtsp", "http", "rtmp"]), rest=st.text("abc/._-", max_size=9))
def test_no_address_shows_its_password(user: str, scheme: str, rest: str) -> None:
    secret = f"{user}S3CRET{user}"
    for address in (
        f"{scheme}://{user}:{secret}@camera:554/{rest}",
        f"{user.strip('/')}x:{secret}@camera/{rest}",
        f"{scheme}://camera/{rest}?user=me&pwd=S3CRET",
        f"{scheme}://camera/{rest}?S3CRET",
        f"{scheme}://camera/user=me_password=S3CRET_channel=1.sdp",
        f"rtspsrc location={scheme}://{user}:{secret}@camera user-id=me user-pw=S3CRET ! appsink",
    ):
        assert "S3CRET" not in shown(address), shown(address)


@pytest.mark.parametrize(
    "plain", ["rtsp://camera:554/live", "http://192.168.1.7/video.mjpg", "v4l2src device=/dev/video0 ! appsink"]
)
def test_an_address_without_secrets_is_shown_as_it_is(plain: str) -> None:
    assert shown(plain) == plain
