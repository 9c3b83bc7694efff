"""The pipeline: order of faces, one classifier call per frame, stage times and counters."""

from __future__ import annotations

import numpy as np
import pytest
from network_camera import PORTRAIT
from predictions import CLASSES

from fer_edge.edge.faces.crop import face_crop
from fer_edge.edge.faces.tracker import Tracker
from fer_edge.edge.pipeline import Pipeline, PipelineOptions, open_pipeline
from fer_edge.edge.sources.pictures import read_picture
from fer_edge.edge.types import STAGES, Box, Face, Frame, Prediction

BOXES = [Box(100, 10, 60, 60), Box(10, 20, 50, 50), Box(60, 80, 30, 30)]
FRAME = Frame(np.random.default_rng(0).integers(0, 255, (160, 200, 3), np.uint8), 7, 0.5)


class Clock:
    """Advances only when a part of the pipeline says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The pipeline's clock."""
    clock = Clock()
    monkeypatch.setattr("fer_edge.edge.pipeline.perf_counter", clock)
    return clock


class FixedDetector:
    """Finds the same boxes in every frame; takes a second of its clock."""

    description = "fixed"

    def __init__(self, boxes: list[Box], clock: Clock | None = None) -> None:
        self.boxes, self.clock = boxes, clock or Clock()

    def detect(self, frame: Frame) -> list[Face]:
        self.clock.now += 1
        return [Face(box, 0.9) for box in self.boxes]


class CountingClassifier:
    """Scores emotion i for the i-th crop and records the crops; takes two seconds of its clock."""

    description, classes = "counting", CLASSES

    def __init__(self, clock: Clock | None = None) -> None:
        self.calls: list[np.ndarray] = []
        self.clock = clock or Clock()

    def __call__(self, crops: np.ndarray) -> np.ndarray:
        self.calls.append(crops)
        self.clock.now += 2
        return np.eye(7, dtype=np.float32)[: len(crops)]


def test_faces_are_classified_in_one_call_and_in_order() -> None:
    classifier = CountingClassifier()
    predictions = Pipeline(FixedDetector(BOXES), classifier).process(FRAME)
    assert [p.face.box for p in predictions] == BOXES
    assert [p.emotion for p in predictions] == list(CLASSES[:3])
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


def test_stages_are_timed(clock: Clock) -> None:
    pipeline = Pipeline(FixedDetector(BOXES, clock), CountingClassifier(clock), Tracker())
    pipeline.process(FRAME)
    assert tuple(pipeline.stages) == STAGES
    assert pipeline.stages == dict.fromkeys(STAGES, 0.0) | {"detect": 1.0, "classify": 2.0}


def test_detections_and_model_times_are_counted() -> None:
    every_frame = Pipeline(FixedDetector(BOXES), CountingClassifier())
    every_frame.process(FRAME)
    assert (every_frame.frames, every_frame.detections, every_frame.record_timings()) == (1, 1, {})
    pipeline = open_pipeline(continuous=True)
    portrait, timings = read_picture(PORTRAIT), pipeline.record_timings()
    for index in range(3):
        (prediction,) = pipeline.process(Frame(portrait, index, index / 30))
    assert (pipeline.frames, pipeline.detections, prediction.face.track) == (3, 1, 1)
    assert set(timings) == {"mobilenet_v2_int8", "efficientnet_b0_int8", "se_mobilenet_v2_int8"}
    assert len(timings["mobilenet_v2_int8"]) == 2, "the third frame's scores are cached"


def test_frame_without_a_face(clock: Clock) -> None:
    classifier = CountingClassifier(clock)
    pipeline = Pipeline(FixedDetector(BOXES, clock), classifier, Tracker())
    pipeline.process(FRAME)
    pipeline.detector = FixedDetector([], clock)
    assert pipeline.process(FRAME) == []
    assert len(classifier.calls) == 1
    assert pipeline.stages["classify"] == pipeline.stages["crop"] == 0.0
    assert pipeline.stages["detect"] == 1


def test_an_empty_scene_costs_a_detection_a_second_unless_the_gate_is_off() -> None:
    empty = [Frame(np.full((240, 320, 3), 90, np.uint8), index, index / 30) for index in range(60)]
    for options, detections in (
        (PipelineOptions(), range(2, 6)),
        (PipelineOptions(motion_gate=False), range(60, 61)),
        (PipelineOptions(detect_every=1), range(60, 61)),
    ):
        pipeline = open_pipeline(options, model="mobilenet_v2", continuous=True)
        assert not any(pipeline.process(frame) for frame in empty) and pipeline.detections in detections
    single = open_pipeline(model="mobilenet_v2")
    assert not any(single.process(frame) for frame in empty[:5]) and single.detections == 5
