"""The score cache: when a face is classified again, and how soon a change shows."""

from __future__ import annotations

import numpy as np
import pytest
from predictions import CLASSES

from fer_edge.edge.expression.score_cache import MAX_AGE, ScoreCache
from fer_edge.edge.expression.smoother import Smoother
from fer_edge.edge.faces.tracker import Tracker
from fer_edge.edge.pipeline import Pipeline, PipelineOptions
from fer_edge.edge.types import Box, Face, Frame

THRESHOLD = PipelineOptions().cache_threshold
RNG = np.random.default_rng(0)
FACE = np.clip(RNG.normal(120, 50, (6, 6)).repeat(8, axis=0).repeat(8, axis=1), 0, 255).astype(np.uint8)


class Counting:
    """Scores with the number of the call, in thousandths; records its crops."""

    description = "counting"

    def __init__(self) -> None:
        self.calls: list[np.ndarray] = []

    def __call__(self, crops: np.ndarray) -> np.ndarray:
        self.calls.append(crops)
        return np.full((len(crops), 7), len(self.calls) / 1000, np.float32)


def other(level: int = 0) -> np.ndarray:
    return np.clip(FACE.astype(int) + level, 0, 255).astype(np.uint8)


def noisy() -> np.ndarray:
    return np.clip(FACE + RNG.normal(0, 2, FACE.shape), 0, 255).astype(np.uint8)


def filled_cache(classifier: Counting, *faces: np.ndarray) -> ScoreCache:
    """A cache with confirmed scores of tracks 1, 2 …, at 0 s."""
    cache = ScoreCache(THRESHOLD)
    for _ in range(2):
        cache.scores(classifier, range(1, len(faces) + 1), np.stack(faces), 0.0)
    classifier.calls.clear()
    return cache


def test_an_unchanged_face_is_classified_once() -> None:
    """And once more, to confirm the scores."""
    cache, classifier = ScoreCache(THRESHOLD), Counting()
    scores = [cache.scores(classifier, [1], noisy()[None], index / 100) for index in range(15)]
    assert len(classifier.calls) == 2 and all(np.array_equal(each, scores[1]) for each in scores[1:])


def test_a_corner_of_the_mouth_is_enough() -> None:
    cache = filled_cache(classifier := Counting(), FACE)
    moved = FACE.copy()
    moved[36:42, 28:36] = 255 - moved[36:42, 28:36]
    cache.scores(classifier, [1], moved[None], 0.04)
    assert len(classifier.calls) == 1


def test_slow_changes_add_up() -> None:
    """No frame differs enough from the one before."""
    cache = filled_cache(classifier := Counting(), FACE)
    for index in range(15):
        cache.scores(classifier, [1], other(2 * index)[None], index / 100)
    assert 2 <= len(classifier.calls) < 10


@pytest.mark.parametrize("later", [MAX_AGE, 5.0, -1.0])
def test_old_scores_are_not_reused(later: float) -> None:
    cache = filled_cache(classifier := Counting(), FACE)
    cache.scores(classifier, [1], FACE[None], later)
    assert len(classifier.calls) == 1


def test_only_changed_faces_are_classified() -> None:
    cache = filled_cache(classifier := Counting(), FACE, other(40))
    scores = cache.scores(classifier, [3, 2, 1], np.stack([other(-40), other(40), noisy()]), 0.04)
    assert scores[:, 0].tolist() == pytest.approx([0.001, 0.002, 0.002])
    assert [len(call) for call in classifier.calls] == [1]
    cache.retain([2])
    cache.scores(classifier, [1, 2], np.stack([FACE, other(40)]), 0.08)
    assert [len(call) for call in classifier.calls] == [1, 1]


class Still:
    """One face that fills the frame."""

    description = "still"

    def detect(self, frame: Frame) -> list[Face]:
        return [Face(Box(40, 40, 160, 160), 0.9)]


class ByLight:
    """Scores emotion 3 for a light face, 5 for a dark one; counts the faces."""

    description, classes = "by light", CLASSES

    def __init__(self) -> None:
        self.faces = 0

    def __call__(self, crops: np.ndarray) -> np.ndarray:
        self.faces += len(crops)
        return np.eye(7, dtype=np.float32)[[3 if crop.mean() > 128 else 5 for crop in crops]]


@pytest.mark.parametrize("threshold", [0.0, 0.13])
def test_a_step_shows_as_soon_with_the_cache_as_without(threshold: float) -> None:
    """The frame of the change still has the old scores, the next one the new ones in full."""
    texture = RNG.integers(0, 100, (240, 240, 3), np.uint8)
    pipeline = Pipeline(Still(), classifier := ByLight(), Tracker(), Smoother(0.3), ScoreCache(threshold))
    emotions = [
        pipeline.process(Frame(texture + np.uint8(150 if index >= 20 else 0), index, index / 30))[0].scores.argmax()
        for index in range(24)
    ]
    assert emotions == [5] * 21 + [3] * 3
    assert classifier.faces == 24 if not threshold else classifier.faces <= 10


class Slipping(ByLight):
    """Makes one mistake."""

    def __call__(self, crops: np.ndarray) -> np.ndarray:
        scores = super().__call__(crops)
        return np.roll(scores, 1, axis=1) if self.faces == 5 else scores


def test_a_single_mistake_does_not_show() -> None:
    """Nor is it cached, which would look like two frames that agree."""
    texture = RNG.integers(0, 100, (240, 240, 3), np.uint8)
    pipeline = Pipeline(Still(), classifier := Slipping(), Tracker(), Smoother(0.3), ScoreCache(0.13))
    emotions = [pipeline.process(Frame(texture, index, index / 25))[0].scores.argmax() for index in range(40)]
    assert set(emotions) == {5} and classifier.faces > 5
