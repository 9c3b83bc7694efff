"""An annotated video file, playable however the program ends."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import SinkError
from fer_edge.edge.sinks.draw import annotate
from fer_edge.edge.sinks.recording.part_file import PartFile
from fer_edge.edge.sinks.recording.recorder import FORMATS, Recorder
from fer_edge.edge.sinks.recording.timeline import Timeline, live_rate, measured_rate, recorded_rate
from fer_edge.edge.types import Frame, Prediction

log = logging.getLogger(__name__)

RATE_FRAMES = 10
"""Frames that are buffered until their times give the frame rate; at 640x480 that is 9 MB."""

RATE_SECONDS = 3.0
"""Seconds after which fewer frames have to do."""

MAX_GAP = 2.0
"""Seconds without a frame that a live video fills with the last picture; the rest of a longer gap is left out."""

MAX_RECORDING_GAP = 60.0
"""The same for a recording, such as one of a screen, which has a frame only when something changes."""

LONG_GAP = 4
"""Usual times between two frames that are filled in any case, of a source that has one in a minute."""

LOGGED_GAP = 10.0
"""Seconds that are left out from which on a line says so."""


MIN_SIDE = 16
"""Pixels; a block of the codecs, which not all of them encode in part."""

MAX_LOAD, AVERAGING = 0.5, 0.1
"""Share of the time between two pictures beyond which encoding one is too slow to repeat any: a live source would get
slower, and need more of them; and the weight of one picture in the mean time."""


class VideoSink:
    """Writes an annotated video as `name.part.mp4` beside `path`, and renames it when closed.

    Its rate is constant: frames are repeated or left out so that each is shown at its time; on a board that is too slow
    to encode repeated ones, the one before is shown for longer. Pictures of another size
    than the first are scaled to fit into it.

    Args:
        path: Where to; its suffix is one of `recorder.FORMATS`.
        fps: Nominal frame rate of a recording, any number. None for a live source: its rate is measured.
        segment: Seconds after which a new file begins: NAME-DATE-TIME.SUFFIX. None for one file.

    Raises:
        SinkError: The suffix is unknown, or the file cannot be written.
    """

    def __init__(self, path: Path, fps: float | None, segment: float | None = None) -> None:
        if path.suffix.lower() not in FORMATS:
            raise SinkError(f"{path}: expected a name that ends in {', '.join(list(FORMATS)[:-1])} or .avi")
        self._path, self._fps, self._segment = path, fps, segment
        self._file = PartFile(path)
        self._buffer: list[tuple[float, NDArray[np.uint8]]] = []
        self._recorder: Recorder | None = None
        self._timeline: Timeline | None = None
        self._last: NDArray[np.uint8] = np.zeros((0, 0, 3), np.uint8)
        self._size = (0, 0)
        self._encoding_time = 0.0
        self._closed = False

    def show(self, frame: Frame, predictions: Sequence[Prediction]) -> None:
        picture = annotate(frame, predictions)
        if self._timeline is not None:
            self._write(self._timeline, frame.time, picture)
            return
        self._buffer.append((frame.time, picture))
        if len(self._buffer) >= RATE_FRAMES or frame.time - self._buffer[0][0] >= RATE_SECONDS:
            self._flush()

    def _flush(self) -> None:
        """Set the frame rate from the buffered frames, and write them."""
        frames, self._buffer = self._buffer, []
        times = [time for time, _ in frames]
        rate = live_rate(times) if self._fps is None else recorded_rate(self._fps, times)
        usual_gap = 1 / (measured_rate(times) or rate)
        max_gap = max(MAX_GAP if self._fps is None else MAX_RECORDING_GAP, LONG_GAP * usual_gap)
        self._timeline = timeline = Timeline(rate, max_gap)
        height, width = (max(MIN_SIDE, side // 2 * 2) for side in frames[0][1].shape[:2])  # codecs need even sides
        self._size = (width, height)
        self._recorder = Recorder(self._path, self._file, self._size, rate, self._segment)
        for time, picture in frames:
            self._write(timeline, time, picture)

    def _write(self, timeline: Timeline, time: float, picture: NDArray[np.uint8]) -> None:
        assert self._recorder is not None
        if (gap := timeline.left_out(time)) >= LOGGED_GAP:
            log.info("%s: %.0f s without a picture are left out", self._path, gap)
        repeats, shown = timeline.place(time)
        if not shown:
            return
        number = timeline.count - 1
        if self._fps is not None or self._encoding_time * timeline.rate < MAX_LOAD:
            for earlier in range(number - repeats, number):
                self._encode(self._last, earlier)
        self._last = _fit(picture, self._size)
        self._encode(self._last, number)

    def _encode(self, picture: NDArray[np.uint8], number: int) -> None:
        assert self._recorder is not None
        start = monotonic()
        self._recorder.write(picture, number)
        self._encoding_time += AVERAGING * (monotonic() - start - self._encoding_time)

    def close(self) -> None:
        """Finish the file and rename it; raises SinkError if not all frames are in it."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._buffer:
                self._flush()
        finally:
            if self._recorder is None:
                self._file.discard()
            else:
                self._recorder.close()


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
