"""Pixels to network input; training and device both come through here, so they cannot drift apart."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

FACE_SIZE = 48
"""Side of a FER2013 picture, pixels."""

INPUT_SIZE = 96
"""Side of the networks' input, pixels."""

LEAST_CONTRAST = 36.0
"""Standard deviation, gray levels, to which a face with less is stretched.

Nine of ten of FER2013's faces have more. Chosen on PublicTest among 30, 36, 40 and 50: up to 36 pictures as they are
lose nothing, and it gives most back to dim ones and to those in fog (`fer-edge bench robustness`).
"""

LARGEST_GAIN = 12.0
"""No contrast is raised further: beyond, it is the camera's noise."""


def to_gray(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W) gray, (H, W, 3) BGR or (H, W, 4) BGRA uint8 to (H, W) gray uint8 (ITU-R BT.601 luma)."""
    if pixels.ndim == 2:
        return pixels
    code = cv2.COLOR_BGRA2GRAY if pixels.shape[2] == 4 else cv2.COLOR_BGR2GRAY
    return np.asarray(cv2.cvtColor(pixels, code), np.uint8)


def shrink(gray: NDArray[np.uint8], size: int = FACE_SIZE) -> NDArray[np.uint8]:
    """(H, W) gray to (size, size); area averaging downwards (no aliasing), bilinear upwards."""
    if gray.shape == (size, size):
        return gray
    down = min(gray.shape) >= size
    return np.asarray(
        cv2.resize(gray, (size, size), interpolation=cv2.INTER_AREA if down else cv2.INTER_LINEAR), np.uint8
    )


def reduced(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """(H, W) or (H, W, C) resized to (width, height), no pixel skipped: a small face of a large frame needs them.

    Halved as long as that leaves enough, and the rest interpolated: OpenCV averages squares of four pixels, and no
    others, about ten times faster than areas that end between pixels.
    """
    while all(side >= 2 * least and side % 2 == 0 for side, least in zip(pixels.shape[1::-1], size, strict=True)):
        half = pixels.shape[1] // 2, pixels.shape[0] // 2
        pixels = np.asarray(cv2.resize(pixels, half, interpolation=cv2.INTER_AREA), np.uint8)
    way = cv2.INTER_AREA if pixels.shape[1] >= 2 * size[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, size, interpolation=way), np.uint8)


def stretch_contrast(face: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A uint8 gray face of little contrast with LEAST_CONTRAST, its mean moved until that fits; others as they are."""
    mean, deviation = (float(value[0, 0]) for value in cv2.meanStdDev(face))
    if deviation >= LEAST_CONTRAST:
        return face
    gain = min(LARGEST_GAIN, LEAST_CONTRAST / max(deviation, 1e-6))
    middle = min(max(mean, 2 * LEAST_CONTRAST), 255 - 2 * LEAST_CONTRAST)
    table = np.clip(np.rint((np.arange(256) - mean) * gain + middle), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(face, table), np.uint8)


def upscale(face: NDArray[np.uint8], size: int = INPUT_SIZE) -> NDArray[np.uint8]:
    """(48, 48) uint8 face to (size, size) uint8, bilinear with half-pixel centres."""
    if face.shape == (size, size):
        return face
    return np.asarray(cv2.resize(face, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)


def prepare(face: NDArray[np.uint8], size: int = INPUT_SIZE) -> NDArray[np.uint8]:
    """(48, 48) uint8 face to what a network of that input size sees, (size, size) uint8."""
    return upscale(stretch_contrast(face), size)


def normalize(gray: NDArray[np.uint8], channels: int = 3) -> NDArray[np.float32]:
    """(…, H, W) uint8 to (…, H, W, channels) float32 in [-1, 1], the gray value in every channel."""
    scaled = gray.astype(np.float32) / np.float32(127.5) - np.float32(1)
    return np.repeat(scaled[..., None], channels, axis=-1)


def network_input(faces: NDArray[np.uint8], size: int = INPUT_SIZE, channels: int = 3) -> NDArray[np.float32]:
    """(N, 48, 48) uint8 faces to (N, size, size, channels) float32 in [-1, 1]."""
    return normalize(np.stack([prepare(face, size) for face in faces]), channels)
