"""One case of the pipeline benchmark, in its own process: a clip and how its frames are processed.

First with sinks and inference in parallel, as `run` does it, for frame rate, CPU time and peak memory; then one stage
after another, for the time of each; then from a simulated camera, for dropped frames; then for minutes on end.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmarks.fixtures.clips import RATE
from fer_edge.benchmarks.process_memory import peak_mib, resident_mib
from fer_edge.benchmarks.results_io.machine import condition
from fer_edge.benchmarks.timing import summary, timed
from fer_edge.edge.commands.prefetch import Prefetch
from fer_edge.edge.pipeline import Pipeline, PipelineOptions, open_pipeline
from fer_edge.edge.sinks.draw import annotate
from fer_edge.edge.sinks.jsonl import JsonlSink
from fer_edge.edge.sources.base_source import BaseSource
from fer_edge.edge.sources.newest_frame import NewestFrameReader
from fer_edge.edge.sources.video import open_video
from fer_edge.edge.types import STAGES, Frame

WINDOW = 10.0
"""Seconds of a sustained run that make one row; a shorter run has one row."""

CAMERA_SECONDS = 4.0
"""How long the simulated camera runs."""


SETTINGS = ("detect_every", "motion_gate", "early_exit", "cache_threshold")
"""Options of the pipeline that are recorded with the figures."""


@dataclass(frozen=True)
class Case:
    """A clip and how its frames are processed.

    Attributes:
        clip: The clip's path.
        faces: Faces in it.
        width: Width of a frame in pixels.
        height: Its height.
        options: Model, threads, detector interval, motion gate, early exit and score cache.
        camera_rate: Frames per second of the simulated camera.
        minutes: How long the sustained run takes; 0 for none.
    """

    clip: str
    faces: int
    width: int
    height: int
    options: PipelineOptions
    camera_rate: float
    minutes: float


def measure(case: Case) -> dict[str, Any]:
    """Everything that is measured of a case, as a row of the result."""
    options = case.options
    row: dict[str, Any] = {
        **{name: getattr(case, name) for name in ("faces", "width", "height")},
        **{name: getattr(options, name) for name in (*SETTINGS, "threads")},
        **_throughput(case),
        "peak_mib": peak_mib() or 0.0,
    }
    row |= {**_stages(case), "camera": _camera(case)}
    return row | (_sustained(case) if case.minutes else {})


def _throughput(case: Case) -> dict[str, Any]:
    """Frames per second and CPU seconds per frame, with sinks and inference in parallel as in `run`."""
    pipeline = open_pipeline(case.options, continuous=True)
    with open_video(Path(case.clip)) as source, ExitStack() as closing:
        sink = JsonlSink(os.devnull)
        closing.callback(sink.close)
        start, cpu_start, count = perf_counter(), process_time(), 0
        with Prefetch(source, pipeline.process) as results:
            for frame, predictions in results:
                annotate(frame, predictions)
                sink.show(frame, predictions)
                count += 1
        seconds, cpu_seconds = perf_counter() - start, process_time() - cpu_start
    return {"rate": round(count / seconds, 2), "cpu_seconds": round(cpu_seconds / count, 6)}


def _stages(case: Case) -> dict[str, Any]:
    """Milliseconds of each stage, one after another, and of each model, over the faces that it ran for."""
    pipeline = open_pipeline(case.options, continuous=True)
    timings = pipeline.record_timings()  # seconds by model
    times: dict[str, list[float]] = defaultdict(list)
    faces, models_total = 0, 0.0
    with open_video(Path(case.clip)) as source, ExitStack() as closing:
        sink = JsonlSink(os.devnull)
        closing.callback(sink.close)
        frames = iter(source)
        while True:
            start = perf_counter()
            frame = next(frames, None)
            if frame is None:
                break
            times["capture"].append(1000 * (perf_counter() - start))
            predictions = pipeline.process(frame)
            faces += len(predictions)
            for stage in STAGES:
                times[stage].append(1000 * pipeline.stages[stage])
            models_before, models_total = models_total, 1000 * sum(map(sum, timings.values()))
            times["fuse"].append(max(0.0, times["classify"][-1] - (models_total - models_before)))
            start = perf_counter()
            annotate(frame, predictions)
            sink_start = perf_counter()
            sink.show(frame, predictions)
            times["draw"].append(1000 * (sink_start - start))
            times["sink"].append(1000 * (perf_counter() - sink_start))
    invocations = sum(map(len, timings.values()))
    classification = sum(times["crop"]) + sum(times["classify"])
    return {
        "stages": {name: summary(each) for name, each in times.items()},
        "models": {name: summary(1000 * np.array(seconds)) for name, seconds in timings.items() if seconds},
        "faces_found": round(faces / pipeline.frames, 3),
        "detections_per_frame": round(pipeline.detections / pipeline.frames, 3),
        "models_per_face": round(invocations / max(1, faces), 3),
        "outside_models": round(1 - models_total / classification, 4) if classification else 0.0,
    }


class _SimulatedCamera(BaseSource):
    """The clip's frames at a camera's pace, again and again.

    started: the clock when it started.
    """

    live = True

    def __init__(self, clip: Path, rate: float, seconds: float) -> None:
        self._pictures = [frame.pixels for frame in open_video(clip)]
        self._rate, self._seconds = rate, seconds
        self.started = perf_counter()

    def __iter__(self) -> Iterator[Frame]:
        self.started = perf_counter()
        for index in range(round(self._seconds * self._rate)):
            wait = self.started + index / self._rate - perf_counter()
            if wait > 0:
                time.sleep(wait)
            yield Frame(self._pictures[index % len(self._pictures)], index, perf_counter() - self.started)


def _camera(case: Case) -> dict[str, Any]:
    """Frames of a camera that were processed and dropped, and milliseconds from capture to annotated frame."""
    pipeline, latencies = open_pipeline(case.options, continuous=True), []
    camera = _SimulatedCamera(Path(case.clip), case.camera_rate, CAMERA_SECONDS)
    with NewestFrameReader.start(camera) as source, Prefetch(source, pipeline.process) as results:
        for frame, predictions in results:
            annotate(frame, predictions)
            latencies.append(1000 * (perf_counter() - camera.started - frame.time))
        return {
            "rate": case.camera_rate,
            "processed": len(latencies),
            "dropped": source.dropped,
            "latency_ms": summary(latencies),
        }


def _sustained(case: Case) -> dict[str, Any]:
    """Windows of a run at full rate, and resident memory in MiB at its start and end.

    The memory includes the clip's decoded frames: it shows growth, not what a run needs.
    """
    pipeline = open_pipeline(case.options, continuous=True)
    pictures = [frame.pixels for frame in open_video(Path(case.clip))]
    for index, pixels in enumerate(pictures):
        pipeline.process(Frame(pixels, index, index / RATE))
    memory = {"start": resident_mib()}
    windows = list(_windows(case, pipeline, pictures))
    return {"sustained": windows, "resident_mib": {**memory, "end": resident_mib()}}


def _windows(case: Case, pipeline: Pipeline, pictures: list[NDArray[np.uint8]]) -> Iterator[dict[str, Any]]:
    """A row per window: seconds since the start, frames/s, ms per frame; memory and board condition at its end."""
    started, index, length = perf_counter(), len(pictures), min(WINDOW, 60 * case.minutes)
    while perf_counter() - started < 60 * case.minutes:
        times, start = [], perf_counter()
        while perf_counter() - start < length:
            frame = Frame(pictures[index % len(pictures)], index, index / RATE)
            times += timed(lambda frame=frame: annotate(frame, pipeline.process(frame)), 1)  # type: ignore[misc]
            index += 1
        board, ms = condition(), summary(times)
        yield {
            "seconds": round(perf_counter() - started, 1),
            "rate": round(len(times) / (perf_counter() - start), 2),
            "ms": ms,
            "resident_mib": resident_mib(),
            **{name: board[name] for name in ("celsius", "mhz", "throttled")},
        }


def _case(text: str) -> Case:
    """A case from the JSON of its fields."""
    stored = json.loads(text)
    return Case(**{**stored, "options": PipelineOptions(**stored["options"])})


if __name__ == "__main__":
    print(json.dumps(measure(_case(sys.argv[1]))))
