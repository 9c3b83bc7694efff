"""Detectors on scenes, on pictures without a face and against the clock: the rows of a detection result."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmarks.detection.contenders import Contender
from fer_edge.benchmarks.detection.curve import Curve, false_faces, on_curve
from fer_edge.benchmarks.detection.matching import match
from fer_edge.benchmarks.detection.plan import VARIED, Plan
from fer_edge.benchmarks.detection.tally import Tally, scores_of
from fer_edge.benchmarks.fixtures.negatives import WINDOWS, drawn, windows
from fer_edge.benchmarks.results_io.detection_figures import LARGE
from fer_edge.edge.expression.ensemble import Ensemble
from fer_edge.edge.pipeline import Pipeline
from fer_edge.edge.terminal import track
from fer_edge.edge.types import Face, Frame
from fer_edge.train.data.scenes import Patch, background, compose, true_crop
from fer_edge.train.data.splits import Split


class _Known:
    """A detector that knows the faces of the next frame, so that several models share one detection."""

    description = "known faces"

    def __init__(self) -> None:
        self.faces: list[Face] = []

    def detect(self, frame: Frame) -> list[Face]:
        return self.faces


def measure_scenes(
    contenders: list[Contender], classifiers: dict[str, Ensemble], plan: Plan, split: Split
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Measure detectors on the same scenes.

    Args:
        contenders: The detectors.
        classifiers: Expression models by name.
        plan: The scenes.
        split: The FER2013 pictures in them.

    Returns:
        A row per detector, whose "curve" is not yet finished, and the same counts without a detector: for the pictures
        themselves and for crops at the faces' true places.
    """
    tallies, curves = [Tally() for _ in contenders], [Curve() for _ in contenders]
    known = _Known()
    pipelines = {model: Pipeline(known, classifier) for model, classifier in classifiers.items()}
    true_place = Tally()
    direct: dict[str, dict[int, int]] = {model: {} for model in classifiers}
    pictures = Tally()
    for case, scene in track(plan, "scenes", len(plan)):
        numbers = [face.number for face in scene.faces if face.number >= 0]
        crops = np.stack([true_crop(scene, face) for face in scene.faces])
        measured = classifiers if case.group != "crowd" and (case.size == VARIED or case.size >= LARGE) else {}
        for model, classifier in measured.items():
            scores = {number: classifier(split.faces[number : number + 1])[0] for number in numbers}
            direct[model].update({number: int(np.argmax(each)) for number, each in scores.items()})
            by_index = {index: scores[face.number] for index, face in enumerate(scene.faces) if face.number in scores}
            pictures.add_expressions(case, model, scene.faces, by_index, direct[model])
            true_place.add_expressions(case, model, scene.faces, dict(enumerate(classifier(crops))), direct[model])
        for contender, tally, curve in zip(contenders, tallies, curves, strict=True):
            frame = Frame(scene.pixels)
            known.faces = contender.detect(frame)
            matches = match(known.faces, scene.faces)
            tally.add_detections(case, scene, matches)
            for model in measured:
                scores = scores_of(matches, pipelines[model].process(frame))
                tally.add_expressions(case, model, scene.faces, scores, direct[model])
            if contender.sensitive and on_curve(case):
                curve.add_scene(case, scene, contender.sensitive.detect(frame))
    rows = [
        {"detector": contender.name, **tally.as_row(), "curve": curve}
        for contender, tally, curve in zip(contenders, tallies, curves, strict=True)
    ]
    return rows, {"picture": pictures.as_row(), "true place": true_place.as_row()}


def add_negatives(
    contenders: list[Contender], pictures: dict[str, NDArray[np.uint8]], rows: list[dict[str, Any]]
) -> None:
    """Add each detector's false faces on pictures without a face, and finish its curve.

    Args:
        contenders: The detectors.
        pictures: Photographs without a face by name, (H, W, 3) uint8 BGR; drawn pictures are added to them.
        rows: The detectors' rows, which are changed.
    """
    for contender, row in zip(contenders, rows, strict=True):
        row["negatives"] = false_faces(contender, _negatives(pictures))
        curve = row["curve"]
        if contender.sensitive:
            for kind, _, pixels in _negatives(pictures):
                curve.add_negative(kind, contender.sensitive.detect(Frame(pixels)))
        row["curve"] = curve.as_rows() if contender.sensitive else []


def _negatives(pictures: dict[str, NDArray[np.uint8]]) -> Iterator[tuple[str, str, NDArray[np.uint8]]]:
    """Kind, name and pixels of every image without a face."""
    for name, pixels in (pictures | drawn()).items():
        yield "pictures", name, pixels
    for seed, (name, pixels) in enumerate(pictures.items()):
        for window in windows(pixels, WINDOWS, np.random.default_rng(seed)):
            yield "windows", name, window


def timed_frames(portrait: Patch) -> list[NDArray[np.uint8]]:
    """A frame of each common size with one face."""
    frames = []
    for width, height in ((640, 480), (1280, 720)):
        rng = np.random.default_rng(0)
        empty = background(width, height, [], rng)
        frames.append(compose(empty.pixels, [portrait], [((width / 2, height / 2), height / 4, 0.0)], rng).pixels)
    return frames
