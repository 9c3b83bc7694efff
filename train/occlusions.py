"""Things that cover a part of a face: a mask, sunglasses, a hand, or a block anywhere; for training.

All are drawn in place, in one gray, on (48, 48) uint8 faces.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.preprocess import FACE_SIZE

Gray = NDArray[np.uint8]

BLACK = 0.4
"""Probability that what covers the face is black, as the border of a picture is; else it has any gray."""

KINDS = (0.2, 0.15, 0.25, 0.4)
"""Probabilities of mask, sunglasses, hand and block."""

BLOCK_AREA = (0.03, 0.3)
"""Area of a block, as a share of the face's."""


def occlude(face: Gray, rng: np.random.Generator) -> Gray:
    """A copy of the face, a part of which is covered.

    Args:
        face: (48, 48) uint8 gray.
        rng: Source of the random numbers.

    Returns:
        (48, 48) uint8 gray.
    """
    occluded = face.copy()
    gray = 0 if rng.random() < BLACK else int(rng.integers(0, 256))
    (_mask, _sunglasses, _hand, block)[rng.choice(len(KINDS), p=KINDS)](occluded, gray, rng)
    return occluded


def block(face: Gray, gray: int, rng: np.random.Generator) -> None:
    """A rectangle of BLOCK_AREA, one side up to 1.65 times the other, anywhere in the face."""
    area, aspect = rng.uniform(*BLOCK_AREA) * FACE_SIZE**2, np.exp(rng.uniform(-0.5, 0.5))
    height, width = (round(float(side)) for side in (np.sqrt(area * aspect), np.sqrt(area / aspect)))
    top, left = rng.integers(0, FACE_SIZE - height + 1), rng.integers(0, FACE_SIZE - width + 1)
    face[top : top + height, left : left + width] = gray


def _mask(face: Gray, gray: int, rng: np.random.Generator) -> None:
    """A medical mask: from the middle of the nose to below the chin, where it is 4 px narrower on each side."""
    top, inset = rng.uniform(0.5, 0.65) * FACE_SIZE, rng.uniform(0.05, 0.2) * FACE_SIZE
    left, right = inset, FACE_SIZE - inset
    corners = [(left, top), (FACE_SIZE / 2, top - rng.uniform(0, 5)), (right, top)]
    corners += [(right - 4, FACE_SIZE), (left + 4, FACE_SIZE)]
    cv2.fillPoly(face, [np.asarray(corners, np.int32)], gray)


def _sunglasses(face: Gray, gray: int, rng: np.random.Generator) -> None:
    """Two ellipses at the height of the eyes, and a bridge."""
    height, half = rng.uniform(0.3, 0.42) * FACE_SIZE, rng.uniform(0.17, 0.24) * FACE_SIZE
    axes = (round(rng.uniform(0.11, 0.17) * FACE_SIZE), round(rng.uniform(0.07, 0.13) * FACE_SIZE))
    centres = [(round(FACE_SIZE / 2 + sign * half), round(height)) for sign in (-1, 1)]
    for centre in centres:
        cv2.ellipse(face, centre, axes, 0, 0, 360, gray, -1)
    cv2.line(face, centres[0], centres[1], gray, 2)


def _hand(face: Gray, gray: int, rng: np.random.Generator) -> None:
    """A hand, hair or a cup: an ellipse that reaches in from the border; half of them as bright as the face."""
    angle = rng.uniform(0, 2 * np.pi)
    reach = rng.uniform(0.28, 0.5) * FACE_SIZE
    centre = FACE_SIZE / 2 + reach * np.array([np.cos(angle), np.sin(angle)])
    axes = [round(float(each)) for each in rng.uniform(0.12, 0.3, 2) * FACE_SIZE]
    tone = int(face.mean()) if rng.random() < 0.5 else gray
    cv2.ellipse(face, [round(float(each)) for each in centre], axes, np.rad2deg(angle), 0, 360, tone, -1)
