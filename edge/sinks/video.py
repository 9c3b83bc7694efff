"""An annotated video file that plays, however the program ends."""

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

MEASURED = 10
"""Live frames held back until the rate is known from their times; at 640x480 that is 9 MB."""

LONGEST_GAP = 2.0
"""Seconds without a frame that a live video still fills with the last picture; a lost camera's hours are left out."""

SPARE_BYTES = 4 << 20
"""Free space below which writing stops, so that what is there can still be closed properly."""


class VideoSink:
    """Writes `path` (.mp4 or .avi) as `name.part.mp4` beside it and renames it when closed. Raises SinkError.

    fps: frames a second of a file source, every frame of which is written. None for live sources: the rate is
    measured, and frames are repeated or left out so that the video runs at the pace of what was seen.
    Pictures of another size than the first are fitted into it.
    """

    def __init__(self, path: Path, fps: float | None) -> None:
        if path.suffix.lower() not in CODECS:
            raise SinkError(f"{path}: a video's name must end in {' or '.join(CODECS)}")
        if path.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
            raise SinkError(f"{path} cannot be written: {path.parent} is no writable folder")
        self._path, self._part = path, path.with_name(f"{path.stem}.part{path.suffix}")
        self._fps = fps
        self._live = fps is None
        self._held: list[tuple[float, NDArray[np.uint8]]] = []
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._start = self._last = 0.0
        self._count = 0
        self._closed = False

    def show(self, frame: Frame, predictions: Sequence[Prediction]) -> None:
        picture = annotate(frame, predictions)
        if self._writer is None and self._live:
            self._held.append((frame.time, picture))
            if len(self._held) >= MEASURED:
                self._release_held()
            return
        self._write(frame.time, picture)

    def _release_held(self) -> None:
        held, self._held = self._held, []
        times = [when for when, _ in held]
        gaps = [b - a for a, b in pairwise(times) if b > a]
        self._fps = min(60.0, max(1.0, round(1 / median(gaps), 2))) if gaps else 10.0
        for when, picture in held:
            self._write(when, picture)

    def _open(self, when: float, picture: NDArray[np.uint8]) -> cv2.VideoWriter:
        height, width = picture.shape[0] // 2 * 2, picture.shape[1] // 2 * 2  # codecs want even sides
        self._size, self._start, self._last = (max(2, width), max(2, height)), when, when
        codec = cv2.VideoWriter.fourcc(*CODECS[self._path.suffix.lower()])
        writer = cv2.VideoWriter(str(self._part), codec, self._fps or 25.0, self._size)
        if not writer.isOpened():
            raise SinkError(f"{self._part} cannot be opened for writing; is the disk full?")
        return writer

    def _write(self, when: float, picture: NDArray[np.uint8]) -> None:
        if self._writer is None:
            self._writer = self._open(when, picture)
        if shutil.disk_usage(self._path.parent).free < SPARE_BYTES:
            raise SinkError(f"{self._path}: the disk is full after {self._count} frames")
        if when - self._last > LONGEST_GAP:
            self._start += when - self._last - LONGEST_GAP
        self._last = when
        due = round((when - self._start) * (self._fps or 25.0)) + 1 if self._live else self._count + 1
        fitted = _fit(picture, self._size)
        while self._count < due:
            self._writer.write(fitted)
            self._count += 1

    def close(self) -> None:
        """Finish the file and give it its name; SinkError if not everything arrived on the disk."""
        if self._closed:
            return
        self._closed = True
        if self._held:
            self._release_held()
        if self._writer is None:
            return
        self._writer.release()
        arrived = _frames(self._part)
        if arrived == 0:
            self._part.unlink(missing_ok=True)
            raise SinkError(f"{self._path} could not be written; is the disk full?")
        os.replace(self._part, self._path)
        if arrived < self._count:  # OpenCV does not say so while writing
            raise SinkError(f"{self._path} holds {arrived} of {self._count} frames; is the disk full?")


def _frames(path: Path) -> int:
    """How many frames a video file's header promises; 0 for one that cannot be opened or read."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        return int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() and capture.read()[0] else 0
    finally:
        capture.release()


def _fit(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """(H, W, 3) scaled into (height, width) of `size` (width, height) with black borders; odd sides lose a row."""
    width, height = size
    if picture.shape[0] // 2 * 2 == height and picture.shape[1] // 2 * 2 == width:
        return np.ascontiguousarray(picture[:height, :width])
    scale = min(width / picture.shape[1], height / picture.shape[0])
    inner = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    canvas = np.zeros((height, width, 3), np.uint8)
    top, left = (height - inner[1]) // 2, (width - inner[0]) // 2
    canvas[top : top + inner[1], left : left + inner[0]] = cv2.resize(picture, inner, interpolation=cv2.INTER_AREA)
    return canvas
