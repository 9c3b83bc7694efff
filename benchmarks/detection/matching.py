"""Detected faces and true ones: which belong together, how exact they are, and what the others are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmarks.detection.plan import FACE_WIDTH
from fer_edge.edge.faces.crop import place_crop
from fer_edge.edge.types import Face
from fer_edge.train.data.scenes import PastedFace, Point

MAX_OFFSET = 0.4
"""Distance of the box's centre from the face's, in sides of its square, up to which a box is of that face."""

SIDES = (0.45, 1.6)
"""Least and largest box side, in those of the square, of a box of that face: detectors draw their boxes differently."""


@dataclass(frozen=True)
class Matches:
    """The faces of a scene after detection.

    Attributes:
        found: By the index of a true face, the detected one.
        false: The other detected faces.
    """

    found: dict[int, Face]
    false: list[Face]


def match(detected: Sequence[Face], true: Sequence[PastedFace]) -> Matches:
    """Match detected faces with true ones, one to one, the best scores first.

    Dropping the detections below a threshold thus changes none of the other matches.

    Args:
        detected: The detector's faces.
        true: The scene's faces.
    """
    found: dict[int, Face] = {}
    false = []
    for face in sorted(detected, key=lambda face: -face.score):
        fitting = [(_offset(face, each), index) for index, each in enumerate(true) if index not in found]
        fitting = [(offset, index) for offset, index in fitting if offset <= MAX_OFFSET and _fits(face, true[index])]
        if fitting:
            found[min(fitting)[1]] = face
        else:
            false.append(face)
    return Matches(found, false)


def false_kind(face: Face, true: Sequence[PastedFace]) -> str:
    """What a false face is: "in a face" (or twice the same), "between faces", or "background"."""
    if any(_offset(face, each) <= 0.5 for each in true):
        return "in a face"
    box = face.box
    reached = [
        each
        for each in true
        if abs(each.centre[0] - box.x - box.width / 2) < (each.side + box.width) / 2
        and abs(each.centre[1] - box.y - box.height / 2) < (each.side + box.height) / 2
    ]
    return "between faces" if len(reached) > 1 else "background"


def crop_iou(face: Face, true: PastedFace) -> float:
    """Intersection over union, 0..1, of the crop that the models see and the face's true square, tilt included."""
    centre, side, tilt = place_crop(face)
    crop, square = _corners(centre, side, tilt), _corners(true.centre, true.side, true.tilt)
    intersection = float(cv2.intersectConvexConvex(crop, square)[0])
    return intersection / (side**2 + true.side**2 - intersection)


def tilt_error(face: Face, true: PastedFace) -> float:
    """Difference of the crop's tilt from the true one, 0..180 degrees."""
    return abs((place_crop(face)[2] - true.tilt + 180) % 360 - 180)


def eye_error(face: Face, true: PastedFace) -> float | None:
    """Mean distance of the eyes from the true ones in face widths, in the better order; None where unknown."""
    if face.eyes is None or true.eyes is None:
        return None
    (a, b), (c, d) = face.eyes, true.eyes
    return min(math.dist(a, c) + math.dist(b, d), math.dist(a, d) + math.dist(b, c)) / 2 / (FACE_WIDTH * true.side)


def _offset(face: Face, true: PastedFace) -> float:
    """Distance of the centres in sides of the true square."""
    box = face.box
    return math.dist((box.x + box.width / 2, box.y + box.height / 2), true.centre) / true.side


def _fits(face: Face, true: PastedFace) -> bool:
    return SIDES[0] <= math.sqrt(face.box.width * face.box.height) / true.side <= SIDES[1]


def _corners(centre: Point, side: float, tilt: float) -> NDArray[np.float32]:
    return np.asarray(cv2.boxPoints((centre, (side, side), tilt)), np.float32)
