"""Live sources: the newest frame only, timeouts, streams from a real server, and redacted addresses."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import cast

import cv2
import numpy as np
import pytest
from waiting import LIMIT

from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources import open_source, stream
from fer_edge.edge.sources.base_source import BaseSource
from fer_edge.edge.sources.newest_frame import NewestFrameReader
from fer_edge.edge.sources.options import SourceOptions
from fer_edge.edge.types import Frame


class FakeCamera(BaseSource):
    """A camera that yields a frame every `interval` seconds; after `frames` of them it ends, or does as `then` does."""

    live = True
    name = "fake camera"

    def __init__(
        self, interval: float = 0.002, frames: int | None = None, then: Callable[[], None] | None = None
    ) -> None:
        self.interval, self.frames, self.then = interval, frames, then
        self.closed = threading.Event()
        self.count = 0

    def __iter__(self) -> Iterator[Frame]:
        while self.count != self.frames:
            time.sleep(self.interval)
            self.count += 1
            yield Frame(np.zeros((2, 2), np.uint8), self.count - 1, self.interval * self.count)
        if self.then is not None:
            self.then()

    def close(self) -> None:
        self.closed.set()


def thread_names() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


def test_the_reader_gives_the_newest_frame_and_counts_the_others() -> None:
    camera = FakeCamera()
    with NewestFrameReader.start(camera) as reader:
        indices: list[int] = []
        least = 0
        for frame in reader:
            assert frame.index >= least
            indices.append(frame.index)
            if len(indices) == 4:
                break
            while camera.count < frame.index + 10:  # ten frames arrive while this one is processed
                time.sleep(0.001)
            least = frame.index + 8  # the tenth may still be on its way
        skipped = indices[-1] - indices[0] - 3
    assert camera.closed.wait(LIMIT)
    assert camera.count - len(indices) >= reader.dropped >= skipped >= 3 * 7


def test_the_reader_ends_with_its_source() -> None:
    with NewestFrameReader.start(FakeCamera(frames=3)) as reader:
        assert next(reversed([frame.index for frame in reader])) == 2


def test_the_reader_raises_the_error_of_a_lost_camera() -> None:
    def fail() -> None:
        raise SourceError("/dev/video7 stopped giving pictures")

    with (
        NewestFrameReader.start(FakeCamera(frames=3, then=fail)) as reader,
        pytest.raises(SourceError, match="video7 stopped"),
    ):
        list(reader)


def test_the_reader_raises_an_unforeseen_error() -> None:
    def fail() -> None:
        raise ValueError("unforeseen")

    with (
        NewestFrameReader.start(FakeCamera(frames=3, then=fail)) as reader,
        pytest.raises(SourceError, match="unforeseen"),
    ):
        list(reader)


@pytest.mark.slow
def test_the_reader_times_out_and_closes_while_its_source_hangs() -> None:
    hang = threading.Event()
    try:
        with (
            NewestFrameReader.start(
                FakeCamera(frames=3, then=lambda: bool(hang.wait(LIMIT))), frame_timeout=2
            ) as reader,
            pytest.raises(SourceError, match="no picture for 2 s"),
        ):
            list(reader)
        assert "reader of fake camera" in thread_names(), "the thread that hangs is left behind"
    finally:
        hang.set()


def test_the_reader_needs_a_first_frame() -> None:
    hang = threading.Event()
    silent = FakeCamera(frames=0, then=lambda: bool(hang.wait(LIMIT)))
    with pytest.raises(SourceError, match="gave no picture"):
        NewestFrameReader.start(silent, frame_timeout=0.1)
    hang.set()
    assert silent.closed.wait(LIMIT)
    with pytest.raises(SourceError, match="before its first picture"):
        NewestFrameReader.start(FakeCamera(frames=0))


@pytest.fixture
def login_address(camera: str) -> str:
    """The camera's address with user and password in it."""
    return camera.replace("//", "//user:secret@")


@pytest.mark.slow
def test_stream_is_read_to_its_end(login_address: str) -> None:
    with open_source(SourceOptions(source=f"{login_address}some", frame_timeout=30, reconnect_timeout=0)) as source:
        assert source.live
        assert "secret" not in source.name
        frames = list(source)
    assert frames[-1].index == 39
    assert 40 - frames[0].index <= len(frames) + source.dropped <= 40  # those before the first do not count
    assert frames[-1].pixels.shape == (240, 320, 3)
    times = [frame.time for frame in frames]
    assert times == sorted(times)


@pytest.mark.slow
def test_stream_that_stops_sending(login_address: str, capfd: pytest.CaptureFixture[str]) -> None:
    with (
        open_source(SourceOptions(source=f"{login_address}silent", frame_timeout=5, reconnect_timeout=0)) as source,
        pytest.raises(SourceError, match="no picture"),
    ):
        list(source)
    assert capfd.readouterr().err == ""


def test_stream_that_is_not_there(login_address: str) -> None:
    with pytest.raises(SourceError, match="cannot be opened") as raised:
        open_source(SourceOptions(source=f"{login_address}none", frame_timeout=2))
    assert "secret" not in str(raised.value)
    with pytest.raises(SourceError, match="cannot be opened"):
        open_source(SourceOptions(source="http://127.0.0.1:9/x", frame_timeout=1))


def test_pipeline_without_gstreamer_is_a_one_line_error() -> None:
    if cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
        pytest.skip("this OpenCV has GStreamer")
    for pipeline in ("gst:rtspsrc location=rtsp://me:secret@host user-pw=secret", "v4l2src ! appsink"):
        with pytest.raises(SourceError, match="no GStreamer") as raised:
            open_source(source=pipeline)
        assert "secret" not in str(raised.value)


@pytest.mark.parametrize("old", [False, True])
def test_a_pipeline_has_the_read_timeout_of_other_streams(monkeypatch: pytest.MonkeyPatch, old: bool) -> None:
    """OpenCV before 4.7 has no such timeout and refuses a parameter that it does not know."""
    calls = list[list[int]]()

    def open_capture(target: str, backend: int, parameters: Sequence[int] = ()) -> cv2.VideoCapture | None:
        calls.append(list(parameters))
        return None if old and parameters else cv2.VideoCapture()

    monkeypatch.setattr(cv2.videoio_registry, "hasBackend", lambda backend: True)
    monkeypatch.setattr(stream, "open_capture", open_capture)
    assert stream.open_stream("gst:videotestsrc", frame_timeout=3).live
    assert calls == [[cv2.CAP_PROP_READ_TIMEOUT_MSEC, 3000], []][: 1 + old]


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 3), (4, 6, 2), (4, 6, 4)])
def test_a_pipeline_with_an_appsink_of_its_own_gives_bgr_or_gray(shape: tuple[int, ...]) -> None:
    """OpenCV returns YUY2 and BGRx unchanged."""

    class Capture:
        def read(self) -> tuple[bool, np.ndarray]:
            return True, np.zeros(shape, np.uint8)

    frames = iter(stream.Stream(cast(cv2.VideoCapture, Capture()), "gst:camera ! appsink", frame_timeout=3))
    if shape[2:] in ((), (3,)):
        assert next(frames).pixels.shape == shape
    else:
        with pytest.raises(SourceError, match=f"gives pictures of {shape[2]} channels; let it end with videoconvert"):
            next(frames)


@pytest.mark.parametrize("debug", [False, True])
def test_messages_of_glib_are_hidden_unless_gst_debug_is_set(debug: bool) -> None:
    """A critical message, as GLib writes it while a faulty pipeline is torn down."""
    code = (
        "import ctypes; from fer_edge.edge.sources.stream import quiet_gstreamer; quiet_gstreamer();"
        "ctypes.CDLL('libglib-2.0.so.0').g_log(b'GStreamer', 8, b'critical')"
    )
    environment = {name: value for name, value in os.environ.items() if name != "GST_DEBUG"}
    environment |= {"GST_DEBUG": "1"} if debug else {}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert ("critical" in done.stderr) == debug
    assert debug or done.stderr == ""
