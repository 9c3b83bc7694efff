"""What every OpenCV capture shares: silence on stderr, and closing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import SourceError
from fer_edge.edge.types import Frame

V4L2_SELECT_SECONDS = 5
"""How long OpenCV waits for a V4L2 picture before a read fails; its own default is 10."""


def quiet_opencv() -> None:
    """Keep OpenCV and its FFmpeg from writing to stderr: our errors say it in one line; the user's setting wins.

    FFmpeg's and V4L2's settings are read from the environment when the first capture opens, hence before any.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET
    os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", str(V4L2_SELECT_SECONDS))
    if "OPENCV_LOG_LEVEL" in os.environ:
        return
    set_level = getattr(cv2, "setLogLevel", None)  # OpenCV 4 has it, OpenCV 5 has it elsewhere
    if set_level is not None:
        set_level(0)
    else:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def open_capture(target: str | int, backend: int, parameters: Sequence[int] = ()) -> cv2.VideoCapture | None:
    """An opened cv2.VideoCapture, or None. parameters: property, value, property, value …"""
    quiet_opencv()
    try:
        capture = cv2.VideoCapture(target, backend, list(parameters))
    except cv2.error:
        return None
    return capture if capture.isOpened() else None


def read(capture: cv2.VideoCapture) -> NDArray[np.uint8] | None:
    """The next picture, (H, W, 3) uint8 BGR or (H, W) gray in memory of its own, or None at the end or on an error.

    SourceError where it is neither, as it comes out of a pipeline whose appsink the user wrote.
    """
    try:
        found, pixels = capture.read()
    except cv2.error:
        return None
    if not found or pixels is None or not pixels.size:
        return None
    if pixels.ndim == 3 and pixels.shape[2] != 3:
        raise SourceError(
            f"the pipeline gives pictures of {pixels.shape[2]} channels; let it end with "
            "videoconvert ! video/x-raw,format=BGR ! appsink"
        )
    return np.asarray(pixels, np.uint8)


class BaseSource:
    """The part that every source shares: iterated by its own `__iter__`, closed by `with`."""

    live = False
    continuous = True
    fps: float | None = None
    problem: str | None = None
    dropped = 0
    disconnected = 0.0
    name = ""

    def __iter__(self) -> Iterator[Frame]:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def stop(self) -> None:
        """No more frames are wanted: an iteration that waits for a live one ends. Any thread may say so."""

    def close(self) -> None:
        """Let go of the device or file; closing twice does no harm."""
