"""A V4L2 camera: USB webcams, laptop cameras, capture dongles."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence

import cv2

from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources import v4l2
from fer_edge.edge.sources.base_source import BaseSource
from fer_edge.edge.sources.capture import open_capture, read_pixels
from fer_edge.edge.sources.capture_request import UNSPECIFIED, CaptureRequest
from fer_edge.edge.sources.devices import Identity, access_problem, locate, processes_using
from fer_edge.edge.sources.jpeg_picture import JpegStream
from fer_edge.edge.types import Frame

DEFAULTS = (640, 480, 30.0)
"""Width, height and frame rate that OpenCV and most cameras start with."""


MOTION_JPEG = cv2.VideoWriter.fourcc(*"MJPG")


class V4l2Camera(BaseSource):
    """A V4L2 camera; frames carry the seconds since it was opened.

    A driver may change the requested size and rate (320x240 was seen to become 320x180 with success reported), so the
    negotiated values are read back into `size` (width, height) and `fps`, and `name` shows them.
    """

    live = True

    def __init__(self, path: str, request: CaptureRequest = UNSPECIFIED) -> None:
        """Open the camera and negotiate its size and rate.

        Args:
            path: The device node, such as /dev/video0, or a link to it.
            request: Size and rate to request from the driver.

        Raises:
            SourceError: There is no such device, it may not be opened, is in use, or is no camera.
        """
        if not os.path.exists(path):
            raise SourceError(f"{path} does not exist; `fer-edge cameras` lists the cameras")
        if (problem := access_problem(path)) is not None:
            raise SourceError(f"{path} {problem}")
        motion_jpeg = request != UNSPECIFIED and needs_motion_jpeg(_read_formats(path), request)
        capture = open_capture(path, cv2.CAP_V4L2)
        if capture is None:
            users = ", ".join(processes_using(path))
            reason = f"it is in use by {users}" if users else "it may be in use or no camera"
            raise SourceError(f"{path} cannot be opened as a V4L2 camera; {reason}")
        if motion_jpeg:
            capture.set(cv2.CAP_PROP_FOURCC, MOTION_JPEG)
        for setting, value in (
            (cv2.CAP_PROP_FRAME_WIDTH, request.width),
            (cv2.CAP_PROP_FRAME_HEIGHT, request.height),
            (cv2.CAP_PROP_FPS, request.fps),  # last: a new size resets it
        ):
            if value is not None:
                capture.set(setting, value)
        motion_jpeg = motion_jpeg and capture.get(cv2.CAP_PROP_FOURCC) == MOTION_JPEG
        self._capture, self._path = capture, path
        self.size = (int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)))
        rate = capture.get(cv2.CAP_PROP_FPS)
        self.fps = rate if rate > 0 else None
        self.name = f"{path} (V4L2, {'MJPG, ' if motion_jpeg else ''}{request.describe(self.size, self.fps)})"
        # OpenCV then hands over the JPEGs as they are, else it decodes every one in full
        as_jpeg = motion_jpeg and capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)
        self._jpegs = JpegStream(self.name) if as_jpeg else None
        self._start = time.monotonic()

    @property
    def dropped(self) -> int:
        return self._jpegs.damaged if self._jpegs else 0

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while (pixels := read_pixels(self._capture)) is not None:
            picture = pixels if self._jpegs is None else self._jpegs.picture(pixels.tobytes())
            if picture is not None:
                yield Frame(picture, index, time.monotonic() - self._start)
                index += 1
        raise SourceError(f"{self._path} {'stopped giving' if index else 'gives no'} pictures; is it still connected?")

    def close(self) -> None:
        self._capture.release()


def reopen_camera(identity: Identity, request: CaptureRequest) -> V4l2Camera:
    """Open the same camera again, whatever its number is now; SourceError while it is disconnected."""
    path = locate(identity)
    if path is None:
        raise SourceError(f"{identity.path} is not connected")
    return V4l2Camera(path, request)


def needs_motion_jpeg(formats: Sequence[v4l2.Format], request: CaptureRequest) -> bool:
    """Whether Motion JPEG reaches the requested size and rate and raw formats do not.

    USB 2 carries raw 1280x720 at 10 frames per second only.
    """
    width, height = request.width or DEFAULTS[0], request.height or DEFAULTS[1]
    raw = max((each.rate(width, height) for each in formats if not each.compressed), default=0.0)
    compressed = max((each.rate(width, height) for each in formats if each.code == "MJPG"), default=0.0)
    return raw < min(request.fps or DEFAULTS[2], compressed)


def _read_formats(path: str) -> tuple[v4l2.Format, ...]:
    """The camera's formats; none where it does not answer, which opening it will report."""
    try:
        with v4l2.open_device(path) as ioctl:
            capability = v4l2.query_capability(ioctl)
            return () if capability is None else tuple(v4l2.list_formats(ioctl, capability.flags))
    except OSError:
        return ()
