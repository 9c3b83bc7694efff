"""The motion gate: whether a scene has changed since faces were last detected in it.

It compares a small picture of the frame, of about 80 x 60 cells, with a reference that follows the scene slowly and
becomes the current picture with each detection in a changed scene. A gain and an offset, and a gain per row of the
sensor, are fitted first, so that exposure, brightness and the bands of mains flicker do not count; white balance hardly
does, as only the green channel is used, which cameras leave alone. What remains is divided by each cell's usual
deviation (a running Gaussian average: Wren et al., "Pfinder", PAMI 1997) and averaged in blocks of 3 x 3 cells, the
size of the smallest face. One block above the threshold is a change.

`fer-edge bench motion` compares it with the alternatives, on the same cells and at thresholds at which no more than
0.5 % of the frames of a still scene in steady light trigger. Percent of the frames that trigger in other light, which
would each cost a detection, and of faces that trigger within 0.2 s (OpenCV 5.0, 2026-11-30; 180 frames, 20 places):

|                          | motion gate | last frame | running mean | MOG2 | KNN |
|--------------------------|-------------|------------|--------------|------|-----|
| exposure ±30 % in 8 s    |   0         |   0        |  92          |  35  |  67 |
| exposure steps of 15 %   |   0         |   7        | 100          |   4  |  50 |
| brightness ±20 in 4 s    |   0         |   0        |  79          |   0  |   4 |
| 50 Hz flicker at 30 fps  |   0         | 100        | 100          |   0  |  49 |
| camera drift of 2 px/s   |   2         |   0        | 100          | 100  | 100 |
| faces of 16, 24, 60 px   | 100         | 100        | 100          | 100  | 100 |
| 40 px, fades in for 1 s  | 100         |   0        | 100          | 100  | 100 |
| time, of the gate's      |   1         |   0.2      |   0.1        |  0.4 | 0.5 |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from math import ceil, exp

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.types import Box, Frame

CELLS = 80
"""Most cells along a frame's longer side: 8 px each in a 640 x 480 frame."""

BLOCK = 3
"""Side of a block, cells: 24 px of a 640 x 480 frame."""

MIN_CHANGE = 16.0
"""Mean squared deviation of a block's cells, in their usual variances, from which it counts as changed."""

DEVIATION_RANGE = (1.0, 4.0)
"""Least and largest usual deviation of a cell, gray levels: of rounding, and the most that still shows a small face."""

LIGHT_TOLERANCE = 0.2
"""Share of a cell's change by gains and offset that counts as deviation: they are not exact in clipped areas."""

CLIPPED = 235.0
"""Gray level from which a cell may be clipped: it then says little about the light and the scene."""

CLIPPED_DEVIATION = 16.0
"""Usual deviation of a clipped cell, gray levels: how much darker it is in another light is unknown."""

REFERENCE_SECONDS = 0.5
"""Time constant of the reference: camera drift of 2 px/s is no change yet, a face that fades in within 1 s is one."""

VARIANCE_SECONDS = 1.0
"""Time constant of the cells' variances."""

HOLD_SECONDS = 0.25
"""Time for which a change lasts: faces are detected once more when a motion, and its blur, are over."""

MAX_GAP_SECONDS = 2.0
"""Time between two frames after which the gate starts anew."""

DEFAULT_STEP = 1 / 30
"""Time between two frames that have the same time, seconds: a source without a clock."""

FACE_MARGIN = 0.8
"""Width of the border around a tracked face, in sides of its box, that moves with it."""


class Motion(Enum):
    """Where a scene has changed.

    Attributes:
        NONE: Nowhere.
        FACES: Around the tracked faces only.
        SCENE: Elsewhere too.
    """

    NONE = 0
    FACES = 1
    SCENE = 2


@dataclass
class _Reference:
    """What pictures of one resolution have shown."""

    mean: NDArray[np.float32]  # (h, w)
    variance: NDArray[np.float32]
    time: float


class MotionGate:
    """Compares frame after frame of one scene with what it showed before.

    Attributes:
        change: The last frame's largest mean squared deviation of a block, in usual variances.
    """

    def __init__(self) -> None:
        self.change = 0.0
        self._references: dict[tuple[int, ...], _Reference] = {}  # by shape: sources decode as much as is needed
        self._cells = np.empty((0, 0), np.float32)
        self._shape, self._size, self._time = (0, 0), (0, 0), 0.0
        self._hold = {Motion.FACES: 0.0, Motion.SCENE: 0.0}  # seconds for which each lasts

    def motion(self, frame: Frame, faces: Sequence[Box] = ()) -> Motion:
        """Compare a frame with the reference.

        Args:
            frame: The next frame of the scene, of which at_width's few pixels are used. After a jump in time or a frame
                of another size the gate starts anew.
            faces: The tracked faces, in pixels of the frame.

        Returns:
            Where the scene has changed, now or within the last HOLD_SECONDS; SCENE for the first frame.
        """
        pixels = frame.at_width(CELLS, colour=False)
        seconds, cells = frame.time - self._time, read_cells(pixels)
        new = frame.size != self._size or not 0 <= seconds <= MAX_GAP_SECONDS
        if new:
            self._references.clear()
        self._cells, self._shape, self._size, self._time = cells, pixels.shape, frame.size, frame.time
        anywhere = elsewhere = new
        if reference := self._references.get(pixels.shape):
            near = _near(faces, frame.size, cells.shape) if faces else None
            change = self._compare(reference, frame.time, near)
            self.change = cv2.minMaxLoc(change)[1]
            anywhere = self.change >= MIN_CHANGE
            elsewhere = anywhere and (near is None or cv2.minMaxLoc(change, mask=1 - near)[1] >= MIN_CHANGE)
        else:
            variance = np.full_like(cells, DEVIATION_RANGE[1] ** 2 / 2)
            self._references[pixels.shape] = _Reference(cells.copy(), variance, frame.time)
        for motion, seen in ((Motion.SCENE, elsewhere), (Motion.FACES, anywhere)):
            self._hold[motion] = HOLD_SECONDS if seen else self._hold[motion] - (seconds or DEFAULT_STEP)
        return next((motion for motion in (Motion.SCENE, Motion.FACES) if self._hold[motion] > 0), Motion.NONE)

    def accept(self) -> None:
        """Make the last frame the reference where it has changed, because faces were detected in it."""
        if self._hold[Motion.FACES] > 0:
            self._references[self._shape].mean = self._cells.copy()

    def _compare(self, reference: _Reference, time: float, near: NDArray[np.uint8] | None) -> NDArray[np.float32]:
        """Each block's mean squared deviation, in usual variances; the reference follows the cells."""
        seconds = time - reference.time or DEFAULT_STEP
        lit = np.maximum(reference.mean, self._cells) < CLIPPED
        known = (lit if near is None else lit & (near == 0)).astype(np.float32)
        expected = _relight(reference.mean, self._cells, known)
        difference = self._cells - expected
        tolerance = LIGHT_TOLERANCE * (expected - reference.mean)
        low, high = DEVIATION_RANGE
        variance = np.clip(reference.variance + tolerance * tolerance, low * low, high * high)
        variance[~lit] = CLIPPED_DEVIATION**2
        squared = difference * difference
        change = cv2.boxFilter(squared / variance, -1, (BLOCK, BLOCK))
        # a change must not pass for noise at once; numbers that decay to almost 0 would be slow
        squared = np.minimum(squared + np.float32(0.01), 9 * variance)
        cv2.accumulateWeighted(squared, reference.variance, 1 - exp(-seconds / VARIANCE_SECONDS))
        cv2.accumulateWeighted(self._cells, reference.mean, 1 - exp(-seconds / REFERENCE_SECONDS))
        reference.time = time
        return np.asarray(change, np.float32)


def read_cells(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Read a picture's cells: its pixels if they are few, else means of 2 x 2 pixels at equal distances.

    Args:
        pixels: (H, W, 3) BGR, of which only green is read, or (H, W) gray.

    Returns:
        (h, w) float32, 0..255; at least one and at most CELLS of them a side.
    """
    step = ceil(max(pixels.shape[:2]) / (2 * CELLS))
    top, left = (min(step, side) // 2 for side in pixels.shape[:2])
    samples = pixels[top::step, left::step, 1] if pixels.ndim == 3 else pixels[top::step, left::step]
    if max(samples.shape) <= CELLS:
        return samples.astype(np.float32)
    height, width = (max(1, side // 2) for side in samples.shape)
    samples = np.ascontiguousarray(samples[: 2 * height, : 2 * width])  # OpenCV is fastest at whole blocks
    return cv2.resize(samples, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)


def _relight(before: NDArray[np.float32], now: NDArray[np.float32], known: NDArray[np.float32]) -> NDArray[np.float32]:
    """The reference in the picture's light: by least squares a gain and an offset, then a gain per row of the sensor.

    No gain makes one scene out of another, so a change remains visible.

    Args:
        before: (h, w) reference.
        now: (h, w) picture.
        known: (h, w) 1 for the cells that count, neither clipped nor near a tracked face; else 0.
    """
    counted = known * before
    first, second, weights = before.ravel(), now.ravel(), known.ravel()
    count = float(np.dot(weights, weights)) or 1.0
    mean, new_mean = float(np.dot(weights, first)) / count, float(np.dot(weights, second)) / count
    variance = float(np.dot(counted.ravel(), first)) / count - mean * mean
    covariance = float(np.dot(counted.ravel(), second)) / count - mean * new_mean
    gain = (covariance + 1) / (max(0.0, variance) + 1)  # 1 where there is too little contrast
    expected = cv2.addWeighted(before, gain, before, 0, new_mean - gain * mean)
    # a sensor is wider than high, and is read row by row: columns of an upright picture
    axis, sums = (1, "ij,ij->i") if now.shape[1] >= now.shape[0] else (0, "ij,ij->j")
    counted, prior = known * expected, 16.0 * now.shape[axis]  # the prior keeps the gain of dark cells at 1
    gains = (np.einsum(sums, counted, now) + prior) / (np.einsum(sums, counted, expected) + prior)
    return np.asarray(expected * np.expand_dims(gains.astype(np.float32), axis), np.float32)


def _near(faces: Sequence[Box], size: tuple[int, int], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """(h, w): 1 in the cells around tracked faces, else 0."""
    near = np.zeros(shape, np.uint8)
    x_scale, y_scale = shape[1] / size[0], shape[0] / size[1]
    for box in faces:
        border = FACE_MARGIN * max(box.width, box.height)
        left, right = (box.x - border) * x_scale, (box.x + box.width + border) * x_scale
        top, bottom = (box.y - border) * y_scale, (box.y + box.height + border) * y_scale
        near[max(0, int(top)) : max(0, ceil(bottom)), max(0, int(left)) : max(0, ceil(right))] = 1
    return near
