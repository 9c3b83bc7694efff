"""Counts and stage times of a run, for its log lines and the live page."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import fmean
from time import perf_counter

from fer_edge.edge.types import STAGES, Prediction

RUN_STAGES = (*STAGES, "sinks")
"""The pipeline's stages, and the output of a frame's results."""

SUMMARY_FRAMES = 3600
"""The newest frames, over which the summary's stage times are averaged: bounded, for a run of months."""

SUMMARY_INTERVAL = 10.0
"""Seconds between two summaries of a verbose run."""

RECENT_SECONDS = 3.0
"""Time window of `recent`."""


class RunStats:
    """Counts a run's frames and keeps their stage times; the run's loop writes, any thread may read.

    Attributes:
        frames: Frames so far.
        faces: Faces in all of them.
        observers: Called in the loop's thread after each frame with its stage times, seconds by stage of `RUN_STAGES`;
            they must be quick.
    """

    def __init__(self) -> None:
        self.frames = self.faces = 0
        self.observers: list[Callable[[Mapping[str, float]], None]] = []
        self._lock = threading.Lock()
        self._times: deque[tuple[float, dict[str, float]]] = deque(maxlen=SUMMARY_FRAMES)
        self._start = self._end = self._last_summary = perf_counter()

    @contextmanager
    def record_frame(self, predictions: Sequence[Prediction], stages: Mapping[str, float]) -> Iterator[None]:
        """Count a frame, and time the block, in which the sinks get it.

        Args:
            predictions: The frame's faces.
            stages: Seconds that the pipeline's stages took, as in `Pipeline.stages`.
        """
        start = perf_counter()
        self.frames += 1
        self.faces += len(predictions)
        try:
            yield
        finally:
            self._end = perf_counter()
            times = {**stages, "sinks": self._end - start}
            with self._lock:
                self._times.append((self._end, times))
            for observe in self.observers:
                observe(times)

    def recent(self) -> tuple[float, dict[str, float]]:
        """Frame rate and stage times of the last `RECENT_SECONDS`.

        Returns:
            Frames per second, and the mean seconds per frame of each stage; 0 where no frame came.
        """
        now = perf_counter()
        window = min(RECENT_SECONDS, now - self._start)
        times = []
        with self._lock:
            for end, stages in reversed(self._times):
                if now - end > window:
                    break
                times.append(stages)
        means = {stage: fmean(stages[stage] for stages in times) if times else 0.0 for stage in RUN_STAGES}
        return len(times) / window, means

    def summary_due(self) -> bool:
        """Whether `SUMMARY_INTERVAL` is over; True starts the next one."""
        due = self._end - self._last_summary >= SUMMARY_INTERVAL
        if due:
            self._last_summary = self._end
        return due

    def summary(self, dropped: int) -> Iterator[str]:
        """The run so far as log lines: counts, frame rate, mean stage times.

        Args:
            dropped: Frames that the source dropped.

        Yields:
            One or two lines.
        """
        rate = self.frames / (self._end - self._start) if self.frames else 0.0
        yield f"{self.frames} frames, {self.faces} faces, {rate:.1f} frames/s, {dropped} frames dropped"
        if self._times:
            means = (f"{stage} {1000 * fmean(times[stage] for _, times in self._times):.1f}" for stage in RUN_STAGES)
            yield f"mean ms per frame: {', '.join(means)}"
