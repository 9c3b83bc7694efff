"""Eye positions: where the eyes of a detected face are, however far the head is tilted, and how sure that is.

YuNet's own key points stay level, whatever the tilt. BlazeFace follows tilted heads up to about 75 degrees;
beyond that it takes the mouth for eyes, with a lower score than for the same face turned upright.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.faces.blazeface import BlazeFace, open_blazeface
from fer_edge.edge.faces.boxes import iou_with_boxes
from fer_edge.edge.faces.crop import square_matrix, warp_square
from fer_edge.edge.preprocess import to_bgr
from fer_edge.edge.types import Acceleration, Frame, Point

CROP_SIZE = 64
"""Side of the crop in which the eyes are located, pixels; the network's cost grows with its square."""

CROP_SIDES = 2.0
"""Side of that crop in sides of the detector's box."""

SURE_SCORE = 0.8
"""Score, 0..1, from which no other tilt is tried. Upright faces have a median of 0.93, upside-down ones of 0.6."""

MIN_GAIN = 0.15
"""By how much the score of a quarter turn must be higher than that of the tilt which was detected."""

MAX_RESIDUAL_TILT = 45.0
"""Degrees; the eyes of a face that is tilted further in its crop are located once more, in a crop of that tilt."""

LEVEL_TILT, CLEAR_TILT = 8.0, 20.0
"""Degrees; up to the first the eyes are YuNet's, which are more precise there, from the second on BlazeFace's."""

LEVEL_SECONDS = 0.5
"""Time after which the eyes of a level face are located again in any case."""

SAME_PLACE_IOU = 0.6
"""Intersection over union, 0..1, from which a face is one that was level a moment ago."""

SAME_ASPECT = 1.08
"""Ratio of the aspect ratios of two boxes up to which it is still level: the upright box of a tilted head is wider."""


@dataclass(frozen=True)
class Alignment:
    """The eyes of a face.

    Attributes:
        eyes: (2, 2) float64 centres x, y in frame pixels, the one first that is on the left when the face is upright.
        tilt: The angle, degrees clockwise, by which they are tilted further than was detected.
        score: How sure it is that they are eyes, 0..1.
    """

    eyes: NDArray[np.float64]
    tilt: float
    score: float


@dataclass(frozen=True)
class LevelFace:
    """A face whose eyes were level when they were located.

    Attributes:
        box: (4,) where it was detected last, corners in frame pixels.
        score: How sure the eyes were, 0..1.
        time: When they were located, seconds.
    """

    box: NDArray[np.float32]
    score: float
    time: float


class Aligner:
    """Locates the eyes of detected faces; with `remember`, of an unmoved level face about once a second."""

    def __init__(self, network: BlazeFace, remember: bool = False) -> None:
        self._network, self._remember = network, remember
        self._level: list[LevelFace] = []

    def align(
        self, frame: Frame, detection: NDArray[np.float32], tilt: float = 0.0
    ) -> tuple[tuple[Point, Point], float]:
        """Locate the eyes of a face.

        Args:
            frame: The frame.
            detection: (15,) YuNet's detection in frame pixels, see yunet_decoding.py.
            tilt: The tilt at which it was detected, degrees clockwise; the other quarter turns are tried where it is
                not clearly right.

        Returns:
            The centres of the eyes in frame pixels, the one first that is on the left when the face is upright; and
            how sure it is that they are eyes, 0..1.
        """
        x0, y0, x1, y1 = detection[:4].tolist()
        centre = ((x0 + x1) / 2, (y0 + y1) / 2)
        side = CROP_SIDES * math.sqrt(max(1.0, (x1 - x0) * (y1 - y0)))
        level_score = self._level_score(frame.time, detection) if tilt == 0 else None
        if level_score is not None:
            return _as_points(detection[4:8].reshape(2, 2)), level_score
        best = self._locate(frame, centre, side, tilt)
        if best.score < SURE_SCORE:
            turned = [self._locate(frame, centre, side, tilt + turn, turn) for turn in (180.0, 90.0, -90.0)]
            other = max(turned, key=lambda each: each.score)
            best = other if other.score >= best.score + MIN_GAIN else best
        share = min(max((abs(best.tilt) - LEVEL_TILT) / (CLEAR_TILT - LEVEL_TILT), 0.0), 1.0)
        if self._remember and share == 0:
            self._level.append(LevelFace(detection[:4], best.score, frame.time))
        return _as_points(share * best.eyes + (1 - share) * detection[4:8].reshape(2, 2)), best.score

    def _level_score(self, time: float, detection: NDArray[np.float32]) -> float | None:
        """The score of a face that was level a moment ago and seems to be so still, else None."""
        self._level = [face for face in self._level if 0 <= time - face.time < LEVEL_SECONDS]
        if not self._level or abs(_tilt(detection[4:8].reshape(2, 2))) > LEVEL_TILT:
            return None
        overlaps = iou_with_boxes(detection[:4], np.stack([face.box for face in self._level]))
        index = int(np.argmax(overlaps))
        face = self._level[index]
        change = _aspect(face.box) / _aspect(detection)
        if overlaps[index] < SAME_PLACE_IOU or max(change, 1 / change) > SAME_ASPECT:
            return None
        self._level[index] = replace(face, box=detection[:4])
        return face.score

    def _locate(
        self, frame: Frame, centre: Point, side: float, tilt: float, further: float = 0.0, is_final: bool = False
    ) -> Alignment:
        """Locate the eyes in a crop that is tilted by `tilt`, which is `further` than was detected."""
        pixels = frame.at_width(math.ceil(frame.size[0] * min(1.0, 2 * CROP_SIZE / side)))
        scale = np.array([pixels.shape[1] / frame.size[0], pixels.shape[0] / frame.size[1]])
        x, y = (np.asarray(centre) * scale).tolist()
        side_here = side * float(scale[0])
        block = max(1, int(side_here / CROP_SIZE))
        crop = warp_square(pixels, (x, y), side_here, tilt, CROP_SIZE, block, to_bgr)
        detection = self._network.best(crop)
        points = detection[4:8].reshape(2, 2)
        residual = _tilt(points)
        score = float(detection[-1])
        if abs(residual) > MAX_RESIDUAL_TILT and not is_final:
            again = self._locate(frame, centre, side, tilt + residual, further + residual, is_final=True)
            if again.score >= score:
                return again
        matrix = square_matrix((x, y), side_here, tilt, CROP_SIZE)
        eyes = ((points - 0.5) @ matrix[:, :2].T + matrix[:, 2] + 0.5) / scale
        return Alignment(eyes, (further + residual + 180) % 360 - 180, score)


def open_aligner(threads: int = 1, acceleration: Acceleration | None = None, remember: bool = False) -> Aligner:
    """Open the aligner with its verified network; `remember` is for the frames of one scene. Raises ModelError."""
    return Aligner(open_blazeface(CROP_SIZE, threads, acceleration=acceleration), remember)


def _tilt(eyes: NDArray[Any]) -> float:
    """The angle of the line through (2, 2) eyes, degrees clockwise."""
    dx, dy = (eyes[1] - eyes[0]).tolist()
    return math.degrees(math.atan2(dy, dx))


def _aspect(box: NDArray[np.float32]) -> float:
    """Width of a box divided by its height."""
    width, height = (box[2:4] - box[:2]).tolist()
    return float(max(width, 1.0) / max(height, 1.0))


def _as_points(eyes: NDArray[Any]) -> tuple[Point, Point]:
    (left_x, left_y), (right_x, right_y) = eyes.tolist()
    return (left_x, left_y), (right_x, right_y)
