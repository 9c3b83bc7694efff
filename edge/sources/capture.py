"""OpenCV captures, shared by cameras, streams and videos: opened and read without messages on stderr."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.device.environment import OPENCV, set_environment_defaults
from fer_edge.edge.errors import SourceError, is_valid_text
from fer_edge.edge.files.paths import opencv_path


def quiet_opencv() -> None:
    """Keep OpenCV and its FFmpeg from writing to stderr, as our errors say the same in one line.

    Call it before the first capture is opened. What the user has set in the environment, such as OPENCV_LOG_LEVEL,
    stays.
    """
    set_environment_defaults(OPENCV)
    if "OPENCV_LOG_LEVEL" in os.environ:
        return
    set_level = getattr(cv2, "setLogLevel", None)  # OpenCV 4 has it, OpenCV 5 has it elsewhere
    if set_level is not None:
        set_level(0)
    else:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def open_capture(target: Path | str | int, backend: int, parameters: Sequence[int] = ()) -> cv2.VideoCapture | None:
    """Open a `cv2.VideoCapture`.

    Args:
        target: The path of a file, an address, a pipeline or a camera number.
        backend: OpenCV's cv2.CAP_… constant.
        parameters: Property, value, property, value …

    Returns:
        The opened capture, or None where the backend cannot open it.

    Raises:
        FerEdgeError: The name of a file is not UTF-8, and no temporary folder can be written to.
    """
    quiet_opencv()
    with _opencv_name(target) as name:
        if name is None:
            return None
        try:
            capture = cv2.VideoCapture(name, backend, list(parameters))
        except cv2.error:
            return None
        return capture if capture.isOpened() else None


@contextmanager
def _opencv_name(target: Path | str | int) -> Iterator[str | int | None]:
    """The target as OpenCV takes it; None where it has no name for it."""
    if isinstance(target, Path):
        with opencv_path(target) as name:
            yield name
    elif isinstance(target, int):
        yield target
    else:
        address = re.sub("[\udc80-\udcff]", lambda byte: f"%{ord(byte[0]) & 0xFF:02X}", target)  # RFC 3986
        yield address if is_valid_text(address) else None


def read_pixels(capture: cv2.VideoCapture) -> NDArray[np.uint8] | None:
    """Read the next picture of a capture.

    Returns:
        (H, W, 3) uint8 BGR or (H, W) uint8 gray in memory of its own; None at the end or on a read error.

    Raises:
        SourceError: The picture is neither BGR nor gray, as a GStreamer pipeline with its own appsink can give it.
    """
    return _pixels(capture.read)


def decode_next(capture: cv2.VideoCapture) -> bool:
    """Decode the next picture of a capture, for `retrieve_pixels`; False at the end or on a read error."""
    try:
        return bool(capture.grab())
    except cv2.error:
        return False


def retrieve_pixels(capture: cv2.VideoCapture) -> NDArray[np.uint8] | None:
    """The picture that was decoded last, as `read_pixels` returns it; None on an error."""
    return _pixels(capture.retrieve)


def _pixels(read: Callable[[], tuple[bool, Any]]) -> NDArray[np.uint8] | None:
    try:
        success, pixels = read()
    except cv2.error:
        return None
    if not success or pixels is None or not pixels.size:
        return None
    if pixels.ndim == 3 and pixels.shape[2] != 3:
        raise SourceError(
            f"the pipeline gives pictures of {pixels.shape[2]} channels; let it end with "
            "videoconvert ! video/x-raw,format=BGR ! appsink"
        )
    return np.asarray(pixels, np.uint8)
