"""An annotated video file, complete and playable however the program ends."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import SinkError
from fer_edge.edge.sinks.draw import annotate
from fer_edge.edge.types import Frame, Prediction

CODECS = {".mp4": "mp4v", ".avi": "MJPG"}

RATE_FRAMES = 10
"""Live frames that are buffered until their times give the frame rate; at 640x480 that is 9 MB."""

MAX_GAP = 2.0
"""Seconds without a frame that a live video fills with the last picture; the rest of a longer gap is left out."""

MIN_FREE_BYTES = 4 << 20
"""Free disk space below which writing stops, so that the file can still be finished."""


class VideoSink:
    """Writes an annotated video as `name.part.mp4` beside `path`, and renames it when closed.

    Pictures of another size than the first are scaled to fit into it.

    Args:
        path: Where to, .mp4 or .avi.
        fps: Frame rate of a file source, every frame of which is written. None for a live source: the rate is
            measured, and frames are repeated or skipped so that the video plays in real time.

    Raises:
        SinkError: The suffix is unknown, the folder is not writable, or the disk is full.
    """

    def __init__(self, path: Path, fps: float | None) -> None:
        if path.suffix.lower() not in CODECS:
            raise SinkError(f"{path}: expected a name that ends in {' or '.join(CODECS)}")
        if path.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
            raise SinkError(f"{path} cannot be written: {path.parent} is not a writable folder")
        self._path, self._part = path, path.with_name(f"{path.stem}.part{path.suffix}")
        self._fps = fps
        self._live = fps is None
        self._buffer: list[tuple[float, NDArray[np.uint8]]] = []
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._start = self._last = 0.0
        self._count = 0
        self._closed = False

    def show(self, frame: Frame, predictions: Sequence[Prediction]) -> None:
        picture = annotate(frame, predictions)
        if self._writer is None and self._live:
            self._buffer.append((frame.time, picture))
            if len(self._buffer) >= RATE_FRAMES:
                self._flush()
            return
        self._write(frame.time, picture)

    def _flush(self) -> None:
        """Set the frame rate from the buffered frames, and write them."""
        frames, self._buffer = self._buffer, []
        times = [time for time, _ in frames]
        gaps = [b - a for a, b in pairwise(times) if b > a]
        self._fps = min(60.0, max(1.0, round(1 / median(gaps), 2))) if gaps else 10.0
        for time, picture in frames:
            self._write(time, picture)

    def _open(self, time: float, picture: NDArray[np.uint8]) -> cv2.VideoWriter:
        height, width = picture.shape[0] // 2 * 2, picture.shape[1] // 2 * 2  # codecs need even sides
        self._size, self._start, self._last = (max(2, width), max(2, height)), time, time
        codec = cv2.VideoWriter.fourcc(*CODECS[self._path.suffix.lower()])
        writer = cv2.VideoWriter(str(self._part), codec, self._fps or 25.0, self._size)
        if not writer.isOpened():
            raise SinkError(f"{self._part} cannot be opened for writing; is the disk full?")
        return writer

    def _write(self, time: float, picture: NDArray[np.uint8]) -> None:
        if self._writer is None:
            self._writer = self._open(time, picture)
        if shutil.disk_usage(self._path.parent).free < MIN_FREE_BYTES:
            raise SinkError(f"{self._path}: the disk is full after {self._count} frames")
        if time - self._last > MAX_GAP:
            self._start += time - self._last - MAX_GAP
        self._last = time
        count = round((time - self._start) * (self._fps or 25.0)) + 1 if self._live else self._count + 1
        picture = _fit(picture, self._size)
        while self._count < count:
            self._writer.write(picture)
            self._count += 1

    def close(self) -> None:
        """Finish the file and rename it; raises SinkError if not all frames are on the disk."""
        if self._closed:
            return
        self._closed = True
        if self._buffer:
            self._flush()
        if self._writer is None:
            return
        self._writer.release()
        frames = _count_frames(self._part)
        if frames == 0:
            self._part.unlink(missing_ok=True)
            raise SinkError(f"{self._path} could not be written; is the disk full?")
        os.replace(self._part, self._path)
        if frames < self._count:  # OpenCV reports no error while writing
            raise SinkError(f"{self._path} has {frames} of {self._count} frames; is the disk full?")


def _count_frames(path: Path) -> int:
    """The number of frames in a video file's header; 0 if it cannot be opened or read."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        return int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() and capture.read()[0] else 0
    finally:
        capture.release()


def _fit(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Scale (H, W, 3) into `size` (width, height) with black borders; an odd side loses its last row or column."""
    width, height = size
    if picture.shape[0] // 2 * 2 == height and picture.shape[1] // 2 * 2 == width:
        return np.ascontiguousarray(picture[:height, :width])
    scale = min(width / picture.shape[1], height / picture.shape[0])
    inner = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    canvas = np.zeros((height, width, 3), np.uint8)
    top, left = (height - inner[1]) // 2, (width - inner[0]) // 2
    canvas[top : top + inner[1], left : left + inner[0]] = cv2.resize(picture, inner, interpolation=cv2.INTER_AREA)
    return canvas
