"""The pipeline's own doings: order, one classifier call, stage times."""

from __future__ import annotations

import time

import numpy as np
import pytest

from fer_edge.edge.crop import face_crop
from fer_edge.edge.pipeline import STAGES, Pipeline
from fer_edge.edge.tracker import Tracker
from fer_edge.edge.types import EMOTIONS, Box, Face, Frame, Prediction

BOXES = [Box(100, 10, 60, 60), Box(10, 20, 50, 50), Box(60, 80, 30, 30)]
FRAME = Frame(np.random.default_rng(0).integers(0, 255, (160, 200, 3), np.uint8), 7, 0.5)


class FixedDetector:
    def __init__(self, boxes: list[Box]) -> None:
        self.boxes = boxes

    def detect(self, frame: Frame) -> list[Face]:
        time.sleep(0.01)
        return [Face(box, 0.9) for box in self.boxes]


class CountingClassifier:
    """Says emotion number i for the i-th crop, and keeps what it was given."""

    description = "counting"

    def __init__(self) -> None:
        self.calls: list[np.ndarray] = []

    def __call__(self, crops: np.ndarray) -> np.ndarray:
        self.calls.append(crops)
        time.sleep(0.02)
        return np.eye(7, dtype=np.float32)[: len(crops)]


def test_faces_are_classified_in_one_call_and_in_order() -> None:
    classifier = CountingClassifier()
    predictions = Pipeline(FixedDetector(BOXES), classifier).process(FRAME)
    assert [p.face.box for p in predictions] == BOXES
    assert [p.emotion for p in predictions] == list(EMOTIONS[:3])
    assert all(isinstance(p, Prediction) and p.face.track is None for p in predictions)
    (crops,) = classifier.calls
    assert crops.shape == (3, 48, 48)
    assert crops.dtype == np.uint8
    for crop, box in zip(crops, BOXES, strict=True):
        assert (crop == face_crop(FRAME, Face(box, 0.9))).all()


def test_tracks_stay_with_their_faces() -> None:
    pipeline = Pipeline(FixedDetector(BOXES), CountingClassifier(), Tracker())
    first = pipeline.process(FRAME)
    second = pipeline.process(Frame(FRAME.pixels, 8, 0.6))
    assert len({p.face.track for p in first}) == 3
    assert [p.face.track for p in first] == [p.face.track for p in second]


def test_stages_are_timed() -> None:
    pipeline = Pipeline(FixedDetector(BOXES), CountingClassifier(), Tracker())
    start = time.perf_counter()
    pipeline.process(FRAME)
    whole = time.perf_counter() - start
    assert tuple(pipeline.stages) == STAGES
    assert pipeline.stages["detect"] >= 0.01
    assert pipeline.stages["classify"] >= 0.02
    assert sum(pipeline.stages.values()) == pytest.approx(whole, abs=0.01)


def test_frame_without_a_face() -> None:
    classifier = CountingClassifier()
    pipeline = Pipeline(FixedDetector(BOXES), classifier, Tracker())
    pipeline.process(FRAME)
    pipeline.detector = FixedDetector([])
    assert pipeline.process(FRAME) == []
    assert len(classifier.calls) == 1
    assert pipeline.stages["classify"] == pipeline.stages["crop"] == 0.0
    assert pipeline.stages["detect"] > 0
