"""Corruptions that a camera and its surroundings add to a face, in the order in which they arise, for training.

Something covers the face; the crop is tilted and off centre; the face is small, out of focus or moving; the sensor adds
shot and read noise, more of it in low light; exposure and tone curve are off; the picture is compressed. Every step is
the physical one (blur and noise act on the pixels that the camera has, JPEG on its own 8x8 blocks, wherever the face
lies in them), so that combinations look as they do on a device. Strengths are drawn anew for each face.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.preprocess import FACE_SIZE

Gray = NDArray[np.uint8]
Corruption = Callable[[Gray, np.random.Generator], Gray]

HOW_MANY = (0.5, 0.35, 0.15)
"""Probabilities that a corrupted face has one, two or three corruptions: all at once, hardly a face would be left."""

SMALLEST_FACE, LARGEST_SMALL_FACE = 13, 40
"""Sides of small faces, pixels; the default detector finds none below 16."""


def corrupt(face: Gray, rng: np.random.Generator) -> Gray:
    """Corrupt a face by one to three of the steps, in the camera's order.

    Args:
        face: (48, 48) uint8 gray.
        rng: Source of the random numbers.

    Returns:
        (48, 48) uint8 gray, as the device's crop would return it.
    """
    chosen = rng.choice(len(STEPS), 1 + rng.choice(len(HOW_MANY), p=HOW_MANY), replace=False, p=_SHARES)
    for index in sorted(chosen):
        face = STEPS[index][0](face, rng)
    return face


def _occlude(face: Gray, rng: np.random.Generator) -> Gray:
    """A mask over mouth and nose, glasses over the eyes, a hand from a side, or a block anywhere."""
    occluded = face.copy()
    gray = int(rng.integers(0, 256)) if rng.random() < 0.6 else 0
    shape = rng.choice(4, p=(0.2, 0.15, 0.25, 0.4))
    (_mask, _glasses, _hand, _block)[shape](occluded, gray, rng)
    return occluded


def _mask(face: Gray, gray: int, rng: np.random.Generator) -> None:
    """A medical mask: from the middle of the nose to below the chin, narrower there."""
    top, inset = rng.uniform(0.5, 0.65) * FACE_SIZE, rng.uniform(0.05, 0.2) * FACE_SIZE
    left, right = inset, FACE_SIZE - inset
    corners = [(left, top), (FACE_SIZE / 2, top - rng.uniform(0, 5)), (right, top)]
    corners += [(right - 4, FACE_SIZE), (left + 4, FACE_SIZE)]
    cv2.fillPoly(face, [np.asarray(corners, np.int32)], gray)


def _glasses(face: Gray, gray: int, rng: np.random.Generator) -> None:
    """Sunglasses: two ellipses at the eyes, and the bridge."""
    height, half = rng.uniform(0.3, 0.42) * FACE_SIZE, rng.uniform(0.17, 0.24) * FACE_SIZE
    axes = (round(rng.uniform(0.11, 0.17) * FACE_SIZE), round(rng.uniform(0.07, 0.13) * FACE_SIZE))
    centres = [(round(FACE_SIZE / 2 + sign * half), round(height)) for sign in (-1, 1)]
    for centre in centres:
        cv2.ellipse(face, centre, axes, 0, 0, 360, gray, -1)
    cv2.line(face, *centres, gray, 2)


def _hand(face: Gray, gray: int, rng: np.random.Generator) -> None:
    """A hand, hair or a cup: an ellipse that reaches in from the border, as bright as skin or anything else."""
    angle = rng.uniform(0, 2 * np.pi)
    reach = rng.uniform(0.28, 0.5) * FACE_SIZE
    centre = FACE_SIZE / 2 + reach * np.array([np.cos(angle), np.sin(angle)])
    axes = [round(float(each)) for each in rng.uniform(0.12, 0.3, 2) * FACE_SIZE]
    tone = int(face.mean()) if rng.random() < 0.5 else gray
    cv2.ellipse(face, [round(float(each)) for each in centre], axes, np.rad2deg(angle), 0, 360, tone, -1)


def _block(face: Gray, gray: int, rng: np.random.Generator) -> None:
    """A rectangle of 3 to 30 % of the area."""
    area, aspect = rng.uniform(0.03, 0.3) * FACE_SIZE**2, np.exp(rng.uniform(-0.5, 0.5))
    height, width = (min(FACE_SIZE, round(float(side))) for side in (np.sqrt(area * aspect), np.sqrt(area / aspect)))
    top, left = rng.integers(0, FACE_SIZE - height + 1), rng.integers(0, FACE_SIZE - width + 1)
    face[top : top + height, left : left + width] = gray


def _crop(face: Gray, rng: np.random.Generator) -> Gray:
    """A crop that is tilted, off centre, too near or too far."""
    centre = (FACE_SIZE - 1) / 2
    angle = rng.uniform(-50, 50)
    matrix = cv2.getRotationMatrix2D((centre, centre), angle, np.exp(rng.uniform(-0.2, 0.2)))
    matrix[:, 2] += rng.normal(0, 0.04, 2) * FACE_SIZE
    size = (FACE_SIZE, FACE_SIZE)
    return np.asarray(cv2.warpAffine(face, matrix, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _defocus(face: Gray, rng: np.random.Generator) -> Gray:
    """A lens out of focus: a Gaussian or a disk."""
    deviation = rng.uniform(0.4, 2.2)
    if rng.random() < 0.6:
        return np.asarray(cv2.GaussianBlur(face, (0, 0), deviation, borderType=cv2.BORDER_REPLICATE), np.uint8)
    radius = 2 * deviation  # a disk's standard deviation is half its radius
    offsets = np.arange(-int(np.ceil(radius)), int(np.ceil(radius)) + 1)
    distance = np.hypot(*np.meshgrid(offsets, offsets))
    return _filtered(face, np.clip(radius + 0.5 - distance, 0, 1))


def _move(face: Gray, rng: np.random.Generator) -> Gray:
    """Motion during the exposure: a line of 2 to 10 pixels in any direction."""
    length, angle = rng.uniform(2, 10), rng.uniform(0, np.pi)
    half = int(np.ceil(length / 2))
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    for along in np.linspace(-length / 2, length / 2, 4 * half + 1):
        x, y = half + along * np.cos(angle), half + along * np.sin(angle)
        column, row = int(np.floor(x)), int(np.floor(y))
        for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
            if 0 <= column + dx <= 2 * half and 0 <= row + dy <= 2 * half:
                kernel[row + dy, column + dx] += (1 - abs(x - column - dx)) * (1 - abs(y - row - dy))
    return _filtered(face, kernel)


def _filtered(face: Gray, kernel: NDArray[np.floating]) -> Gray:
    kernel = np.asarray(kernel / kernel.sum(), np.float32)
    return np.asarray(cv2.filter2D(face, -1, kernel, borderType=cv2.BORDER_REPLICATE), np.uint8)


def _small(face: Gray, rng: np.random.Generator) -> Gray:
    """A face of few pixels: averaged over areas, as a far camera does, and enlarged bilinearly, as the crop does."""
    side = round(float(np.exp(rng.uniform(np.log(SMALLEST_FACE), np.log(LARGEST_SMALL_FACE)))))
    small = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
    if rng.random() < 0.3:  # it was sensed or compressed at this size
        small = _noise(np.asarray(small, np.uint8), rng, 0.4)
    if rng.random() < 0.3:
        small = _compress(np.asarray(small, np.uint8), rng)
    return np.asarray(cv2.resize(small, (FACE_SIZE, FACE_SIZE), interpolation=cv2.INTER_LINEAR), np.uint8)


def _noise(face: Gray, rng: np.random.Generator, strength: float = 1.0) -> Gray:
    """Read noise, the same everywhere, and shot noise, whose variance grows with the light."""
    read, shot = strength * (2 + 38 * rng.random() ** 1.5), strength * rng.uniform(0, 25) * (rng.random() < 0.5)
    deviation = np.sqrt(read**2 + shot**2 * face / np.float32(128))
    return _bytes(face + deviation * rng.standard_normal(face.shape, np.float32))


def _low_light(face: Gray, rng: np.random.Generator) -> Gray:
    """A fiftieth to a half of the light, of which the camera's gain restores a part: few electrons, coarse steps."""
    light = np.exp(rng.uniform(np.log(0.02), np.log(0.5)))
    electrons = face * np.float32(light * rng.uniform(3, 30))  # a full well of 765 to 7,650
    read = rng.uniform(1, 6)
    sensed = electrons + np.sqrt(electrons + read**2) * rng.standard_normal(face.shape, np.float32)
    level = face.mean() * light ** rng.uniform(0, 1)
    return _bytes(sensed * (level / max(1.0, float(electrons.mean()))))


def _expose(face: Gray, rng: np.random.Generator) -> Gray:
    """Wrong exposure, gamma, haze or brightness."""
    kind = rng.choice(3)
    values = np.arange(256, dtype=np.float64)
    if kind == 0:
        curve = 255 * (values / 255) ** np.exp(rng.uniform(-1.4, 1.4))
    elif kind == 1:
        curve = values * np.exp(rng.uniform(-0.9, 0.5))
    else:
        share = rng.uniform(0.3, 1)
        curve = face.mean() + (values - face.mean()) * share + rng.uniform(-100, 100)
    return np.asarray(cv2.LUT(face, _bytes(curve)), np.uint8)


def _compress(face: Gray, rng: np.random.Generator) -> Gray:
    """JPEG of quality 6 to 60, the face anywhere in the codec's grid of blocks."""
    top, left = (int(each) for each in rng.integers(0, 8, 2))
    padded = cv2.copyMakeBorder(face, top, 0, left, 0, cv2.BORDER_REPLICATE)
    quality = round(float(np.exp(rng.uniform(np.log(6), np.log(60)))))
    _, encoded = cv2.imencode(".jpg", padded, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE)[top:, left:], np.uint8)


def _bytes(values: NDArray[np.floating]) -> Gray:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


STEPS: tuple[tuple[Corruption, float], ...] = (
    (_occlude, 0.16),
    (_crop, 0.12),
    (_small, 0.17),
    (_defocus, 0.13),
    (_move, 0.12),
    (_noise, 0.12),
    (_low_light, 0.05),
    (_expose, 0.05),
    (_compress, 0.08),
)
"""The steps in the camera's order, each with its share of the corruptions."""

_SHARES = [share for _, share in STEPS]
