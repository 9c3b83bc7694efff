"""A V4L2 camera: USB webcams, laptop cameras, capture dongles."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence

import cv2

from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources import v4l2
from fer_edge.edge.sources.capture import BaseSource, open_capture, read
from fer_edge.edge.sources.capture_request import NONE, CaptureRequest
from fer_edge.edge.sources.devices import Identity, holders, refusal, whereabouts
from fer_edge.edge.types import Frame

USUAL = (640, 480, 30.0)
"""Width, height and frames a second that OpenCV and most cameras start with."""


class Camera(BaseSource):
    """The V4L2 device at `path`; frames carry seconds since it was opened. Raises SourceError.

    A driver takes size and rate as wishes (320x240 was seen to become 320x180 with success reported), so what was
    negotiated is read back into `size` (width, height) and `fps`, and told in `name`.
    """

    live = True

    def __init__(self, path: str, request: CaptureRequest = NONE) -> None:
        if not os.path.exists(path):
            raise SourceError(f"{path} does not exist; `fer-edge cameras` shows the cameras there are")
        if (why := refusal(path)) is not None:
            raise SourceError(f"{path} {why}")
        motion_jpeg = request != NONE and motion_jpeg_pays(_formats(path), request)
        capture = open_capture(path, cv2.CAP_V4L2)
        if capture is None:
            users = ", ".join(holders(path))
            by = f"it is in use by {users}" if users else "it may be in use or no camera"
            raise SourceError(f"{path} cannot be opened as a V4L2 camera; {by}")
        if motion_jpeg:
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        for prop, wished in (
            (cv2.CAP_PROP_FRAME_WIDTH, request.width),
            (cv2.CAP_PROP_FRAME_HEIGHT, request.height),
            (cv2.CAP_PROP_FPS, request.fps),  # last: a new size resets it
        ):
            if wished is not None:
                capture.set(prop, wished)
        self._capture, self._path = capture, path
        self.size = (int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)))
        rate = capture.get(cv2.CAP_PROP_FPS)
        self.fps = rate if rate > 0 else None
        self.name = f"{path} (V4L2, {'MJPG, ' if motion_jpeg else ''}{request.describe(self.size, self.fps)})"
        self._start = time.monotonic()

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while (pixels := read(self._capture)) is not None:
            yield Frame(pixels, index, time.monotonic() - self._start)
            index += 1
        raise SourceError(f"{self._path} {'stopped giving' if index else 'gives no'} pictures; is it still connected?")

    def close(self) -> None:
        self._capture.release()


def find_again(known: Identity, request: CaptureRequest) -> Camera:
    """The same camera, whatever its number has become; SourceError while it is away."""
    place = whereabouts(known)
    if place is None:
        raise SourceError(f"{known.path} is not connected")
    return Camera(place, request)


def motion_jpeg_pays(formats: Sequence[v4l2.Format], request: CaptureRequest) -> bool:
    """Whether only compressed pictures come at the wished size and rate: USB 2 carries 1280x720 raw at 10 a second."""
    width, height = request.width or USUAL[0], request.height or USUAL[1]
    raw = max((each.rate(width, height) for each in formats if not each.compressed), default=0.0)
    compressed = max((each.rate(width, height) for each in formats if each.code == "MJPG"), default=0.0)
    return raw < min(request.fps or USUAL[2], compressed)


def _formats(path: str) -> tuple[v4l2.Format, ...]:
    """The camera's formats; none where it does not answer, which opening it will tell."""
    try:
        with v4l2.asking(path) as ask:
            said = v4l2.capability(ask)
            return () if said is None else tuple(v4l2.formats(ask, said.flags))
    except OSError:
        return ()
