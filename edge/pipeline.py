"""One frame's way: detect, track, crop, classify. The command and the benchmarks both come through here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.expression.classifier import Classifier
from fer_edge.edge.expression.ensemble import open_classifier, open_early_exit
from fer_edge.edge.expression.score_cache import CACHE_THRESHOLD, ScoreCache
from fer_edge.edge.expression.smoother import TIME_CONSTANT, Smoother
from fer_edge.edge.faces.crop import face_crop
from fer_edge.edge.faces.detector import Detector, open_detector
from fer_edge.edge.faces.patch_follower import DETECT_EVERY, PatchFollower
from fer_edge.edge.faces.tracker import Tracker
from fer_edge.edge.types import Face, Frame, Prediction, option


@dataclass(frozen=True)
class PipelineOptions:
    """Which models run on a frame, and what they may skip."""

    model: str = option(
        "ensemble",
        "Expression model: ensemble, the name of a shipped model, or a .tflite or ensemble .json file.",
        metavar="MODEL",
    )
    early_exit: bool | None = option(
        None, "Run the ensemble's next model only when confidence is low.", show_default="for continuous frames"
    )
    latency_budget: float | None = option(
        None,
        "Mean milliseconds per face that the models may take; sets how early to exit.",
        metavar="MS",
        minimum=0,
        open_minimum=True,
        example=4,
    )
    detector: str = option(
        "blazeface",
        "Face detector: blazeface, blazeface-short, blazeface-full, haar or yunet:FILE.",
        metavar="DETECTOR",
    )
    detect_every: int = option(
        DETECT_EVERY,
        "Frames between face detections; faces are tracked in between, and the interval grows in a still scene.",
        metavar="FRAMES",
        minimum=1,
    )
    smooth: float = option(
        TIME_CONSTANT, "Time constant of score smoothing, seconds; 0 turns it off.", metavar="SECONDS", minimum=0
    )
    cache_threshold: float = option(
        CACHE_THRESHOLD,
        "Reuse a track's scores while its crop changes by less than this share of its contrast; 0 turns it off.",
        metavar="SHARE",
        minimum=0,
    )
    threads: int = option(2, "Threads per model.", metavar="N", minimum=1)


STAGES = ("detect", "track", "crop", "classify", "smooth")


@runtime_checkable
class Adjustable(Protocol):
    """A detector or classifier that can do less work per frame."""

    def set_load(self, level: int) -> str:
        """Set the load level, 0 for all the work, and describe in words what it means."""
        ...


@runtime_checkable
class Timed(Protocol):
    """A classifier that can record how long each of its models takes."""

    def record_timings(self) -> dict[str, list[float]]:
        """Record the seconds of every invocation from now on, in the lists that it returns by model name."""
        ...


class Pipeline:
    """Frame in, predictions out, in the detector's order of faces.

    Attributes:
        tracker: None where frames have nothing to do with each other.
        smoother: Smooths a track's scores over time.
        score_cache: Keeps a track's scores while its crop looks the same; without it every crop is classified.
        stages: Seconds that each stage of the last frame took; a stage that had nothing to do took 0.
        frames: Frames processed so far.
    """

    def __init__(
        self,
        detector: Detector,
        classifier: Classifier,
        tracker: Tracker | None = None,
        smoother: Smoother | None = None,
        score_cache: ScoreCache | None = None,
    ) -> None:
        self.detector, self.classifier = detector, classifier
        self.tracker, self.smoother, self.score_cache = tracker, smoother, score_cache
        self.stages: dict[str, float] = dict.fromkeys(STAGES, 0.0)
        self.frames = 0

    @property
    def detections(self) -> int:
        """Frames in which the face detector ran; in the others its faces were followed."""
        return self.detector.detections if isinstance(self.detector, PatchFollower) else self.frames

    def process(self, frame: Frame) -> list[Prediction]:
        """The frame's faces with their scores; those that are not cached go through the classifier in one call."""
        self.stages = dict.fromkeys(STAGES, 0.0)
        self.frames += 1
        with self._timed("detect"):
            faces = self.detector.detect(frame)
        if self.tracker is not None:
            with self._timed("track"):
                faces = self.tracker.update(faces, frame.time)
        if not faces:
            return []
        with self._timed("crop"):
            crops = np.stack([face_crop(frame, face) for face in faces])  # (N, 48, 48)
        with self._timed("classify"):
            scores: Iterable[NDArray[np.float32]] = self._scores(faces, crops, frame.time)  # (N, 7)
        if self.smoother is not None and self.tracker is not None:
            with self._timed("smooth"):
                self.smoother.retain(self.tracker.tracks)
                scores = [
                    self.smoother.update(face.track or 0, row, frame.time)
                    for face, row in zip(faces, scores, strict=True)
                ]
        return [Prediction(face, row) for face, row in zip(faces, scores, strict=True)]

    def set_load(self, level: int) -> list[str]:
        """Do less work per frame, for thermal throttling.

        Args:
            level: 0 for all of it; each level doubles the detector interval and leaves out the ensemble's last model.

        Returns:
            What was changed, in words; nothing where the parts have no load to set.
        """
        return [part.set_load(level) for part in (self.detector, self.classifier) if isinstance(part, Adjustable)]

    def record_timings(self) -> dict[str, list[float]]:
        """Record how long each model takes per face, for benchmarks.

        Returns:
            A list per model name to which every invocation from now on appends its seconds; nothing where the
            classifier has no models to time.
        """
        return self.classifier.record_timings() if isinstance(self.classifier, Timed) else {}

    def _scores(self, faces: list[Face], crops: NDArray[np.uint8], time: float) -> NDArray[np.float32]:
        if self.score_cache is None or self.tracker is None:
            return self.classifier(crops)
        self.score_cache.retain(self.tracker.tracks)
        return self.score_cache.scores(self.classifier, [face.track or 0 for face in faces], crops, time)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = perf_counter()
        yield
        self.stages[stage] = perf_counter() - start


def open_pipeline(
    options: PipelineOptions | None = None, *, model: str | None = None, continuous: bool = False
) -> Pipeline:
    """The pipeline of `fer-edge run` for continuous frames, of `fer-edge predict` for single pictures.

    Args:
        options: Networks, detector and what may be skipped.
        model: Takes the place of `options.model`.
        continuous: Whether neighbouring frames show one scene, as `Source.continuous` says; only then are faces tracked
            between detections, and scores cached and smoothed.

    Returns:
        The pipeline with its networks loaded.

    Raises:
        ModelError: A model or detector is missing, altered or unknown, or the latency budget cannot be met.
    """
    options = options or PipelineOptions()
    if model is not None:
        options = replace(options, model=model)
    early_exit = continuous if options.early_exit is None else options.early_exit
    if early_exit or options.latency_budget is not None:
        classifier: Classifier = open_early_exit(options.model, options.threads, options.latency_budget)
    else:
        classifier = open_classifier(options.model, options.threads)
    detector = open_detector(options.detector, options.threads)
    if not continuous:
        return Pipeline(detector, classifier)
    follower = PatchFollower(detector, options.detect_every)
    return Pipeline(follower, classifier, Tracker(), Smoother(options.smooth), ScoreCache(options.cache_threshold))
