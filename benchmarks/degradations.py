"""What light, lens, codec and pose do to a face: nine degradations, each at five strengths, without chance.

After Hendrycks and Dietterich 2019 (arXiv:1903.12261), on 48-pixel gray faces. Where a degradation has two
directions (darker or lighter, left or right), they alternate from face to face.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Gray = NDArray[np.uint8]


@dataclass(frozen=True)
class Degradation:
    """change(face, strength, index): (48, 48) uint8 to the same; strengths rise, in the unit that is named."""

    unit: str
    strengths: tuple[float, float, float, float, float]
    change: Callable[[Gray, float, int], Gray]

    def __call__(self, faces: Gray, strength: float) -> Gray:
        """(N, 48, 48) uint8 to the same."""
        return np.stack([self.change(face, float(strength), index) for index, face in enumerate(faces)])


def _brightness(face: Gray, offset: float, index: int) -> Gray:
    return _bytes(face + _sign(index) * offset)


def _dim(face: Gray, lost: float, index: int) -> Gray:
    return _bytes(face * (1 - lost))


def _contrast(face: Gray, lost: float, index: int) -> Gray:
    mean = face.mean()
    return _bytes(mean + (face - mean) * (1 - lost))


def _gamma(face: Gray, factor: float, index: int) -> Gray:
    return _bytes(255 * (face / 255) ** (factor if index % 2 else 1 / factor))


def _noise(face: Gray, deviation: float, index: int) -> Gray:
    return _bytes(face + np.random.default_rng(index).normal(0, deviation, face.shape))


def _blur(face: Gray, deviation: float, index: int) -> Gray:
    return np.asarray(cv2.GaussianBlur(face, (0, 0), deviation, borderType=cv2.BORDER_REPLICATE), np.uint8)


def _jpeg(face: Gray, loss: float, index: int) -> Gray:
    _, encoded = cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, round(100 - loss)])
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE), np.uint8)


def _occlusion(face: Gray, share: float, index: int) -> Gray:
    """A black square of that share of the area, somewhere."""
    side = len(face)
    square = round(side * share**0.5)
    top, left = np.random.default_rng(index).integers(0, side - square + 1, 2)
    hidden = face.copy()
    hidden[top : top + square, left : left + square] = 0
    return hidden


def _rotation(face: Gray, degrees: float, index: int) -> Gray:
    side = len(face)
    centre = ((side - 1) / 2, (side - 1) / 2)
    matrix = cv2.getRotationMatrix2D(centre, _sign(index) * degrees, 1)
    return np.asarray(cv2.warpAffine(face, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _sign(index: int) -> int:
    return 1 if index % 2 else -1


def _bytes(values: NDArray[np.floating]) -> Gray:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


DEGRADATIONS = {
    "brightness": Degradation("gray levels", (20, 40, 60, 80, 100), _brightness),
    "dim": Degradation("share of the light lost", (0.5, 0.7, 0.8, 0.85, 0.9), _dim),
    "contrast": Degradation("share lost", (0.3, 0.5, 0.7, 0.8, 0.9), _contrast),
    "gamma": Degradation("exponent or its inverse", (1.5, 2.0, 2.5, 3.0, 4.0), _gamma),
    "noise": Degradation("standard deviation, gray levels", (5, 10, 20, 30, 40), _noise),
    "blur": Degradation("standard deviation, pixels", (0.5, 0.8, 1.2, 1.6, 2.0), _blur),
    "jpeg": Degradation("100 - quality", (40, 60, 75, 85, 92), _jpeg),
    "occlusion": Degradation("share of the area", (0.03, 0.06, 0.12, 0.2, 0.3), _occlusion),
    "rotation": Degradation("degrees", (10, 20, 30, 40, 50), _rotation),
}
