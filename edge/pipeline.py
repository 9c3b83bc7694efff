"""One frame's way: detect, track, crop, classify. The command and the benchmarks both come through here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.expression.classifier import Classifier
from fer_edge.edge.expression.ensemble import open_cascade, open_classifier
from fer_edge.edge.expression.score_cache import CACHE_THRESHOLD, ScoreCache
from fer_edge.edge.expression.smoother import SECONDS, Smoother
from fer_edge.edge.faces.crop import face_crop
from fer_edge.edge.faces.detector import Detector, open_detector
from fer_edge.edge.faces.patch_follower import DETECT_EVERY, PatchFollower
from fer_edge.edge.faces.tracker import Tracker
from fer_edge.edge.types import Face, Frame, Prediction

STAGES = ("detect", "track", "crop", "classify", "smooth")


class Pipeline:
    """Frame in, predictions out, in the detector's order of faces.

    tracker: None where frames have nothing to do with each other. smoother: what steadies its tracks' scores. memory:
    what keeps them while a face looks the same; without it the classifier is asked about every face of every frame.
    stages: seconds that each stage of the last frame took; a stage that had nothing to do took 0.
    """

    def __init__(
        self,
        detector: Detector,
        classifier: Classifier,
        tracker: Tracker | None = None,
        smoother: Smoother | None = None,
        memory: ScoreCache | None = None,
    ) -> None:
        self.detector, self.classifier = detector, classifier
        self.tracker, self.smoother, self.memory = tracker, smoother, memory
        self.stages: dict[str, float] = dict.fromkeys(STAGES, 0.0)

    def process(self, frame: Frame) -> list[Prediction]:
        """The frame's faces with their scores; those that are asked about go through the classifier in one call."""
        self.stages = dict.fromkeys(STAGES, 0.0)
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
                self.smoother.keep(self.tracker.tracks)
                scores = [
                    self.smoother.update(face.track or 0, row, frame.time)
                    for face, row in zip(faces, scores, strict=True)
                ]
        return [Prediction(face, row) for face, row in zip(faces, scores, strict=True)]

    def _scores(self, faces: list[Face], crops: NDArray[np.uint8], time: float) -> NDArray[np.float32]:
        if self.memory is None or self.tracker is None:
            return self.classifier(crops)
        self.memory.keep(self.tracker.tracks)
        return self.memory.scores(self.classifier, [face.track or 0 for face in faces], crops, time)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = perf_counter()
        yield
        self.stages[stage] = perf_counter() - start


def open_pipeline(
    model: str = "ensemble",
    detector: str = "blazeface",
    *,
    continuous: bool = False,
    cascade: bool | None = None,
    budget: float | None = None,
    detect_every: int = DETECT_EVERY,
    smooth: float = SECONDS,
    unchanged: float = CACHE_THRESHOLD,
    threads: int = 2,
) -> Pipeline:
    """The pipeline of `fer-edge run` where frames are continuous, as a source says of its own, else of `predict`.

    model: ensemble, a shipped network's name, or a path to a .tflite or an ensemble's .json file. cascade: ask the
    ensemble's later members only where in doubt; None is for continuous frames alone. budget: milliseconds of networks
    a face, by means of the cascade. detect_every: continuous frames from one look for faces to the next. smooth:
    seconds over which their scores are steadied. unchanged: how far a face in them may differ from what the networks
    saw of it, in standard deviations of its gray values, to be answered as before; 0 asks about every face in every
    frame. Raises ModelError.
    """
    if budget is not None or (continuous if cascade is None else cascade):
        classifier: Classifier = open_cascade(model, threads, budget)
    else:
        classifier = open_classifier(model, threads)
    finder = open_detector(detector, threads)
    if not continuous:
        return Pipeline(finder, classifier)
    return Pipeline(PatchFollower(finder, detect_every), classifier, Tracker(), Smoother(smooth), ScoreCache(unchanged))
