"""Cameras and streams: opened, read by a thread that keeps the newest picture, and opened again when they are lost."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources import Source
from fer_edge.edge.sources.capture_request import CaptureRequest
from fer_edge.edge.sources.newest_frame import NewestFrameReader
from fer_edge.edge.sources.reconnecting import ReconnectingSource
from fer_edge.edge.sources.rotated import RotatedSource, flips

CAMERA_PAUSE, STREAM_PAUSE = 2.0, 30.0
"""Seconds that a pause between two attempts grows to: looking for a device costs nothing, a server is spared."""


@dataclass(frozen=True)
class LiveSourceFactory:
    """What every live source is opened with; sources.open_source tells what the fields mean."""

    wish: CaptureRequest
    rotate: int
    mirror: bool
    silence: float
    reconnect_timeout: float
    tell: Callable[[str], None]

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

        stream = open_stream(address, self.silence)
        if not stream.live:
            return self.turned(stream)
        return self.turned(self._kept(stream, lambda: open_stream(address, self.silence), STREAM_PAUSE))

    def looped_video(self, path: Path) -> Source:
        """A video in place of a camera."""
        from fer_edge.edge.sources.looped_video import LoopedVideo

        return NewestFrameReader.started(LoopedVideo(path), self.silence)

    def turned(self, source: Source) -> Source:
        """The source with its pictures turned as asked."""
        if not self.rotate and not self.mirror:
            return source
        return RotatedSource(source, self.rotate, self.mirror)

    def _v4l2(self, path: str) -> Source:
        from fer_edge.edge.sources.camera import Camera, find_again
        from fer_edge.edge.sources.devices import Identity, identify

        camera = Camera(path, self.wish)
        known = identify(path) or Identity(path)
        return self.turned(self._kept(camera, lambda: find_again(known, self.wish), CAMERA_PAUSE))

    def _libcamera(self, number: int) -> Source:
        from fer_edge.edge.sources.picamera import PiCamera

        flipped = flips(self.rotate, self.mirror)  # what the image processor does, no quarter turns

        def opened() -> PiCamera:
            return PiCamera(number, self.wish, flipped or (False, False), self.silence)

        kept = self._kept(opened(), opened, CAMERA_PAUSE)
        return self.turned(kept) if flipped is None else kept

    def _kept(self, source: Source, again: Callable[[], Source], longest_pause: float) -> Source:
        lasting = ReconnectingSource(source, again, self.reconnect_timeout, longest_pause, self.tell)
        return NewestFrameReader.started(
            lasting, 2 * self.silence
        )  # a read ends by itself after `silence`, unless it hangs
