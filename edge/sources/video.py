"""A recording, every frame of it, in media time."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import cv2

from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources.capture import BaseSource, open_capture, read
from fer_edge.edge.types import Frame

WHOLE = 0.98
"""Share of the frames and of the length that the header promises which counts as all of it: encoders round."""


def open_video(path: Path) -> Video:
    """The video file at `path`; SourceError where it is none."""
    capture = open_capture(str(path), cv2.CAP_FFMPEG)
    if capture is None:
        if not os.access(path, os.R_OK):
            raise SourceError(f"{path} cannot be read: {os.strerror(errno.EACCES)}")
        raise SourceError(f"{path} is not a readable video (an MP4 cut off while it was written is not)")
    return Video(capture, str(path), "holds no picture that can be decoded")


class Video(BaseSource):
    """A recording that was opened; Frame.time is the picture's media time in seconds.

    One that is cut off in mid-stream ends normally, with `problem` set. empty: what is said of one without any picture,
    as a SourceError.
    """

    def __init__(self, capture: cv2.VideoCapture, name: str, empty: str) -> None:
        self._capture, self.name, self._empty = capture, name, empty
        rate = capture.get(cv2.CAP_PROP_FPS)
        self.fps = rate if rate > 0 else None
        self._promised = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))  # negative: not known

    def __iter__(self) -> Iterator[Frame]:
        index, last = 0, -1.0
        while (pixels := read(self._capture)) is not None:
            stamp = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if stamp <= last:  # no or broken time stamps: count instead
                stamp = last + 1 / (self.fps or 25.0) if index else 0.0
            last = stamp
            yield Frame(pixels, index, stamp)
            index += 1
        if index == 0:
            raise SourceError(f"{self.name} {self._empty}")
        self.problem = self._shortfall(index, last)

    def _shortfall(self, frames: int, last: float) -> str | None:
        """Cut off when both too few frames and too little time came: a variable rate makes the count a guess."""
        if self.fps is None or frames >= WHOLE * self._promised - 1:
            return None
        length = self._promised / self.fps
        if last + 1 / self.fps >= WHOLE * length - 1 / self.fps:
            return None
        return f"{self.name} is cut off: {frames} of {self._promised} frames could be read"

    def close(self) -> None:
        self._capture.release()
