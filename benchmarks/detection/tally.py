"""What is counted of a detector in the scenes: faces found, their crops and their expressions, false faces."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmarks.detection.matching import Matches, crop_iou, eye_error, false_kind, tilt_error
from fer_edge.benchmarks.detection.plan import Case
from fer_edge.edge.types import Face, Prediction
from fer_edge.train.data.scenes import PastedFace, Scene

CONFIDENT = 0.8
"""Probability of the best class from which one that differs from the picture's counts as a confident change."""

FALSE_KINDS = ("in a face", "between faces", "background")


@dataclass
class Expressions:
    """The expressions that one model named, of the faces found in the scenes of one case.

    Attributes:
        correct: Faces whose label it named.
        agreed: Faces with the class that it gives the FER2013 picture itself, or the portrait's label.
        confident_changes: Faces with another class and a probability of CONFIDENT or more.
    """

    correct: int = 0
    agreed: int = 0
    confident_changes: int = 0


@dataclass
class Cell:
    """The faces of one case.

    Attributes:
        faces: Number of true faces.
        found: Number of those that were detected.
        ious: Intersection over union of each crop and the true square.
        tilt_errors: Degrees between each crop's tilt and the true one.
        eye_errors: Mean distance of the eyes from the true ones, in face widths, where they are known.
        models: By model, what it named.
    """

    faces: int = 0
    found: int = 0
    ious: list[float] = field(default_factory=list)
    tilt_errors: list[float] = field(default_factory=list)
    eye_errors: list[float] = field(default_factory=list)
    models: defaultdict[str, Expressions] = field(default_factory=lambda: defaultdict(Expressions))


class Tally:
    """Counts for one detector, or for crops that need none.

    Attributes:
        cells: By case, its faces.
        false: By group, scenes and false faces of each kind.
        outcomes: By model, a character for each upright face in order: 1 its label was named, 0 another, - not found.
    """

    def __init__(self) -> None:
        self.cells: defaultdict[Case, Cell] = defaultdict(Cell)
        self.false: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.outcomes: defaultdict[str, list[str]] = defaultdict(list)

    def add_detections(self, case: Case, scene: Scene, matches: Matches) -> None:
        """Count a scene's found and false faces.

        Args:
            case: The scene's case.
            scene: The scene.
            matches: Its faces after detection.
        """
        cell = self.cells[case]
        cell.faces += len(scene.faces)
        cell.found += len(matches.found)
        for index, face in matches.found.items():
            true = scene.faces[index]
            cell.ious.append(crop_iou(face, true))
            cell.tilt_errors.append(tilt_error(face, true))
            if (error := eye_error(face, true)) is not None:
                cell.eye_errors.append(error)
        self.false[case.group]["scenes"] += 1
        self.false[case.group].update(false_kind(face, scene.faces) for face in matches.false)

    def add_expressions(
        self,
        case: Case,
        model: str,
        faces: Iterable[PastedFace],
        scores: Mapping[int, NDArray[np.floating]],
        direct: Mapping[int, int],
    ) -> None:
        """Count what a model named in a scene.

        Args:
            case: The scene's case.
            model: The model's name.
            faces: The scene's true faces.
            scores: By the index of a found face, its (7,) probabilities.
            direct: By the number of a FER2013 picture, the class that the model gives the picture itself.
        """
        counted = self.cells[case].models[model]
        for index, true in enumerate(faces):
            outcome = "-"
            if index in scores:
                named = int(np.argmax(scores[index]))
                correct = named == true.label
                counted.correct += correct
                agreed = named == direct.get(true.number, true.label)
                counted.agreed += agreed
                counted.confident_changes += not agreed and bool(scores[index][named] >= CONFIDENT)
                outcome = str(int(correct))
            if case.group == "size":
                self.outcomes[model].append(outcome)

    def as_row(self) -> dict[str, Any]:
        """The counts for JSON."""
        return {
            "cells": [_cell_row(case, cell) for case, cell in self.cells.items()],
            "false": {
                group: {name: counts[name] for name in ("scenes", *FALSE_KINDS)} for group, counts in self.false.items()
            },
            "outcomes": {model: "".join(characters) for model, characters in self.outcomes.items()},
        }


def scores_of(matches: Matches, predictions: Iterable[Prediction]) -> dict[int, NDArray[np.floating]]:
    """By the index of a found face, the scores that the pipeline gave it."""
    by_face: dict[Face, NDArray[np.floating]] = {each.face: each.scores for each in predictions}
    return {index: by_face[face] for index, face in matches.found.items()}


def _cell_row(case: Case, cell: Cell) -> dict[str, Any]:
    row: dict[str, Any] = {**asdict(case), "faces": cell.faces, "found": cell.found}
    for name, values in (("iou", cell.ious), ("tilt_error", cell.tilt_errors), ("eye_error", cell.eye_errors)):
        if values:
            row[name] = {
                "mean": round(float(np.mean(values)), 4),
                "p50": round(float(np.median(values)), 4),
                "p90": round(float(np.percentile(values, 90)), 4),
                "count": len(values),
            }
    return row | {"models": {model: asdict(counted) for model, counted in cell.models.items()}}
