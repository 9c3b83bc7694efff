"""A video in place of a camera: played at its own rate, in a loop."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from fer_edge.edge.errors import SourceError, printable
from fer_edge.edge.sources.base_source import BaseSource
from fer_edge.edge.sources.media_clock import DEFAULT_RATE
from fer_edge.edge.sources.picture_header import MAX_PIXELS
from fer_edge.edge.sources.video import open_video
from fer_edge.edge.types import Frame


class LoopedVideo(BaseSource):
    """A video file whose frames are yielded when they are due; indices and times rise through all rounds.

    Raises SourceError, also at the end of a video that is cut off.
    """

    live = True

    def __init__(self, path: Path, max_pixels: int = MAX_PIXELS) -> None:
        self._path, self._max_pixels = path, max_pixels
        self._video = open_video(path, max_pixels)
        self.name, self.fps = f"{printable(path)} (looped)", self._video.fps
        self._stopped = threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        start, round_start, index = time.monotonic(), 0.0, 0
        while True:
            last = round_start
            for frame in self._video:
                due = round_start + frame.time
                if self._stopped.wait(start + due - time.monotonic()):
                    return
                yield replace(frame, index=index, time=due)
                index, last = index + 1, due
            if self._video.problem:
                raise SourceError(self._video.problem)
            round_start = last + 1 / (self.fps or DEFAULT_RATE)
            self._video.close()
            self._video = open_video(self._path, self._max_pixels)

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        self._stopped.set()
        self._video.close()
