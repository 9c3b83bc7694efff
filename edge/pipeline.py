"""The pipeline: detect, track, crop, classify, smooth; `fer-edge run`, `predict` and the benchmarks all use it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.arguments import as_text, expect
from fer_edge.edge.expression.classifier import Classifier, takes_own_crops
from fer_edge.edge.expression.ensemble import open_classifier, open_early_exit
from fer_edge.edge.expression.model_input import Crops
from fer_edge.edge.expression.scores import discount
from fer_edge.edge.faces.crop import crops_on_demand, face_crop
from fer_edge.edge.faces.detector import Detector, open_detector
from fer_edge.edge.types import MAX_THREADS, STAGES, Acceleration, CheckedOptions, Face, Frame, Prediction, option

if TYPE_CHECKING:
    from fer_edge.edge.expression.score_cache import ScoreCache
    from fer_edge.edge.expression.smoother import Smoother
    from fer_edge.edge.faces.tracker import Tracker


@dataclass(frozen=True)
class PipelineOptions(CheckedOptions):
    """Models of a pipeline, and how much work it may save; the fields are the options of `fer-edge run`.

    Attributes:
        model: Expression model: "ensemble", a shipped model's name, or a .tflite or ensemble .json file.
        early_exit: Whether the ensemble's next model runs only when confidence is low; None for continuous frames only.
        latency_budget: Mean milliseconds per face that the models may take, which sets how early to exit; None for the
            ensemble's default.
        detector: Face detector: yunet or haar.
        min_face: Width of the smallest face to find, frame pixels; None for the default of `open_detector`.
        detect_every: Frames from one face detection to the next, at least 1.
        motion_gate: Whether faces are detected about once a second while the scene is still, and at once when it
            changes.
        smooth: Time constant of score smoothing, seconds; 0 is off.
        cache_threshold: Change of a track's crop, relative to its contrast, below which its scores are reused; 0 is
            off.
        threads: Threads per model.
        delegate: TFLite external delegate of the networks, LIBRARY[:key=value…]; None for the interpreter alone.
        accelerator: LiteRT's accelerators for the networks, in order of preference; None for the interpreter.
    """

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
        "yunet",
        "Face detector: yunet, or OpenCV 4's haar.",
        metavar="DETECTOR",
    )
    min_face: int | None = option(
        None,
        "Width of the smallest face to find, pixels of the frame; a smaller one takes more time.",
        metavar="PIXELS",
        minimum=8,
        maximum=32767,
        example=40,
        show_default="1/11 of the longer side in video, 1/27 in pictures",
    )
    detect_every: int = option(
        4,
        "Frames between face detections; faces are tracked in between, and the interval grows in a still scene.",
        metavar="FRAMES",
        minimum=1,
    )
    motion_gate: bool = option(
        True, "Detect faces about once a second while the scene is still, and at once when it changes."
    )
    smooth: float = option(
        0.3, "Time constant of score smoothing, seconds; 0 turns it off.", metavar="SECONDS", minimum=0
    )
    cache_threshold: float = option(
        0.13,
        "Reuse a track's scores while its crop changes by less than this share of its contrast; 0 turns it off.",
        metavar="SHARE",
        minimum=0,
    )
    threads: int = option(2, "Threads per model.", metavar="N", minimum=1, maximum=MAX_THREADS)
    delegate: str | None = option(
        None,
        "Library of a TFLite external delegate for all networks, and its options.",
        metavar="LIBRARY[:KEY=VALUE…]",
        example="libedgetpu.so.1:device=usb",
    )
    accelerator: str | None = option(
        None,
        "Run all networks on LiteRT's cpu, gpu or npu; gpu,cpu falls back to the CPU.",
        metavar="NAME[,NAME…]",
        example="gpu,cpu",
    )

    @property
    def acceleration(self) -> Acceleration:
        """What runs the networks in place of the interpreter."""
        return Acceleration(self.delegate, self.accelerator)


@runtime_checkable
class Adjustable(Protocol):
    """A detector or classifier that can do less work per frame."""

    def set_load(self, level: int) -> str:
        """Set the load level, 0 for all the work, and describe in words what it means."""
        ...


@runtime_checkable
class Intermittent(Protocol):
    """A detector that does not run on every frame."""

    @property
    def detections(self) -> int:
        """Number of frames on which it has run."""
        ...

    def set_interval(self, interval: int) -> None:
        """Change the number of frames from one run to the next; any thread may call it."""
        ...

    def detect_next(self) -> None:
        """Run on the next frame, which does not follow the last."""
        ...


@runtime_checkable
class Timed(Protocol):
    """A classifier that can record how long each of its models takes."""

    def record_timings(self) -> dict[str, list[float]]:
        """Record the seconds of every invocation from now on, in the lists that it returns by model name."""
        ...


class Pipeline:
    """Finds the faces in a frame and scores their expressions; for one thread at a time.

    Attributes:
        detector: Finds faces.
        classifier: Scores face crops.
        tracker: Numbers faces from frame to frame; None for unrelated frames.
        smoother: Smooths a track's scores over time; None for unrelated frames.
        score_cache: Reuses a track's scores while its crop hardly changes; None classifies every crop.
        stages: Seconds that each stage of the last frame took, by the names in STAGES; 0 for a stage without work.
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
    def classes(self) -> tuple[str, ...]:
        """(C,) names of the model's classes, in the order of the scores."""
        return self.classifier.classes

    @property
    def detections(self) -> int:
        """Number of frames so far in which the face detector ran; in the others faces were tracked by their patches."""
        return self.detector.detections if isinstance(self.detector, Intermittent) else self.frames

    def process(self, frame: Frame) -> list[Prediction]:
        """Find and score the faces in a frame; the faces that are not cached are classified in one call.

        Args:
            frame: The frame. With a tracker, frames must come in the order of their times.

        Returns:
            A prediction per face, the largest face first; an empty list where there is none.

        Raises:
            ModelError: The detector cannot be loaded, which is noticed with the first frame.
            DataError: `frame` is no Frame.
        """
        expect(frame, Frame, "Frame(pixels) makes one")
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
            gray = np.stack([face_crop(frame, face) for face in faces])  # (N, 48, 48)
            crops = crops_on_demand(frame, faces, gray) if takes_own_crops(self.classifier) else gray
        with self._timed("classify"):
            known = self._scores(faces, crops, frame.time)  # (N, C)
            scores: Iterable[NDArray[np.float32]] = discount(known, [face.eye_score for face in faces])
        if self.smoother is not None and self.tracker is not None:
            with self._timed("smooth"):
                self.smoother.retain(self.tracker.tracks)
                scores = [
                    self.smoother.update(face.track or 0, row, frame.time)
                    for face, row in zip(faces, scores, strict=True)
                ]
        return [Prediction(face, row, self.classes) for face, row in zip(faces, scores, strict=True)]

    def set_load(self, level: int) -> list[str]:
        """Do less work per frame, for thermal throttling.

        Args:
            level: Load level, 0 for all the work. Each level doubles the detector interval, in a still scene too, and
                lets one model less of the ensemble run.

        Returns:
            The changes in words; none where nothing in the pipeline can do less.
        """
        expect(level, int, "0 is all the work")
        return [part.set_load(level) for part in (self.detector, self.classifier) if isinstance(part, Adjustable)]

    def record_timings(self) -> dict[str, list[float]]:
        """Record how long each model takes per face, for benchmarks.

        Returns:
            By model name, a list to which every invocation from now on appends its seconds; empty where the classifier
            does not time its models.
        """
        return self.classifier.record_timings() if isinstance(self.classifier, Timed) else {}

    def _scores(self, faces: list[Face], crops: Crops, time: float) -> NDArray[np.float32]:
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
    options: PipelineOptions | None = None, *, model: str | os.PathLike[str] | None = None, continuous: bool = False
) -> Pipeline:
    """Open the pipeline of `fer-edge run` for continuous frames, or of `fer-edge predict` for single pictures.

    Args:
        options: Models and what they may skip; None for the defaults.
        model: Replaces `options.model`.
        continuous: Whether neighbouring frames show one scene, see `Source.continuous`. Only then are faces tracked
            between detections, and scores cached and smoothed.

    Returns:
        The pipeline, with its models loaded.

    Raises:
        ModelError: A model or detector is unknown, missing or altered, the latency budget cannot be met, or the
            delegate or accelerator cannot be used.
        ConfigError: An option has a value that it does not take.
    """
    known = "its fields are the options"
    options = PipelineOptions() if options is None else expect(options, PipelineOptions, known)
    if model is not None:
        options = replace(options, model=as_text(model))
    early_exit = continuous if options.early_exit is None else options.early_exit
    if early_exit or options.latency_budget is not None:
        classifier: Classifier = open_early_exit(
            options.model, options.threads, options.latency_budget, options.acceleration
        )
    else:
        classifier = open_classifier(options.model, options.threads, options.acceleration)
    detector = open_detector(
        options.detector,
        options.threads,
        options.acceleration,
        min_face=options.min_face,
        continuous=continuous,
    )
    if not continuous:
        return Pipeline(detector, classifier)
    # here: single pictures need none of them, and `predict` would wait for their import
    from fer_edge.edge.expression.score_cache import ScoreCache
    from fer_edge.edge.expression.smoother import Smoother
    from fer_edge.edge.faces.motion_gate import MotionGate
    from fer_edge.edge.faces.patch_follower import PatchFollower
    from fer_edge.edge.faces.tracker import Tracker

    follower = PatchFollower(detector, options.detect_every, MotionGate() if options.motion_gate else None)
    return Pipeline(follower, classifier, Tracker(), Smoother(options.smooth), ScoreCache(options.cache_threshold))
