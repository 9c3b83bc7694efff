"""Cameras and streams, opened with a newest-frame reader, auto-reconnect and rotation around them."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from fer_edge.edge.errors import SourceError, redact
from fer_edge.edge.sources.black_pictures import BlackPictureMonitor
from fer_edge.edge.sources.capture_request import CaptureRequest
from fer_edge.edge.sources.newest_frame import NewestFrameReader
from fer_edge.edge.sources.options import SourceOptions
from fer_edge.edge.sources.reconnecting import ReconnectingSource
from fer_edge.edge.sources.rotated import RotatedSource, as_flips
from fer_edge.edge.types import Source

CAMERA_MAX_PAUSE, STREAM_MAX_PAUSE = 2.0, 30.0
"""Longest pause between two attempts to reconnect, seconds: a device costs nothing to probe, a server is spared."""


class LiveSourceFactory:
    """Opens live sources as the options say."""

    def __init__(self, options: SourceOptions) -> None:
        self._options = options
        self._request = CaptureRequest(options.width, options.height, options.fps)

    def open_camera(self, camera: str) -> Source:
        """Open a camera by number, device path or picamera2[:N]; SourceError where it gives no pictures.

        A number means the V4L2 camera where that one works, else libcamera's; where neither does, the error has both
        reasons.
        """
        if match := re.fullmatch(r"picamera2?(?::(\d{1,6}))?", camera):
            return self._open_libcamera(int(match[1] or 0))
        if camera.startswith("/dev/"):
            return self._open_v4l2(camera)
        if not re.fullmatch(r"\d{1,6}", camera):
            hint = "; give an address as --source" if ":" in camera else ""
            expected = "a number, /dev/videoN, /dev/v4l/by-id/… or picamera2[:N]"
            raise SourceError(f"camera {redact(camera)!r} is not {expected}{hint}")
        try:
            return self._open_v4l2(f"/dev/video{int(camera)}")
        except SourceError as v4l2:
            try:
                return self._open_libcamera(int(camera))
            except SourceError as libcamera:
                raise SourceError(f"camera {camera} gives no pictures: V4L2: {v4l2}; libcamera: {libcamera}") from None

    def open_stream(self, address: str) -> Source:
        """Open a URL or GStreamer pipeline; a recording behind it is read frame by frame, without reconnecting."""
        from fer_edge.edge.sources.network_trust import Trust
        from fer_edge.edge.sources.stream import open_stream

        options = self._options
        trust = Trust(options.source_ca, options.source_insecure)
        open_again = partial(open_stream, address, options.frame_timeout, options.fps, options.max_pixels, trust)
        stream = open_again()
        if not stream.live:
            return self.rotate(stream)

        def reopen() -> Source:
            again = open_again()
            if not again.live:
                again.close()
                raise SourceError(f"{again.name} is a recording now, no stream")
            return again

        return self.rotate(self._reconnecting(stream, reopen, STREAM_MAX_PAUSE))

    def open_looped_video(self, path: Path) -> Source:
        """Open a video file that stands in for a camera."""
        from fer_edge.edge.sources.looped_video import LoopedVideo

        video = LoopedVideo(path, self._options.max_pixels)
        return self.rotate(BlackPictureMonitor(NewestFrameReader.start(video, self._options.frame_timeout)))

    def rotate(self, source: Source) -> Source:
        """Rotate and mirror the source's frames as the options say."""
        if not self._options.rotate and not self._options.mirror:
            return source
        return RotatedSource(source, self._options.rotate, self._options.mirror)

    def _open_v4l2(self, path: str) -> Source:
        from fer_edge.edge.sources.camera import V4l2Camera, reopen_camera
        from fer_edge.edge.sources.devices import Identity, identify

        camera = V4l2Camera(path, self._request)
        identity = identify(path) or Identity(path)
        reconnecting = self._reconnecting(camera, lambda: reopen_camera(identity, self._request), CAMERA_MAX_PAUSE)
        return self.rotate(reconnecting)

    def _open_libcamera(self, number: int) -> Source:
        from fer_edge.edge.sources.picamera import PiCamera

        flips = as_flips(self._options.rotate, self._options.mirror)  # the image processor can flip, but not rotate

        def open_camera() -> PiCamera:
            return PiCamera(number, self._request, flips or (False, False), self._options.frame_timeout)

        reconnecting = self._reconnecting(open_camera(), open_camera, CAMERA_MAX_PAUSE)
        return self.rotate(reconnecting) if flips is None else reconnecting

    def _reconnecting(self, source: Source, reopen: Callable[[], Source], max_pause: float) -> Source:
        options = self._options
        reconnecting = ReconnectingSource(source, reopen, options.reconnect_timeout, max_pause)
        # a read ends by itself after one timeout, and requests for a still picture after two, unless a driver hangs
        return BlackPictureMonitor(NewestFrameReader.start(reconnecting, 3 * options.frame_timeout))
