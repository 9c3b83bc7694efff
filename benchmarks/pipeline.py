"""A frame's whole way, end to end, on clips of one or several faces: stages, rate, CPU time, memory, dropped frames.

Each case runs in a process of its own, for its peak memory. First serially, to tell the stages apart; then as `run`
does it, inference ahead of the sinks; then from a source that gives pictures at a camera's pace.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmarks.fixtures.clips import RATE, write_clip
from fer_edge.benchmarks.latency import peak_mib, resident_mib, summary, timed
from fer_edge.benchmarks.options import count, listed, result_file
from fer_edge.benchmarks.results_io.machine import condition
from fer_edge.benchmarks.results_io.record import Recorded, ResultError, identity, write
from fer_edge.edge.commands.prefetch import Prefetch
from fer_edge.edge.config.click_types import FloatRange
from fer_edge.edge.expression.cascade import CascadeClassifier
from fer_edge.edge.expression.ensemble import Ensemble
from fer_edge.edge.expression.score_cache import CACHE_THRESHOLD
from fer_edge.edge.faces.patch_follower import DETECT_EVERY, PatchFollower
from fer_edge.edge.pipeline import STAGES, Pipeline, PipelineOptions, open_pipeline
from fer_edge.edge.sinks.draw import annotate
from fer_edge.edge.sinks.jsonl import JsonlSink
from fer_edge.edge.sources.base_source import BaseSource
from fer_edge.edge.sources.newest_frame import NewestFrameReader
from fer_edge.edge.sources.video import open_video
from fer_edge.edge.terminal import progress_bar
from fer_edge.edge.types import Frame

WINDOW = 10.0
"""Seconds of a sustained run that make one row; one that is shorter has one."""


@dataclass(frozen=True)
class Case:
    """What runs: a clip and how it is looked at."""

    clip: str
    faces: int
    width: int
    height: int
    spec: str
    threads: int
    cascade: bool
    detect_every: int
    unchanged: float
    camera_rate: float
    minutes: float


def _size(text: str) -> tuple[int, int]:
    width, height = (int(part) for part in text.split("x"))
    if min(width, height) < 64:
        raise ValueError
    return width, height


@click.command(cls=Recorded)
@click.argument("spec", default="ensemble", metavar="[MODEL]")
@click.option("--faces", default="1,2,5,16", callback=listed(count, "numbers"), help="Faces in the clip.")
@click.option("--sizes", default="640x480,1280x720", callback=listed(_size, "WxH from 64"), help="The clip's pixels.")
@click.option("--threads", default="1", callback=listed(count, "numbers"), help="Threads of each network.")
@click.option("--frames", type=click.IntRange(2), default=200, help="Frames of a clip.")
@click.option("--cascade/--no-cascade", default=True, help="As in 'fer-edge run'.")
@click.option("--detect-every", type=click.IntRange(1), default=DETECT_EVERY, help="As in 'fer-edge run'.")
@click.option("--unchanged", type=FloatRange(0), default=CACHE_THRESHOLD, help="As in 'fer-edge run'; 0 asks always.")
@click.option("--camera-rate", type=FloatRange(1), default=30.0, help="Frames/s of the camera played.")
@click.option("--minutes", type=FloatRange(0), default=0.0, help="Go on for so long, at full rate, in each case.")
@result_file
def pipeline(
    spec: str,
    faces: tuple[int, ...],
    sizes: tuple[tuple[int, int], ...],
    threads: tuple[int, ...],
    frames: int,
    cascade: bool,
    detect_every: int,
    unchanged: float,
    camera_rate: float,
    minutes: float,
    out: Path | None,
) -> None:
    """Measure the whole pipeline of 'fer-edge run' with MODEL (default: the ensemble), on clips made here.

    With --no-cascade --unchanged 0 all of the ensemble is asked about every face in every frame.
    """
    about, before, rows = identity(spec), condition(), []
    count = len(sizes) * len(faces) * len(threads)
    with tempfile.TemporaryDirectory() as folder, progress_bar("clips", count) as bar:
        for width, height in sizes:
            for number in faces:
                clip = write_clip(Path(folder) / f"{width}x{height}-{number}.avi", frames, number, width, height)
                for each in threads:
                    how = (spec, each, cascade, detect_every, unchanged, camera_rate, minutes)
                    case = Case(str(clip), number, width, height, *how)
                    rows.append({**about, **_fresh(case)})
                    bar.update()
    path = write("pipeline", {"frames": frames, "before": before, "after": condition(), "rows": rows}, out)
    for row in rows:
        click.echo(_line(row))
    click.echo(f"wrote {path}", err=True)


def _line(row: dict[str, Any]) -> str:
    stages = ", ".join(f"{name} {row['stages'][name]['mean']:.2f}" for name in row["stages"])
    return (
        f"{row['width']}x{row['height']}, {row['faces']} faces, {row['threads']} thr: {row['rate']:.0f} frames/s, "
        f"{1000 * row['cpu_seconds']:.2f} CPU ms a frame, {row['peak_mib']:.0f} MiB; mean ms: {stages}"
    )


def _fresh(case: Case) -> dict[str, Any]:
    """The case in a process that does nothing else."""
    done = subprocess.run(
        [sys.executable, "-m", "fer_edge.benchmarks.pipeline", json.dumps(asdict(case))], capture_output=True, text=True
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ResultError(f"{case.width}x{case.height} with {case.faces} faces failed in its process: {last}")
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


# --- in the process of a case ------------------------------------------------------------------------------------


def measured(case: Case) -> dict[str, Any]:
    """All that is measured of a case."""
    row: dict[str, Any] = {name: getattr(case, name) for name in ("faces", "width", "height", "threads")}
    row |= {
        "detect_every": case.detect_every,
        "early_exit": case.cascade,
        "cache_threshold": case.unchanged,
        **_ahead(case),
        "peak_mib": peak_mib() or 0.0,
    }
    row |= {**_serial(case), "camera": _camera(case)}
    return row | (_sustained(case) if case.minutes else {})


def _pipeline(case: Case) -> Pipeline:
    options = PipelineOptions(
        model=case.spec,
        early_exit=case.cascade,
        detect_every=case.detect_every,
        cache_threshold=case.unchanged,
        threads=case.threads,
    )
    return open_pipeline(options, continuous=True)


def _serial(case: Case) -> dict[str, Any]:
    """Stage times in ms, one after the other; a model's time counts in frames that asked it."""
    whole = _pipeline(case)
    times: dict[str, list[float]] = defaultdict(list)
    asked: dict[str, list[float]] = defaultdict(list)
    if isinstance(whole.classifier, Ensemble | CascadeClassifier):
        for member in whole.classifier.members:
            _watched(member, asked)
    found = 0
    with open_video(Path(case.clip)) as source, ExitStack() as closing:
        sink = JsonlSink(os.devnull)
        closing.callback(sink.close)
        frames = iter(source)
        while True:
            began = perf_counter()
            frame = next(frames, None)
            if frame is None:
                break
            times["capture"].append(1000 * (perf_counter() - began))
            asked["turn"] = []
            predictions = whole.process(frame)
            found += len(predictions)
            for stage in STAGES:
                times[stage].append(1000 * whole.stages[stage])
            times["fuse"].append(max(0.0, times["classify"][-1] - sum(asked["turn"])))
            began = perf_counter()
            annotate(frame, predictions)
            drawn = perf_counter()
            sink.show(frame, predictions)
            times["draw"].append(1000 * (drawn - began))
            times["sink"].append(1000 * (perf_counter() - drawn))
    members_asked = sum(len(each) for name, each in asked.items() if name != "turn")
    looks = whole.detector.looks if isinstance(whole.detector, PatchFollower) else len(times["detect"])
    models = {name: summary(each) for name, each in asked.items() if name != "turn"}
    count = len(times["capture"])
    return {
        "stages": {name: summary(each) for name, each in times.items()},
        "models": models,
        "faces_found": round(found / count, 3),
        "detections_per_frame": round(looks / count, 3),
        "models_per_face": round(members_asked / max(1, found), 3),
        "outside_models": _outside(times, asked, case),
    }


def _outside(times: dict[str, list[float]], asked: dict[str, list[float]], case: Case) -> float:
    """The share of the time from crop to fused scores that is not the members' own."""
    members = sum(sum(each) for name, each in asked.items() if name != "turn")
    return round(1 - members / (sum(times["crop"]) + sum(times["classify"])), 4)


def _watched(member: Any, asked: dict[str, list[float]]) -> None:
    """Have the interpreter's time of each face kept under the member's name, and in the current turn."""
    interpreter, name = member.interpreter, member.path.stem
    run = interpreter.run

    def timed(*arrays: Any) -> Any:
        began = perf_counter()
        answer = run(*arrays)
        asked[name].append(1000 * (perf_counter() - began))
        asked["turn"].append(asked[name][-1])
        return answer

    interpreter.run = timed


def _ahead(case: Case) -> dict[str, Any]:
    """Frames a second and CPU seconds a frame as `run` does it, drawing and writing lines while inference goes on."""
    whole = _pipeline(case)
    with open_video(Path(case.clip)) as source, ExitStack() as closing:
        sink = JsonlSink(os.devnull)
        closing.callback(sink.close)
        began, spent, count = perf_counter(), process_time(), 0
        with Prefetch(source, whole.process) as results:
            for frame, predictions in results:
                annotate(frame, predictions)
                sink.show(frame, predictions)
                count += 1
        elapsed, used = perf_counter() - began, process_time() - spent
    return {"rate": round(count / elapsed, 2), "cpu_seconds": round(used / count, 6)}


class _Camera(BaseSource):
    """The clip again and again at a camera's pace, for as many seconds; began: the clock when it started."""

    live = True

    def __init__(self, case: Case, seconds: float) -> None:
        self._pictures = [frame.pixels for frame in open_video(Path(case.clip))]
        self._rate, self._seconds = case.camera_rate, seconds
        self.began = perf_counter()

    def __iter__(self) -> Iterator[Frame]:
        self.began = perf_counter()
        for index in range(round(self._seconds * self._rate)):
            wait = self.began + index / self._rate - perf_counter()
            if wait > 0:
                time.sleep(wait)
            yield Frame(self._pictures[index % len(self._pictures)], index, perf_counter() - self.began)


def _camera(case: Case, seconds: float = 4.0) -> dict[str, Any]:
    """What a camera's pictures become: how many were looked at, how many nobody had time for, how old answers are."""
    whole, ages, camera = _pipeline(case), [], _Camera(case, seconds)
    with NewestFrameReader.start(camera) as source, Prefetch(source, whole.process) as results:
        for frame, predictions in results:
            annotate(frame, predictions)
            ages.append(1000 * (perf_counter() - camera.began - frame.time))
        return {
            "rate": case.camera_rate,
            "processed": len(ages),
            "dropped": source.dropped,
            "latency_ms": summary(ages),
        }


def _sustained(case: Case) -> dict[str, Any]:
    """Windows, one after another at full rate, and the resident memory in MiB when they began and when they ended.

    The clip's pictures are in it: what grows is told by it, not what a run needs.
    """
    whole = _pipeline(case)
    pictures = [frame.pixels for frame in open_video(Path(case.clip))]
    for index, pixels in enumerate(pictures):
        whole.process(Frame(pixels, index, index / RATE))
    first = resident_mib()
    windows = list(_windows(case, whole, pictures))
    return {"sustained": windows, "resident_mib": {"start": first, "end": resident_mib()}}


def _windows(case: Case, whole: Pipeline, pictures: list[NDArray[np.uint8]]) -> Iterator[dict[str, Any]]:
    """A row for every window: seconds from the start, frames/s, a frame's ms, and memory and condition at its end."""
    began, index, length = perf_counter(), len(pictures), min(WINDOW, 60 * case.minutes)
    while perf_counter() - began < 60 * case.minutes:
        times, start = [], perf_counter()
        while perf_counter() - start < length:
            frame = Frame(pictures[index % len(pictures)], index, index / RATE)
            times += timed(lambda frame=frame: annotate(frame, whole.process(frame)), 1)  # type: ignore[misc]
            index += 1
        now, seen = condition(), summary(times)
        yield {
            "seconds": round(perf_counter() - began, 1),
            "rate": round(len(times) / (perf_counter() - start), 2),
            "ms": seen,
            "resident_mib": resident_mib(),
            **{name: now[name] for name in ("celsius", "mhz", "throttled")},
        }


if __name__ == "__main__":
    print(json.dumps(measured(Case(**json.loads(sys.argv[1])))))
