"""Interlaced video: read through FFmpeg's own filters, as OpenCV from 4.13 on cannot convert it.

FFmpeg 8 refuses to convert a frame that is marked as interlaced, and OpenCV ignores that: it returns what happened to
be in its buffer, black or the picture before. OpenCV 5's wheels have libavfilter. There `bwdif` makes whole pictures of
the fields of an interlaced video, and `setfield` clears the mark of single frames in other videos, whose pixels stay
exactly as they are; it costs 3 to 7 % of the time of reading 1280x720 H.264, and up to a tenth of a second at the
start. The wheels of 4.13 and 4.14 have no libavfilter, so there an interlaced video must be recognized and refused.
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

STREAM_OPTIONS = {
    "http": "rw_timeout={}",
    "rtsp": "rtsp_transport=tcp:timeout={}",
    "tcp": "rw_timeout={}",
    "udp": "timeout={}",
}
"""The addresses that may be opened with a filter, and their options with the timeout in microseconds."""

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
        return _open_graph(f"/proc/self/fd/{descriptor}", interlaced)
    finally:
        os.close(descriptor)


def open_deinterlaced_stream(address: str, timeout: float) -> cv2.VideoCapture | None:
    """Open the address of an interlaced live stream through the filter.

    Args:
        address: Without encryption, as the filter does not verify certificates.
        timeout: Seconds after which opening it and each read give up.

    Returns:
        As `open_filtered`; None for an encrypted address, too.
    """
    scheme = address.partition("://")[0].lower()
    if CAPTURE_OPTIONS in os.environ or scheme not in STREAM_OPTIONS:
        return None
    options = STREAM_OPTIONS[scheme].format(round(timeout * 1e6))
    return _open_graph(f"{_escaped(address)}:format_opts={_escaped(options)}", interlaced=True)


def read_first(capture: cv2.VideoCapture) -> tuple[NDArray[np.uint8] | None, bool]:
    """Read the first picture of a plain capture.

    Args:
        capture: The opened capture, from which nothing was read.

    Returns:
        As `read_pixels`, and whether it is interlaced and this OpenCV cannot read it, which only glibc shows.
    """
    if not must_be_filtered():
        return read_pixels(capture), False
    with _marked_memory():
        pixels = read_pixels(capture)
    return pixels, pixels is not None and bool((pixels == MARK).all())


def interlaced_error(name: str) -> SourceError:
    """The error for an interlaced video that cannot be filtered.

    Args:
        name: Its file or address, without passwords.
    """
    return SourceError(
        f"{name} is interlaced, which OpenCV {cv2.__version__} cannot read here; deinterlace it first, "
        "for example with ffmpeg's -vf bwdif, or install opencv-python 4.12"
    )


def _open_graph(movie: str, interlaced: bool) -> cv2.VideoCapture | None:
    with environment_variable(CAPTURE_OPTIONS, "input_format;lavfi"):
        for filters in (DEINTERLACE, CLEAR_MARK) if interlaced else (CLEAR_MARK,):
            capture = open_capture(f"movie={movie},{filters}", cv2.CAP_FFMPEG)
            if capture is not None:
                return capture
    return None


def _escaped(value: str) -> str:
    """A value for a filter graph, whose syntax has two levels (https://ffmpeg.org/ffmpeg-filters.html)."""
    for special in ("\\':", "\\'[],;"):
        value = "".join(f"\\{letter}" if letter in special else letter for letter in value)
    return value


@contextmanager
def _marked_memory() -> Iterator[None]:
    """Memory that is allocated in the block is filled with MARK, in all threads."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", lambda parameter, value: None)
    mallopt(M_PERTURB, MARK ^ 0xFF)
    try:
        yield
    finally:
        mallopt(M_PERTURB, 0)
