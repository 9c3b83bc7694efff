"""Pixels to model input, for training and for the device, so that the two cannot drift apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

FACE_SIZE = 48
"""Side of a FER2013 picture and of a face crop, pixels."""

INPUT_SIZE = 96
"""Side of the models' input, pixels."""

MIN_CONTRAST = 36.0
"""Standard deviation, gray levels, to which a face with less contrast is stretched.

Nine of ten of FER2013's faces have more. Chosen on PublicTest among 30, 36, 40 and 50: up to 36 unaltered pictures lose
no accuracy, and dim or foggy ones regain the most (`fer-edge bench robustness`).
"""

MAX_GAIN = 12.0
"""Largest factor by which contrast is stretched: beyond it, the camera's noise would show."""


def to_gray(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Convert a picture to gray (ITU-R BT.601 luma).

    Args:
        pixels: (H, W) gray, (H, W, 3) BGR or (H, W, 4) BGRA uint8.

    Returns:
        (H, W) uint8.
    """
    if pixels.ndim == 2:
        return pixels
    code = cv2.COLOR_BGRA2GRAY if pixels.shape[2] == 4 else cv2.COLOR_BGR2GRAY
    return np.asarray(cv2.cvtColor(pixels, code), np.uint8)


def to_bgr(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Convert (H, W) gray to (H, W, 3) BGR; (H, W, 3) BGR stays."""
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR), np.uint8) if pixels.ndim == 2 else pixels


def shrink(pixels: NDArray[np.uint8], size: int = FACE_SIZE) -> NDArray[np.uint8]:
    """Resize a picture to a square: by area averaging if smaller, which prevents aliasing, else bilinearly.

    Args:
        pixels: (H, W) gray or (H, W, 3) BGR uint8.
        size: Side of the result, pixels.

    Returns:
        (size, size) or (size, size, 3) uint8.
    """
    if pixels.shape[:2] == (size, size):
        return pixels
    interpolation = cv2.INTER_AREA if min(pixels.shape[:2]) >= size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (size, size), interpolation=interpolation), np.uint8)


def downscale(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize a picture without skipping pixels, which a small face in a large frame needs.

    The picture is halved while it is at least twice as large, and then interpolated: OpenCV averages blocks of 2x2
    pixels, and no others, about ten times faster than areas that end between pixels.

    Args:
        pixels: (H, W) or (H, W, C) uint8.
        size: Width and height of the result, pixels.

    Returns:
        (height, width) or (height, width, C) uint8.
    """
    while all(side >= 2 * goal and side % 2 == 0 for side, goal in zip(pixels.shape[1::-1], size, strict=True)):
        half = pixels.shape[1] // 2, pixels.shape[0] // 2
        pixels = np.asarray(cv2.resize(pixels, half, interpolation=cv2.INTER_AREA), np.uint8)
    interpolation = cv2.INTER_AREA if pixels.shape[1] >= 2 * size[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, size, interpolation=interpolation), np.uint8)


def stretch_contrast(face: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Stretch the contrast of a face with less than MIN_CONTRAST, and shift its mean so that nothing is clipped.

    Args:
        face: (H, W) uint8 gray.

    Returns:
        (H, W) uint8; the face itself where its contrast is enough.
    """
    mean, deviation = (float(value[0, 0]) for value in cv2.meanStdDev(face))
    if deviation >= MIN_CONTRAST:
        return face
    gain = min(MAX_GAIN, MIN_CONTRAST / max(deviation, 1e-6))
    new_mean = min(max(mean, 2 * MIN_CONTRAST), 255 - 2 * MIN_CONTRAST)
    new_values = np.clip(np.rint((np.arange(256) - mean) * gain + new_mean), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(face, new_values), np.uint8)


def upscale(face: NDArray[np.uint8], size: int = INPUT_SIZE) -> NDArray[np.uint8]:
    """Resize a (48, 48) uint8 face to (size, size) uint8, bilinearly with half-pixel centres."""
    if face.shape == (size, size):
        return face
    return np.asarray(cv2.resize(face, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)


def prepare(face: NDArray[np.uint8], size: int = INPUT_SIZE) -> NDArray[np.uint8]:
    """Convert a (48, 48) uint8 face to a model's input before normalization, (size, size) uint8."""
    return upscale(stretch_contrast(face), size)


def normalize(gray: NDArray[np.uint8], channels: int = 3) -> NDArray[np.float32]:
    """Scale (…, H, W) uint8 gray to (…, H, W, channels) float32 in [-1, 1], the gray value in every channel."""
    scaled = gray.astype(np.float32) / np.float32(127.5) - np.float32(1)
    return np.repeat(scaled[..., None], channels, axis=-1)


def network_input(faces: NDArray[np.uint8], size: int = INPUT_SIZE, channels: int = 3) -> NDArray[np.float32]:
    """Convert faces to a float model's input.

    Args:
        faces: (N, 48, 48) uint8 gray.
        size: Side of the model's input, pixels.
        channels: Channels of the model's input; the gray value is repeated in each.

    Returns:
        (N, size, size, channels) float32 in [-1, 1].
    """
    return normalize(np.stack([prepare(face, size) for face in faces]), channels)


Colour = Literal["gray", "rgb", "bgr"]


@dataclass(frozen=True)
class CropFormat:
    """The crop of a face that a network takes which was not trained by `train`.

    Attributes:
        width: Width of the network's input, pixels.
        height: Its height; the crop is square in the frame, and is stretched where the two differ.
        colour: "gray", or the order of the three colours.
        margin: Side of the crop in sides of the detector's box.
    """

    width: int
    height: int
    colour: Colour
    margin: float


def as_format(pixels: NDArray[np.uint8], form: CropFormat) -> NDArray[np.uint8]:
    """Resize a picture that shows a face alone, and convert its colours; its contrast stays.

    Args:
        pixels: (H, W, 3) BGR or (H, W) gray uint8.
        form: The crop that a network takes; its margin is of no use here.

    Returns:
        (height, width) or (height, width, 3) uint8.
    """
    if form.colour == "gray":
        pixels = to_gray(pixels)
    size = form.width, form.height
    if pixels.shape[1::-1] != size:
        shrinks = pixels.shape[1] >= form.width and pixels.shape[0] >= form.height
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=interpolation), np.uint8)
    if form.colour == "gray":
        return pixels
    return to_bgr(pixels) if form.colour == "bgr" else np.asarray(cv2.cvtColor(to_bgr(pixels), cv2.COLOR_BGR2RGB))


class FaceCrops:
    """The crops of N faces: gray ones of 48 px, and others that are cut out when a network takes them.

    Attributes:
        gray: (N, 48, 48) uint8.
    """

    def __init__(
        self, gray: NDArray[np.uint8], crop: Callable[[int, CropFormat], NDArray[np.uint8]] | None = None
    ) -> None:
        """Make the crops of the faces of a frame.

        Args:
            gray: (N, 48, 48) uint8.
            crop: Cuts out a face, given its index; None makes the other crops of the gray ones.
        """
        self.gray = gray
        self._crop = crop or (lambda index, form: as_format(gray[index], form))
        self._indices: NDArray[np.integer] = np.arange(len(gray))
        self._made: dict[tuple[int, CropFormat], NDArray[np.uint8]] = {}

    def __len__(self) -> int:
        return len(self.gray)

    def __getitem__(self, chosen: NDArray[np.integer] | list[int]) -> FaceCrops:
        """Some of the faces, which share with the others what was cut out."""
        part = FaceCrops(self.gray[chosen], self._crop)
        part._indices, part._made = self._indices[chosen], self._made
        return part

    def of(self, index: int, form: CropFormat) -> NDArray[np.uint8]:
        """The crop of one face as a network takes it, cut out once for all networks that take the same."""
        key = int(self._indices[index]), form
        if key not in self._made:
            self._made[key] = self._crop(*key)
        return self._made[key]
