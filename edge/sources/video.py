"""A recorded video: every frame, with its media time."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import cv2

from fer_edge.edge.errors import SourceError, printable
from fer_edge.edge.sources.base_source import BaseSource
from fer_edge.edge.sources.capture import open_capture, read_pixels
from fer_edge.edge.sources.picture_header import MAX_PIXELS, check_size
from fer_edge.edge.types import Frame

COMPLETE_SHARE = 0.98
"""Share of the header's frame count and duration from which a video counts as complete: encoders round both."""


def open_video(path: Path, max_pixels: int = MAX_PIXELS) -> Video:
    """Open a video file.

    Args:
        path: A file in any format that OpenCV's FFmpeg reads.
        max_pixels: Largest width times height of a frame.

    Returns:
        The opened video.

    Raises:
        SourceError: The file cannot be read, is no video, or has larger frames.
    """
    capture = open_capture(path, cv2.CAP_FFMPEG)
    if capture is None:
        if not os.access(path, os.R_OK):
            raise SourceError(f"{path} cannot be read: {os.strerror(errno.EACCES)}")
        raise SourceError(f"{path} is not a readable video (an MP4 cut off while it was written is not)")
    width, height = (int(capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    check_size(width, height, path, max_pixels)
    return Video(capture, printable(path), "holds no picture that can be decoded")


class Video(BaseSource):
    """An opened recording; `Frame.time` is the frame's media time in seconds.

    A recording that is cut off in mid-stream ends normally, with `problem` set.
    """

    def __init__(self, capture: cv2.VideoCapture, name: str, empty_message: str) -> None:
        """Wrap an opened capture.

        Args:
            capture: The opened capture, which the video owns from now on.
            name: The file or address, without passwords.
            empty_message: What follows the name in the SourceError for a recording without any picture.
        """
        self._capture, self.name, self._empty_message = capture, name, empty_message
        rate = capture.get(cv2.CAP_PROP_FPS)
        self.fps = rate if rate > 0 else None
        self._frame_count = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))  # the header's; negative: unknown

    def __iter__(self) -> Iterator[Frame]:
        index, last = 0, -1.0
        while (pixels := read_pixels(self._capture)) is not None:
            timestamp = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if timestamp <= last:  # missing or broken timestamps: count frames instead
                timestamp = last + 1 / (self.fps or 25.0) if index else 0.0
            last = timestamp
            yield Frame(pixels, index, timestamp)
            index += 1
        if index == 0:
            raise SourceError(f"{self.name} {self._empty_message}")
        self._problem = self._find_shortfall(index, last)

    def _find_shortfall(self, frames: int, last: float) -> str | None:
        """Cut off where both frames and time are missing: with a variable rate the header's count is a guess."""
        if self.fps is None or frames >= COMPLETE_SHARE * self._frame_count - 1:
            return None
        duration = self._frame_count / self.fps
        if last + 1 / self.fps >= COMPLETE_SHARE * duration - 1 / self.fps:
            return None
        return f"{self.name} is cut off: {frames} of {self._frame_count} frames could be read"

    def close(self) -> None:
        self._capture.release()
