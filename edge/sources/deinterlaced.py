"""Interlaced video: read through FFmpeg's own filters, as OpenCV from 4.13 on cannot convert it.

FFmpeg 8 refuses to convert a frame that is marked as interlaced, and OpenCV ignores that: it returns what happened to
be in its buffer, black or the picture before. OpenCV 5's wheels have libavfilter. There `bwdif` makes whole pictures of
the fields of an interlaced video, and `setfield` clears the mark of single frames in other videos, whose pixels stay
exactly as they are; it costs 3 % of the time of reading 1280x720 H.264. The wheels of 4.13 and 4.14 have no
libavfilter, so there an interlaced video must be recognized and refused.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.device.environment import environment_variable
from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources.capture import open_capture, read_pixels

CAPTURE_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
"""The environment variable that OpenCV reads whenever it opens a capture."""

DEINTERLACE, CLEAR_MARK = "bwdif=mode=send_frame:deint=interlaced", "setfield=prog"
"""FFmpeg's filters; the first does not take pictures of less than 3x4 pixels."""

M_PERTURB = -6
"""glibc's parameter for the byte that fills memory when it is freed; allocated memory gets its complement."""

MARK = 90
"""The byte in memory that nothing was written to."""


def must_be_filtered() -> bool:
    """Whether this OpenCV cannot read interlaced video by itself."""
    return tuple(int(part) for part in cv2.__version__.split(".")[:2]) >= (4, 13)


def open_filtered(path: Path, interlaced: bool) -> cv2.VideoCapture | None:
    """Open a video file through a filter after which no frame is interlaced.

    Its rotation, number of frames and header rate are those of the filter: take them from a plain capture.

    Args:
        path: The file.
        interlaced: Whether it is an interlaced video.

    Returns:
        The opened capture; None where this OpenCV has no filters, or the user has set options for captures.
    """
    if CAPTURE_OPTIONS in os.environ:
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:  # by number: no character of a name can be taken for the filter's syntax
        with environment_variable(CAPTURE_OPTIONS, "input_format;lavfi"):
            for filters in (DEINTERLACE, CLEAR_MARK) if interlaced else (CLEAR_MARK,):
                capture = open_capture(f"movie=/proc/self/fd/{descriptor},{filters}", cv2.CAP_FFMPEG)
                if capture is not None:
                    return capture
        return None
    finally:
        os.close(descriptor)


def leaves_buffer_unwritten(capture: cv2.VideoCapture) -> bool:
    """Read the first frame of a plain capture, and tell whether it is interlaced; False without glibc."""
    with _marked_memory():
        return _is_unwritten(read_pixels(capture))


def read_first(capture: cv2.VideoCapture, name: str) -> NDArray[np.uint8] | None:
    """Read the first picture of a capture that cannot be opened again with a filter.

    Args:
        capture: The opened capture, from which nothing was read.
        name: Its name for the error.

    Returns:
        As `read_pixels`.

    Raises:
        SourceError: The video is interlaced and this OpenCV cannot read it.
    """
    if not must_be_filtered():
        return read_pixels(capture)
    with _marked_memory():
        pixels = read_pixels(capture)
    if _is_unwritten(pixels):
        raise SourceError(
            f"{name} is interlaced, which OpenCV {cv2.__version__} cannot read here; deinterlace it first, "
            "for example with ffmpeg's -vf bwdif, or install opencv-python 4.12"
        )
    return pixels


def _is_unwritten(pixels: NDArray[np.uint8] | None) -> bool:
    return pixels is not None and bool((pixels == MARK).all())


@contextmanager
def _marked_memory() -> Iterator[None]:
    """Memory that is allocated in the block is filled with MARK, in all threads."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", lambda parameter, value: None)
    mallopt(M_PERTURB, MARK ^ 0xFF)
    try:
        yield
    finally:
        mallopt(M_PERTURB, 0)
