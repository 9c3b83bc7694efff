"""Cameras and streams: opened, read by a thread that keeps the newest picture, and opened again when they are lost."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources import Source
from fer_edge.edge.sources.capture_request import CaptureRequest
from fer_edge.edge.sources.newest_frame import NewestFrameReader
from fer_edge.edge.sources.options import SourceOptions
from fer_edge.edge.sources.reconnecting import ReconnectingSource
from fer_edge.edge.sources.rotated import RotatedSource, flips

CAMERA_PAUSE, STREAM_PAUSE = 2.0, 30.0
"""Seconds that a pause between two attempts grows to: looking for a device costs nothing, a server is spared."""


class LiveSourceFactory:
    """Opens cameras and streams as the options say: read by a thread, reconnected, rotated."""

    def __init__(self, options: SourceOptions) -> None:
        self._options = options
        self._request = CaptureRequest(options.width, options.height, options.fps)

    def camera(self, camera: str) -> Source:
        """A numbered camera is V4L2's where that gives pictures, else libcamera's; both reasons are told if neither."""
        if match := re.fullmatch(r"picamera2?(?::(\d+))?", camera):
            return self._libcamera(int(match[1] or 0))
        if camera.startswith("/dev/"):
            return self._v4l2(camera)
        if not re.fullmatch(r"\d+", camera):
            raise SourceError(f"camera {camera!r} is not a number, /dev/videoN, /dev/v4l/by-id/… or picamera2[:N]")
        try:
            return self._v4l2(f"/dev/video{int(camera)}")
        except SourceError as v4l2:
            try:
                return self._libcamera(int(camera))
            except SourceError as libcamera:
                raise SourceError(f"camera {camera} gives no pictures: V4L2: {v4l2}; libcamera: {libcamera}") from None

    def stream(self, address: str) -> Source:
        """An address or a pipeline; one that turns out to be a recording is read frame by frame."""
        from fer_edge.edge.sources.stream import open_stream

        stream = open_stream(address, self._options.frame_timeout)
        if not stream.live:
            return self.rotated(stream)
        return self.rotated(self._kept(stream, lambda: open_stream(address, self._options.frame_timeout), STREAM_PAUSE))

    def looped_video(self, path: Path) -> Source:
        """A video in place of a camera."""
        from fer_edge.edge.sources.looped_video import LoopedVideo

        return NewestFrameReader.started(LoopedVideo(path), self._options.frame_timeout)

    def rotated(self, source: Source) -> Source:
        """The source with its pictures turned as asked."""
        if not self._options.rotate and not self._options.mirror:
            return source
        return RotatedSource(source, self._options.rotate, self._options.mirror)

    def _v4l2(self, path: str) -> Source:
        from fer_edge.edge.sources.camera import Camera, find_again
        from fer_edge.edge.sources.devices import Identity, identify

        camera = Camera(path, self._request)
        known = identify(path) or Identity(path)
        return self.rotated(self._kept(camera, lambda: find_again(known, self._request), CAMERA_PAUSE))

    def _libcamera(self, number: int) -> Source:
        from fer_edge.edge.sources.picamera import PiCamera

        flipped = flips(self._options.rotate, self._options.mirror)  # what the image processor does, no quarter turns

        def opened() -> PiCamera:
            return PiCamera(number, self._request, flipped or (False, False), self._options.frame_timeout)

        kept = self._kept(opened(), opened, CAMERA_PAUSE)
        return self.rotated(kept) if flipped is None else kept

    def _kept(self, source: Source, again: Callable[[], Source], longest_pause: float) -> Source:
        options = self._options
        kept = ReconnectingSource(source, again, options.reconnect_timeout, longest_pause)
        return NewestFrameReader.started(kept, 2 * options.frame_timeout)  # a read times out by itself unless it hangs
