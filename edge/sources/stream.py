"""A network stream (http, https, rtsp, rtmp, udp …) through OpenCV's FFmpeg, or a GStreamer pipeline."""

from __future__ import annotations

import ctypes
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from queue import Empty, Queue

import cv2

from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources.capture import BaseSource, open_capture, read
from fer_edge.edge.sources.redaction import redact
from fer_edge.edge.sources.video import Video
from fer_edge.edge.types import Frame

SINK = "appsink"

PIPELINE_SECONDS = 20.0
"""How long a pipeline has for its first picture; the first one ever on a machine looks through all plugins before."""


def is_pipeline(source: str) -> bool:
    """Whether the user wrote a GStreamer pipeline: gst:…, or something that ends in an appsink."""
    return source.startswith("gst:") or re.search(rf"!\s*{SINK}\b", source) is not None


def open_stream(source: str, frame_timeout: float = 5.0) -> Stream | Video:
    """What is at an address, or comes out of a pipeline; a known number of frames makes it a recording.

    silence: seconds after which every read gives up, and opening an address. Raises SourceError.
    """
    capture = _pipeline(source, frame_timeout) if is_pipeline(source) else _address(source, frame_timeout)
    if capture.get(cv2.CAP_PROP_FRAME_COUNT) <= 0:
        return Stream(capture, redact(source), frame_timeout)
    return Video(
        capture,
        redact(source),
        "gives no picture: its index comes last and its server gives no byte ranges, or it is damaged; "
        "download it and give the file",
    )


class Stream(BaseSource):
    """A live stream that was opened.

    The sender's orderly end of it is its end; `frame_timeout` seconds without a picture are a SourceError.
    """

    live = True

    def __init__(self, capture: cv2.VideoCapture, name: str, frame_timeout: float) -> None:
        self._capture, self.name, self._frame_timeout = capture, name, frame_timeout
        self._start = time.monotonic()

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        asked = time.monotonic()
        while (pixels := read(self._capture)) is not None:
            yield Frame(pixels, index, time.monotonic() - self._start)
            index += 1
            asked = time.monotonic()
        if index == 0 or time.monotonic() - asked >= 0.9 * self._frame_timeout:
            raise SourceError(f"{self.name} sent no picture for {time.monotonic() - asked:.1f} s")

    def close(self) -> None:
        self._capture.release()


def _address(address: str, frame_timeout: float) -> cv2.VideoCapture:
    limit = round(frame_timeout * 1000)
    parameters = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, limit, cv2.CAP_PROP_READ_TIMEOUT_MSEC, limit)
    capture = open_capture(address, cv2.CAP_FFMPEG, parameters)
    if capture is None:
        raise SourceError(
            f"{redact(address)} cannot be opened as a stream in {frame_timeout:g} s; are address and password right?"
        )
    return capture


def _pipeline(source: str, frame_timeout: float) -> cv2.VideoCapture:
    if not cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
        raise SourceError(
            f"{redact(source)} is a GStreamer pipeline and pip's OpenCV has no GStreamer; "
            "use an address (rtsp://, http://), or apt's python3-opencv"
        )
    pipeline = source.removeprefix("gst:").strip()
    if SINK not in pipeline:
        pipeline += f" ! videoconvert ! video/x-raw,format=BGR ! {SINK} drop=true max-buffers=1"
    limit = (cv2.CAP_PROP_READ_TIMEOUT_MSEC, round(frame_timeout * 1000))
    quiet_gstreamer()

    def opened() -> cv2.VideoCapture | None:
        limited = open_capture(pipeline, cv2.CAP_GSTREAMER, limit)
        return limited or open_capture(pipeline, cv2.CAP_GSTREAMER)  # OpenCV before 4.7 has no limit

    advice = "try it with gst-launch-1.0, fakesink for the last part"
    try:
        capture = within(PIPELINE_SECONDS, opened)
    except TimeoutError:
        raise SourceError(f"{redact(source)} gave no picture in {PIPELINE_SECONDS:g} s; {advice}") from None
    if capture is None:
        raise SourceError(f"{redact(source)} cannot be opened; {advice}")
    return capture


def quiet_gstreamer() -> None:
    """Keep GLib from writing to stderr what GStreamer thinks of a pipeline's ruins: our error says it in one line.

    Whoever sets GST_DEBUG wants to read it.
    """
    if "GST_DEBUG" in os.environ:
        return
    try:
        glib = ctypes.CDLL("libglib-2.0.so.0")
        glib.g_log_set_default_handler.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
        # any function of C that does nothing: one of Python's would have to wait for the interpreter
        glib.g_log_set_default_handler(ctypes.cast(glib.g_thread_yield, ctypes.c_void_p), None)
    except (OSError, AttributeError):
        return


def within(seconds: float, opened: Callable[[], cv2.VideoCapture | None]) -> cv2.VideoCapture | None:
    """What `opened` gives; TimeoutError where it takes longer, and is left behind in a daemon thread.

    OpenCV waits for ever for a pipeline that gives nothing, such as one without the part that GStreamer does not have.
    """
    result: Queue[cv2.VideoCapture | None] = Queue()
    threading.Thread(target=lambda: result.put(opened()), name="opening", daemon=True).start()
    try:
        return result.get(timeout=seconds)
    except Empty:
        raise TimeoutError from None
