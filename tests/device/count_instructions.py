"""Counts the instructions of detector, models and frames; tests/device/instructions.sh runs it on emulated Arm.

`count_instructions.py CLIPS.npz COUNTS RESULT.json`: COUNTS is the file to which instruction_counter.c appends the
number of instructions so far, at every os.getpgid. RESULT gets a row per case. All on one thread.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import fmean, median
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmarks.results_io.record import default_models
from fer_edge.edge.device.host_info import describe_machine
from fer_edge.edge.expression.ensemble import open_classifier
from fer_edge.edge.faces.crop import face_crop
from fer_edge.edge.faces.detector import open_detector
from fer_edge.edge.pipeline import PipelineOptions, open_pipeline
from fer_edge.edge.tflite.card import sha256
from fer_edge.edge.types import Frame
from fer_edge.models import FOLDER

PACKAGES = ("ai-edge-litert", "numpy", "opencv-python")
WARM_UP, CALLS = 2, 5
"""Calls before those that are counted, and those: counts of one process differ by less than 0.1 %."""

RATE = 25.0  # frames/s
SETTLING = 25  # frames until a still room is known to be still, and a face has been tracked for a while
PERIODS, MAX_FRAMES = 2, 100
"""Detections of the still room whose frames are counted, from one to the next; frames at most."""


@dataclass(frozen=True)
class Counted:
    """A frame's instructions, whether the face detector ran, and how many models."""

    instructions: int
    detected: bool
    models: int


class Counter:
    """Counts the instructions of all threads between two marks."""

    def __init__(self, counts: Path) -> None:
        self._counts = counts

    def count(self, call: Callable[[], object]) -> int:
        """The instructions of a call."""
        os.getpgid(0)
        call()
        os.getpgid(0)
        before, after = self._counts.read_text().split()[-2:]
        return int(after) - int(before)

    def median(self, call: Callable[[], object]) -> int:
        """The median of several calls after warm-up."""
        for _ in range(WARM_UP):
            call()
        return round(median(self.count(call) for _ in range(CALLS)))

    def frames(self, clip: NDArray[np.uint8]) -> Iterator[Counted]:
        """Frames of a clip that is repeated for ever, as in `fer-edge run`."""
        pipeline = open_pipeline(PipelineOptions(threads=1), continuous=True)
        timings = pipeline.record_timings()
        for index in range(sys.maxsize):
            frame = Frame(clip[index % len(clip)], index, index / RATE)
            detections, models = pipeline.detections, sum(map(len, timings.values()))
            instructions = self.count(lambda frame=frame: pipeline.process(frame))  # type: ignore[misc]
            detected = pipeline.detections > detections
            yield Counted(instructions, detected, sum(map(len, timings.values())) - models)


def calls(counter: Counter, pixels: NDArray[np.uint8]) -> Iterator[tuple[str, int]]:
    """The detector on a frame, and each model and the ensemble on its face, from crop to probabilities."""
    frame = Frame(pixels)
    for name, continuous in (("face detector", True), ("face detector, single picture", False)):
        detector = open_detector(continuous=continuous)
        yield name, counter.median(lambda detector=detector: detector.detect(frame))  # type: ignore[misc]
    crops = face_crop(frame, detector.detect(frame)[0])[None]
    for name in default_models():
        classifier = open_classifier(name)
        yield name, counter.median(lambda classifier=classifier: classifier(crops))  # type: ignore[misc]


def face_frames(counter: Counter, clip: NDArray[np.uint8]) -> Iterator[tuple[str, int]]:
    """The frames of a clip with a face, by what was to be done; all of them, after some for warm-up."""
    frames = list(islice(counter.frames(clip), SETTLING, SETTLING + len(clip)))
    kinds = {"detection, one model": (True, 1), "tracked, one model": (False, 1), "tracked, cached scores": (False, 0)}
    for name, kind in kinds.items():
        counts = [frame.instructions for frame in frames if (frame.detected, frame.models) == kind]
        if counts:
            yield f"frame: {name}", round(median(counts))
    yield "frame: mean of a clip", round(fmean(frame.instructions for frame in frames))


def empty_frames(counter: Counter, clip: NDArray[np.uint8]) -> Iterator[tuple[str, int]]:
    """The frames of a still room, from one detection to a later one, so that the mean has its share of detections."""
    frames: list[Counted] = []
    starts: list[int] = []
    for frame in islice(counter.frames(clip), SETTLING, SETTLING + MAX_FRAMES):
        if frame.detected:
            starts.append(len(frames))
        if len(starts) > PERIODS:
            break
        frames.append(frame)
    if len(starts) > 1:
        frames = frames[starts[0] : starts[-1]]
    still = [frame.instructions for frame in frames if not frame.detected]
    if still:
        yield "empty room: no detection", round(median(still))
    yield "empty room: mean", round(fmean(frame.instructions for frame in frames))


def opened_models() -> set[Path]:
    """The model files that are opened from now on, a set that grows."""
    paths: set[Path] = set()

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and str(arguments[0]).endswith(".tflite"):
            paths.add(Path(arguments[0]).resolve())

    sys.addaudithook(note)
    return paths


def main(clips: Path, counts: Path, result: Path) -> None:
    """Count all cases and write them, with the models' files and the machine."""
    cv2.setNumThreads(1)
    counter, models, rows = Counter(counts), opened_models(), []
    with np.load(clips) as arrays:
        face, empty = arrays["face"], arrays["empty"]  # (F, 480, 640, 3) uint8 each
    for part, clip in ((calls, face[0]), (face_frames, face), (empty_frames, empty)):
        for name, instructions in part(counter, clip):
            rows.append({"case": name, "instructions": instructions})
            print(f"{instructions / 1e6:10.2f} M  {name}", flush=True)
    digests = {path.relative_to(FOLDER).as_posix(): sha256(path) for path in sorted(models)}
    result.write_text(json.dumps({"machine": describe_machine(PACKAGES), "sha256": digests, "rows": rows}))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
