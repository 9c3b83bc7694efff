"""Corruptions that a camera and its surroundings add to a face, in the order in which they arise, for training.

Something covers the face; the crop is tilted and off centre; the lens is out of focus; the face moves; few pixels see
it; the sensor adds shot and read noise, in low light much of it; exposure and tone curve are wrong; the picture is
compressed; and the crop is enlarged to 48 px. What comes after the sampling acts on the pixels that the camera has: a
face of 16 px has noise and JPEG blocks of that size. Gray levels are taken as linear in light, as ImageNet-C takes
them (Hendrycks and Dietterich 2019, arXiv:1903.12261). Strengths are drawn anew for each face.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.preprocess import FACE_SIZE, shrink
from fer_edge.train.occlusions import occlude

Gray = NDArray[np.uint8]
Corruption = Callable[[Gray, np.random.Generator], Gray]

HOW_MANY = (0.5, 0.35, 0.15)
"""Probabilities that a corrupted face has one, two or three corruptions: all at once, hardly a face would be left."""

SIDES = (13, 40)
"""Sides of small faces, pixels: below the 16 of the smallest faces that the default detector finds, for a margin."""

COMPANIONS = 0.3
"""Probability of noise, and of compression, on a small face besides the corruptions drawn: it is seldom only small."""

SMALL_FACE_NOISE = 0.4
"""Factor of the noise on small faces, which have no pixels to average it away."""

TILT = 50.0
"""Largest tilt of a crop, degrees either way: of a face whose eyes were not found, or not where they are."""

DEFOCUS = (0.4, 2.2)
"""Standard deviation of the blur of a lens, pixels."""

MOTION = (2.0, 10.0)
"""Length of the path that a face moves along during the exposure, pixels."""

LIGHT = (0.02, 0.5)
"""Share of the light that is left in low light."""

QUALITY = (6, 60)
"""JPEG quality."""


def corrupt(face: Gray, rng: np.random.Generator) -> Gray:
    """Corrupt a face by one to three of the steps, in the camera's order.

    Args:
        face: (48, 48) uint8 gray.
        rng: Source of the random numbers.

    Returns:
        (48, 48) uint8 gray, as the device's crop would return it.
    """
    count = 1 + rng.choice(len(HOW_MANY), p=HOW_MANY)
    chosen = {STEPS[index][0] for index in rng.choice(len(STEPS), count, replace=False, p=_SHARES)}
    if downscale in chosen:
        chosen |= {step for step in (add_noise, compress) if rng.random() < COMPANIONS}
    for step, _ in STEPS:
        if step in chosen:
            face = step(face, rng)
    return shrink(face)


def misalign(face: Gray, rng: np.random.Generator) -> Gray:
    """A crop that is tilted, up to 1.22 times too near or too far, and off centre by 4 % (standard deviation)."""
    centre = (FACE_SIZE - 1) / 2
    matrix = cv2.getRotationMatrix2D((centre, centre), rng.uniform(-TILT, TILT), np.exp(rng.uniform(-0.2, 0.2)))
    matrix[:, 2] = matrix[:, 2] + rng.normal(0, 0.04, 2) * FACE_SIZE
    size = (FACE_SIZE, FACE_SIZE)
    return np.asarray(cv2.warpAffine(face, matrix, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def defocus(face: Gray, rng: np.random.Generator) -> Gray:
    """A lens out of focus: a Gaussian, or the disk of an open aperture."""
    deviation = rng.uniform(*DEFOCUS)
    if rng.random() < 0.6:
        return np.asarray(cv2.GaussianBlur(face, (0, 0), deviation, borderType=cv2.BORDER_REPLICATE), np.uint8)
    return _filtered(face, disk_kernel(deviation))


def disk_kernel(deviation: float) -> NDArray[np.float32]:
    """A disk, antialiased at its edge.

    Args:
        deviation: Its standard deviation along each axis, pixels: half the radius.

    Returns:
        (K, K) float32 with sum 1, K odd.
    """
    radius = 2 * deviation
    offsets = np.arange(-int(np.ceil(radius)), int(np.ceil(radius)) + 1)
    distance = np.hypot(*np.meshgrid(offsets, offsets))
    kernel = np.clip(radius + 0.5 - distance, 0, 1)
    return np.asarray(kernel / kernel.sum(), np.float32)


def motion_blur(face: Gray, rng: np.random.Generator) -> Gray:
    """Motion blur: a straight path of MOTION in any direction."""
    return _filtered(face, line_kernel(rng.uniform(*MOTION), rng.uniform(0, np.pi)))


def line_kernel(length: float, angle: float) -> NDArray[np.float32]:
    """A straight line about the centre, of points two to a pixel or closer, each shared among the pixels around it.

    Args:
        length: Length of the line, pixels.
        angle: Its direction, radians from the x axis.

    Returns:
        (K, K) float32 with sum 1, K odd.
    """
    half = int(np.ceil(length / 2))
    along = np.linspace(-length / 2, length / 2, 4 * half + 1)
    offsets = np.arange(-half, half + 1)
    # (points, K): the share of each point that a column or a row has
    columns, rows = (
        np.maximum(0, 1 - np.abs(position[:, None] - offsets))
        for position in (along * np.cos(angle), along * np.sin(angle))
    )
    kernel = rows.T @ columns
    return np.asarray(kernel / kernel.sum(), np.float32)


def _filtered(face: Gray, kernel: NDArray[np.float32]) -> Gray:
    return np.asarray(cv2.filter2D(face, -1, kernel, borderType=cv2.BORDER_REPLICATE), np.uint8)


def downscale(face: Gray, rng: np.random.Generator) -> Gray:
    """A face of few pixels, (S, S) with S in SIDES, evenly in its logarithm; each pixel averages its area."""
    return shrink(face, round(_log_uniform(SIDES, rng)))


def add_noise(face: Gray, rng: np.random.Generator) -> Gray:
    """Read noise of 2 to 40 gray levels everywhere, and often shot noise, whose variance grows with the light."""
    strength = 1.0 if len(face) == FACE_SIZE else SMALL_FACE_NOISE
    read, shot = strength * (2 + 38 * rng.random() ** 1.5), strength * rng.uniform(0, 25) * (rng.random() < 0.5)
    return noisy(face, read, shot, rng)


def noisy(face: Gray, read: float, shot: float, rng: np.random.Generator) -> Gray:
    """The face with noise of a sensor.

    Args:
        face: (S, S) uint8 gray.
        read: Standard deviation of the read noise, gray levels.
        shot: Standard deviation of the shot noise at gray level 128, gray levels; its variance is proportional to
            the gray level.
        rng: Source of the random numbers.

    Returns:
        (S, S) uint8.
    """
    deviation = np.sqrt(read**2 + shot**2 * face / np.float32(128))
    return _bytes(face + deviation * rng.standard_normal(face.shape, np.float32))


def low_light(face: Gray, rng: np.random.Generator) -> Gray:
    """Low light: a share LIGHT of the electrons, with their shot noise and the sensor's read noise, and a gain.

    With all the light a pixel would hold 3 to 30 electrons per gray level, a full well of 765 to 7,650 as of small
    sensors at a high ISO; read noise is 1 to 6 electrons. The gain restores the mean brightness wholly, in part, or not
    at all.
    """
    light = _log_uniform(LIGHT, rng)
    electrons = face * np.float32(light * rng.uniform(3, 30))
    read = rng.uniform(1, 6)
    # Poisson's distribution of so many electrons is close to the normal one
    sensed = electrons + np.sqrt(electrons + read**2) * rng.standard_normal(face.shape, np.float32)
    brightness = face.mean() * light ** rng.uniform(0, 1)
    return _bytes(sensed * (brightness / max(1.0, float(electrons.mean()))))


def expose(face: Gray, rng: np.random.Generator) -> Gray:
    """A wrong tone curve (gamma of 0.25 to 4), a wrong exposure (0.4 to 1.6), or haze with a shift of brightness."""
    kind = rng.choice(3)
    values = np.arange(256, dtype=np.float64)
    if kind == 0:
        curve = 255 * (values / 255) ** np.exp(rng.uniform(-1.4, 1.4))
    elif kind == 1:
        curve = values * np.exp(rng.uniform(-0.9, 0.5))
    else:
        contrast = rng.uniform(0.3, 1)
        curve = face.mean() + (values - face.mean()) * contrast + rng.uniform(-100, 100)
    return np.asarray(cv2.LUT(face, _bytes(curve)), np.uint8)


def compress(face: Gray, rng: np.random.Generator) -> Gray:
    """JPEG of a quality in QUALITY, evenly in its logarithm, the face anywhere in the codec's grid of 8x8 blocks."""
    top, left = (int(each) for each in rng.integers(0, 8, 2))
    padded = cv2.copyMakeBorder(face, top, 0, left, 0, cv2.BORDER_REPLICATE)
    _, encoded = cv2.imencode(".jpg", padded, [cv2.IMWRITE_JPEG_QUALITY, round(_log_uniform(QUALITY, rng))])
    decoded = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE), np.uint8)
    return decoded[top:, left:]


def _log_uniform(limits: tuple[float, float], rng: np.random.Generator) -> float:
    """A random number between the limits, evenly distributed in its logarithm."""
    return float(np.exp(rng.uniform(*np.log(limits))))


def _bytes(values: NDArray[np.floating]) -> Gray:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


STEPS: tuple[tuple[Corruption, float], ...] = (
    (occlude, 0.16),
    (misalign, 0.12),
    (defocus, 0.13),
    (motion_blur, 0.12),
    (downscale, 0.17),
    (add_noise, 0.12),
    (low_light, 0.05),
    (expose, 0.05),
    (compress, 0.08),
)
"""The steps in the camera's order, each with its probability as the only corruption."""

_SHARES = [share for _, share in STEPS]
