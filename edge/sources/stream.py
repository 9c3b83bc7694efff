"""A network stream (http, https, rtsp, rtmp, udp …) through OpenCV's FFmpeg, or a GStreamer pipeline."""

from __future__ import annotations

import ctypes
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from functools import partial
from queue import Empty, Queue

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import SourceError, redact
from fer_edge.edge.sources import deinterlaced
from fer_edge.edge.sources.base_source import BaseSource
from fer_edge.edge.sources.capture import open_capture, read_pixels
from fer_edge.edge.sources.network_trust import VERIFIED, Trust
from fer_edge.edge.sources.picture_header import MAX_PIXELS, check_size
from fer_edge.edge.sources.stream_cause import check_certificate, find_cause
from fer_edge.edge.sources.video import Video
from fer_edge.edge.types import Frame

APPSINK = "appsink"

MAX_START_BYTES = 16 << 20
"""Bytes of a recording's start that are read again where frames seem to be missing."""

PIPELINE_START_TIMEOUT = 20.0
"""Seconds that a pipeline has for its first picture; the first one ever on a machine scans all plugins before."""


def is_pipeline(source: str) -> bool:
    """Whether a source is a GStreamer pipeline: it starts with gst: or contains an appsink."""
    return source.startswith("gst:") or re.search(rf"!\s*{APPSINK}\b", source) is not None


def open_stream(
    source: str,
    frame_timeout: float = 5.0,
    fps: float | None = None,
    max_pixels: int = MAX_PIXELS,
    trust: Trust = VERIFIED,
) -> BaseSource:
    """Open an address or a GStreamer pipeline.

    Args:
        source: A URL of JPEGs over HTTP, one that FFmpeg opens, or a pipeline (see `is_pipeline`).
        frame_timeout: Seconds after which opening an address and each read give up.
        fps: Requests per second for the address of a still picture.
        max_pixels: Largest width times height of a frame.
        trust: Certificates that https and rtsps may have.

    Returns:
        A live stream; a video where the number of frames or of bytes is known, so that it is a recording.

    Raises:
        SourceError: It cannot be opened; the message has the cause.
    """
    recording = False
    if is_pipeline(source):
        capture = _pipeline(source, frame_timeout)
    elif re.match("https?://", source, re.IGNORECASE):
        from fer_edge.edge.sources.http_stream import open_http_source

        found = open_http_source(source, frame_timeout, fps, max_pixels, trust)
        if isinstance(found, BaseSource):
            return found
        capture, recording = _address(source, frame_timeout, trust, found.media_type or "something"), found.recording
    else:
        capture = _address(source, frame_timeout, trust)
    width, height = (int(capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    check_size(width, height, redact(source), max_pixels)
    if not recording and capture.get(cv2.CAP_PROP_FRAME_COUNT) <= 0:
        return Stream(capture, source, frame_timeout)
    return Video(
        capture,
        redact(source),
        "gives no picture: its index comes last and its server gives no byte ranges, or it is damaged; "
        "download it and give the file",
        read_start=None if is_pipeline(source) else partial(_read_start, source, frame_timeout, trust),
    )


def _read_start(address: str, timeout: float, trust: Trust) -> bytes:
    """The start of what an address gives, which has the index of a recording that is made for the web; else nothing."""
    if not re.match("https?://", address, re.IGNORECASE):
        return b""
    from fer_edge.edge.sources.http_client import open_http

    start = bytearray()
    body = open_http(address, timeout, trust)
    try:
        with suppress(TimeoutError):  # what came in time may be enough
            while len(start) < MAX_START_BYTES and (data := body.read()):
                start += data
    finally:
        body.close()
    return bytes(start)


class Stream(BaseSource):
    """An opened live stream.

    It ends when its sender ends it; `frame_timeout` seconds without a picture are a SourceError.
    """

    live = True

    def __init__(self, capture: cv2.VideoCapture, address: str, frame_timeout: float) -> None:
        self._capture, self._address, self._frame_timeout = capture, address, frame_timeout
        self.name = redact(address)
        self._start = time.monotonic()

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        read_at = time.monotonic()
        pixels = self._read_first()
        while pixels is not None:
            yield Frame(pixels, index, time.monotonic() - self._start)
            index += 1
            read_at = time.monotonic()
            pixels = read_pixels(self._capture)
        if index == 0 or time.monotonic() - read_at >= 0.9 * self._frame_timeout:
            raise SourceError(f"{self.name} sent no picture for {time.monotonic() - read_at:.1f} s")

    def _read_first(self) -> NDArray[np.uint8] | None:
        pixels, interlaced = deinterlaced.read_first(self._capture)
        if not interlaced:
            return pixels
        self._capture.release()
        filtered = deinterlaced.open_deinterlaced_stream(self._address, self._frame_timeout)
        if filtered is None:
            raise deinterlaced.interlaced_error(self.name)
        self._capture = filtered
        return read_pixels(filtered)

    def close(self) -> None:
        self._capture.release()


def _address(address: str, frame_timeout: float, trust: Trust, media_type: str = "") -> cv2.VideoCapture:
    """Open an address with FFmpeg; `media_type` is what its server says that it sends, where that is known."""
    timeout = round(frame_timeout * 1000)
    parameters = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, timeout, cv2.CAP_PROP_READ_TIMEOUT_MSEC, timeout)
    scheme = address.partition("://")[0].lower()
    if scheme == "rtsps":
        check_certificate(address, frame_timeout, trust)
    with trust.ffmpeg() if scheme in ("https", "rtsps") else nullcontext():
        capture = open_capture(address, cv2.CAP_FFMPEG, parameters)
    if capture is None:
        nothing = f"the server sends {media_type}, in which FFmpeg finds no video"
        cause = nothing if media_type else find_cause(address, frame_timeout, trust)
        raise SourceError(f"{redact(address)} cannot be opened as a stream: {cause}")
    return capture


def _pipeline(source: str, frame_timeout: float) -> cv2.VideoCapture:
    if not cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
        raise SourceError(
            f"{redact(source)} is a GStreamer pipeline and pip's OpenCV has no GStreamer; "
            "use an address (rtsp://, http://), or apt's python3-opencv"
        )
    pipeline = source.removeprefix("gst:").strip()
    if APPSINK not in pipeline:
        pipeline += f" ! videoconvert ! video/x-raw,format=BGR ! {APPSINK} drop=true max-buffers=1"
    read_timeout = (cv2.CAP_PROP_READ_TIMEOUT_MSEC, round(frame_timeout * 1000))
    quiet_gstreamer()

    def open_pipeline() -> cv2.VideoCapture | None:
        capture = open_capture(pipeline, cv2.CAP_GSTREAMER, read_timeout)
        return capture or open_capture(pipeline, cv2.CAP_GSTREAMER)  # OpenCV before 4.7 has no read timeout

    advice = "try it with gst-launch-1.0, with fakesink as the last element"
    try:
        capture = open_in_time(open_pipeline, PIPELINE_START_TIMEOUT)
    except TimeoutError:
        raise SourceError(f"{redact(source)} gave no picture in {PIPELINE_START_TIMEOUT:g} s; {advice}") from None
    if capture is None:
        raise SourceError(f"{redact(source)} cannot be opened; {advice}")
    return capture


def quiet_gstreamer() -> None:
    """Keep GLib from writing to stderr while a faulty pipeline is torn down, as our error says the same in one line.

    Does nothing where the user has set GST_DEBUG to read those messages.
    """
    if "GST_DEBUG" in os.environ:
        return
    try:
        glib = ctypes.CDLL("libglib-2.0.so.0")
        glib.g_log_set_default_handler.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
        # a C function that does nothing: a Python callback would need the interpreter's lock
        glib.g_log_set_default_handler(ctypes.cast(glib.g_thread_yield, ctypes.c_void_p), None)
    except (OSError, AttributeError):
        return


def open_in_time(open_function: Callable[[], cv2.VideoCapture | None], timeout: float) -> cv2.VideoCapture | None:
    """Call a function that opens a capture, in a daemon thread that is left behind where it hangs.

    OpenCV waits forever for a pipeline that gives nothing, such as one whose source element is not installed.

    Args:
        open_function: Opens a capture; None where it cannot.
        timeout: Seconds to wait for it.

    Returns:
        What the function returned.

    Raises:
        TimeoutError: It did not return in time.
    """
    result: Queue[cv2.VideoCapture | None] = Queue()
    threading.Thread(target=lambda: result.put(open_function()), name="open capture", daemon=True).start()
    try:
        return result.get(timeout=timeout)
    except Empty:
        raise TimeoutError from None
