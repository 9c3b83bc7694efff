"""What a run counts and times, for the lines at its end and for whoever watches meanwhile."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import fmean
from time import perf_counter

from fer_edge.edge.pipeline import STAGES
from fer_edge.edge.types import Prediction

TIMED = (*STAGES, "sinks")

REMEMBERED = 3600
"""Frames over which stage times are summed up at the end: bounded, for a program that may run for months."""

TOLD_EVERY = 10.0
"""Seconds from one summary on the way to the next."""

RECENT = 3.0
"""Seconds that count as now."""


class RunStats:
    """Counts and stage times, written by the loop of a run and read from any thread.

    frames, faces: so far. seconds: so far, by stage.
    """

    def __init__(self) -> None:
        self.frames = self.faces = 0
        self.seconds = dict.fromkeys(TIMED, 0.0)
        self._lock = threading.Lock()
        self._past: deque[tuple[float, dict[str, float]]] = deque(maxlen=REMEMBERED)
        self._start = self._end = self._told = perf_counter()

    @contextmanager
    def sinking(self, predictions: Sequence[Prediction], stages: dict[str, float]) -> Iterator[None]:
        """Counts a frame, and times what is done with it."""
        began = perf_counter()
        self.frames += 1
        self.faces += len(predictions)
        try:
            yield
        finally:
            self._end = perf_counter()
            times = {**stages, "sinks": self._end - began}
            with self._lock:
                self._past.append((self._end, times))
                for stage in TIMED:
                    self.seconds[stage] += times[stage]

    def now(self) -> tuple[float, dict[str, float]]:
        """Frames a second, and the mean seconds of a frame by stage, of the last moments; 0 where nothing comes."""
        end = perf_counter()
        window = min(RECENT, end - self._start)
        times = []
        with self._lock:
            for when, each in reversed(self._past):
                if end - when > window:
                    break
                times.append(each)
        means = {stage: fmean(each[stage] for each in times) if times else 0.0 for stage in TIMED}
        return len(times) / window, means

    def due(self) -> bool:
        """Whether it is time to tell how it goes."""
        due = self._end - self._told >= TOLD_EVERY
        self._told = self._end if due else self._told
        return due

    def lines(self, dropped: int) -> Iterator[str]:
        """What is told at the end, or on the way."""
        rate = self.frames / (self._end - self._start) if self.frames else 0.0
        yield f"{self.frames} frames, {self.faces} faces, {rate:.1f} frames/s, {dropped} frames dropped"
        if self._past:
            times = (f"{stage} {1000 * fmean(each[stage] for _, each in self._past):.1f}" for stage in TIMED)
            yield f"mean of a frame in ms: {', '.join(times)}"
