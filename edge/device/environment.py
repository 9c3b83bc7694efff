"""Environment variables that native libraries read; `edge/` writes to `os.environ` only here."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

_TEMPORARY = threading.RLock()
"""Held while a variable is set temporarily: two cameras may be opened at once."""

V4L2_READ_TIMEOUT = 5
"""Seconds that OpenCV waits for a frame from a V4L2 camera before a read fails; its own default is 10."""

OPENCV = {
    "OPENCV_FFMPEG_LOGLEVEL": "-8",  # AV_LOG_QUIET
    "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT": str(V4L2_READ_TIMEOUT),
}
"""FFmpeg silent, and a shorter V4L2 timeout; OpenCV reads both when it opens its first capture."""

FFMPEG_THREADS = "OPENCV_FFMPEG_THREADS"
"""Threads that decode a video, by default as many as there are cores; OpenCV reads it when it opens a capture."""

LIBCAMERA = {"LIBCAMERA_LOG_LEVELS": "*:ERROR"}
"""libcamera without its messages about each pipeline; it reads this when it is imported."""

QT = {"QT_LOGGING_RULES": "default.warning=false"}
"""OpenCV's Qt without its warnings about missing fonts; it reads this when it opens its first window."""

TENSORFLOW = {"TF_CPP_MIN_LOG_LEVEL": "2"}
"""TensorFlow without information and warnings; it reads this when it is imported."""


def set_environment_defaults(variables: Mapping[str, str]) -> None:
    """Set the environment variables that are not set yet, so that the user's own settings win.

    Args:
        variables: Values by name, such as `OPENCV`.
    """
    for name, value in variables.items():
        os.environ.setdefault(name, value)


@contextmanager
def environment_variable(name: str, value: str) -> Iterator[None]:
    """Set an environment variable during the block, for a native library that reads it there.

    Args:
        name: The variable.
        value: Its value during the block.
    """
    with _TEMPORARY:
        before = os.environ.get(name)
        os.environ[name] = value
        try:
            yield
        finally:
            if before is None:
                del os.environ[name]
            else:
                os.environ[name] = before
