"""Live sources: the newest picture alone, silence, streams that a real server sends, and what an address hides."""

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
from hypothesis import given
from hypothesis import strategies as st
from waiting import LIMIT

from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources import open_source, stream
from fer_edge.edge.sources.capture import BaseSource
from fer_edge.edge.sources.newest_frame import NewestFrameReader
from fer_edge.edge.sources.options import SourceOptions
from fer_edge.edge.sources.redaction import redact
from fer_edge.edge.types import Frame


class Endless(BaseSource):
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
    with NewestFrameReader.started(endless) as latest:
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
    with NewestFrameReader.started(Endless(frames=3)) as latest:
        assert next(reversed([frame.index for frame in latest])) == 2


def test_latest_tells_a_lost_camera() -> None:
    def lost() -> None:
        raise SourceError("/dev/video7 stopped giving pictures")

    with (
        NewestFrameReader.started(Endless(frames=3, then=lost)) as latest,
        pytest.raises(SourceError, match="video7 stopped"),
    ):
        list(latest)


def test_latest_tells_an_unforeseen_error() -> None:
    def broken() -> None:
        raise ValueError("unforeseen")

    with (
        NewestFrameReader.started(Endless(frames=3, then=broken)) as latest,
        pytest.raises(SourceError, match="unforeseen"),
    ):
        list(latest)


@pytest.mark.slow
def test_latest_gives_up_on_silence_and_closes_when_it_hangs() -> None:
    hang = threading.Event()
    try:
        with (
            NewestFrameReader.started(
                Endless(frames=3, then=lambda: bool(hang.wait(LIMIT))), frame_timeout=2
            ) as latest,
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
        NewestFrameReader.started(silent, frame_timeout=0.1)
    hang.set()
    assert silent.closed.wait(LIMIT)
    with pytest.raises(SourceError, match="before its first picture"):
        NewestFrameReader.started(Endless(frames=0))


@pytest.fixture
def guarded(camera: str) -> str:
    """The camera's address with user and password in it."""
    return camera.replace("//", "//user:secret@")


def test_stream_is_read_to_its_end(guarded: str) -> None:
    with open_source(SourceOptions(source=f"{guarded}some", frame_timeout=30, reconnect_timeout=0)) as source:
        assert source.live
        assert "secret" not in source.name
        frames = list(source)
    assert frames[-1].index == 39
    assert 40 - frames[0].index <= len(frames) + source.dropped <= 40  # those before the first are nobody's loss
    assert frames[-1].pixels.shape == (240, 320, 3)
    times = [frame.time for frame in frames]
    assert times == sorted(times)


@pytest.mark.slow
def test_stream_that_falls_silent(guarded: str, capfd: pytest.CaptureFixture[str]) -> None:
    with (
        open_source(SourceOptions(source=f"{guarded}silent", frame_timeout=5, reconnect_timeout=0)) as source,
        pytest.raises(SourceError, match="no picture"),
    ):
        list(source)
    assert capfd.readouterr().err == ""


def test_stream_that_is_not_there(guarded: str) -> None:
    with pytest.raises(SourceError, match="cannot be opened") as told:
        open_source(SourceOptions(source=f"{guarded}none", frame_timeout=2))
    assert "secret" not in str(told.value)
    with pytest.raises(SourceError, match="cannot be opened"):
        open_source(SourceOptions(source="http://127.0.0.1:9/x", frame_timeout=1))


def test_pipeline_without_gstreamer_costs_one_line() -> None:
    if cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
        pytest.skip("this OpenCV has GStreamer")
    for pipeline in ("gst:rtspsrc location=rtsp://me:secret@host user-pw=secret", "v4l2src ! appsink"):
        with pytest.raises(SourceError, match="no GStreamer") as told:
            open_source(source=pipeline)
        assert "secret" not in str(told.value)


@pytest.mark.parametrize("old", [False, True])
def test_a_pipeline_is_waited_for_no_longer_than_other_streams(monkeypatch: pytest.MonkeyPatch, old: bool) -> None:
    """OpenCV before 4.7 knows no such limit and refuses what it does not know."""
    asked = list[list[int]]()

    def opened(target: str, backend: int, parameters: Sequence[int] = ()) -> cv2.VideoCapture | None:
        asked.append(list(parameters))
        return None if old and parameters else cv2.VideoCapture()

    monkeypatch.setattr(cv2.videoio_registry, "hasBackend", lambda backend: True)
    monkeypatch.setattr(stream, "open_capture", opened)
    assert stream.open_stream("gst:videotestsrc", frame_timeout=3).live
    assert asked == [[cv2.CAP_PROP_READ_TIMEOUT_MSEC, 3000], []][: 1 + old]


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 3), (4, 6, 2), (4, 6, 4)])
def test_a_pipeline_with_an_appsink_of_its_own_gives_bgr_or_gray(shape: tuple[int, ...]) -> None:
    """OpenCV hands on YUY2 and BGRx as they are."""

    class Capture:
        def read(self) -> tuple[bool, np.ndarray]:
            return True, np.zeros(shape, np.uint8)

    frames = iter(stream.Stream(cast(cv2.VideoCapture, Capture()), "gst:camera ! appsink", frame_timeout=3))
    if shape[2:] in ((), (3,)):
        assert next(frames).pixels.shape == shape
    else:
        with pytest.raises(SourceError, match=f"gives pictures of {shape[2]} channels; let it end with videoconvert"):
            next(frames)


@pytest.mark.parametrize("wanted", [False, True])
def test_what_gstreamer_thinks_of_ruins_is_not_shown(wanted: bool) -> None:
    """A critical word of GLib, as it comes when a pipeline with a mistake is taken down; GST_DEBUG wants it."""
    code = (
        "import ctypes; from fer_edge.edge.sources.stream import quiet_gstreamer; quiet_gstreamer();"
        "ctypes.CDLL('libglib-2.0.so.0').g_log(b'GStreamer', 8, b'ruins')"
    )
    environment = {name: value for name, value in os.environ.items() if name != "GST_DEBUG"}
    environment |= {"GST_DEBUG": "1"} if wanted else {}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert ("ruins" in done.stderr) == wanted
    assert wanted or done.stderr == ""


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
        assert "S3CRET" not in redact(address), redact(address)


@pytest.mark.parametrize(
    "plain", ["rtsp://camera:554/live", "http://192.168.1.7/video.mjpg", "v4l2src device=/dev/video0 ! appsink"]
)
def test_an_address_without_secrets_is_shown_as_it_is(plain: str) -> None:
    assert redact(plain) == plain
