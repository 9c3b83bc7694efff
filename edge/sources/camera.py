"""A V4L2 camera: USB webcams, laptop cameras, capture dongles."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import cv2

from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources.capture import Closing, open_capture, read
from fer_edge.edge.types import Frame


class Camera(Closing):
    """The V4L2 device at `path`; frames carry seconds since it was opened. Raises SourceError.

    A driver takes a size as a wish (320x240 was seen to become 320x180 with success reported), so the size that
    was negotiated is read back into `size` (width, height) and told in `name`.
    """

    live = True

    def __init__(self, path: str, width: int | None = None, height: int | None = None) -> None:
        if not os.path.exists(path):
            raise SourceError(f"{path} does not exist; `ls /dev/video*` shows the cameras there are")
        if not os.access(path, os.R_OK | os.W_OK):
            raise SourceError(f"{path} may not be opened by this user; run `sudo usermod -aG video $USER`")
        capture = open_capture(path, cv2.CAP_V4L2)
        if capture is None:
            raise SourceError(f"{path} cannot be opened as a V4L2 camera; it may be in use or no camera")
        for prop, wish in ((cv2.CAP_PROP_FRAME_WIDTH, width), (cv2.CAP_PROP_FRAME_HEIGHT, height)):
            if wish is not None:
                capture.set(prop, wish)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # fewer stale pictures where the driver allows it
        self._capture, self._path = capture, path
        self.size = (int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)))
        self.fps = capture.get(cv2.CAP_PROP_FPS) or None
        self.name = f"{path} (V4L2, {self.size[0]}x{self.size[1]}{_wished(self.size, width, height)})"
        self._start = time.monotonic()

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while (pixels := read(self._capture)) is not None:
            yield Frame(pixels, index, time.monotonic() - self._start)
            index += 1
        raise SourceError(f"{self._path} {'stopped giving' if index else 'gives no'} pictures; is it still connected?")

    def close(self) -> None:
        self._capture.release()


def _wished(size: tuple[int, int], width: int | None, height: int | None) -> str:
    """What to add to the size when the camera did not follow the wish."""
    if (width or size[0], height or size[1]) == size:
        return ""
    return f" instead of {width or 'any'}x{height or 'any'}"
