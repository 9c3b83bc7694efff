"""Patches of faces: where a detected face is in a later frame, by normalized cross-correlation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.preprocess import downscale, to_gray
from fer_edge.edge.types import Box, Face, Frame

PATCH_SIZE = 24
"""Side of the patch in patch pixels, whatever the size of the face: the patch's scale is chosen for that."""

MAX_SAMPLES = 3
"""Frame pixels across and down that are averaged into a patch pixel, at most: it bounds the cost of large faces."""

SEARCH_RADIUS = 12
"""Largest distance from the predicted place, patch pixels: half the side of the patch, a third of a small face's.

OpenCV correlates a window of 48 pixels in half the time of one of 44.
"""

MIN_CORRELATION = 0.6
"""Correlation, -1..1, below which a face counts as lost. A still face stays above 0.95, another one is below 0.4."""


@dataclass(frozen=True)
class TrackedFace:
    """A face as it was last detected, its patch, and how far it has moved since."""

    detected: Face
    patch: NDArray[np.uint8]  # (PATCH_SIZE, PATCH_SIZE)
    corner: tuple[int, int]  # the patch's top left corner x, y in the frame of the detection
    scale: int  # frame pixels per patch pixel
    shift: tuple[float, float] = (0.0, 0.0)  # x, y since the detection, frame pixels
    velocity: tuple[float, float] = (0.0, 0.0)  # x, y in frame pixels per frame

    @property
    def face(self) -> Face:
        """The face where it is now."""
        (dx, dy), box = self.shift, self.detected.box
        eyes = self.detected.eyes and _shift_eyes(self.detected.eyes, dx, dy)
        return replace(self.detected, box=replace(box, x=round(box.x + dx), y=round(box.y + dy)), eyes=eyes)


def start_tracking(frame: Frame, face: Face, previous: Sequence[TrackedFace]) -> TrackedFace | None:
    """Take the patch of a detected face.

    Args:
        frame: The frame in which it was detected.
        face: The face.
        previous: The faces that were tracked until then; the nearest one's velocity is taken over.

    Returns:
        The face with its patch; None where too little of it is in the frame.
    """
    box = face.box
    scale = _patch_scale((box.width + box.height) / 2)
    side = PATCH_SIZE * scale
    corner = round(box.x + (box.width - side) / 2), round(box.y + (box.height - side) / 2)
    patch = _sample_square(frame, *corner, scale, PATCH_SIZE)
    if patch is None:
        return None
    tracked = TrackedFace(face, patch, corner, scale)
    distances = [(_centre_distance(each.face.box, box), each.velocity) for each in previous]
    near = [(distance, velocity) for distance, velocity in distances if distance < side / 2]
    return replace(tracked, velocity=min(near)[1]) if near else tracked


def track(frame: Frame, tracked: TrackedFace) -> TrackedFace | None:
    """Find a face in a later frame of the same size.

    Args:
        frame: The frame.
        tracked: The face as it was in the frame before.

    Returns:
        The face where it is now; None where no place matches its patch well enough.
    """
    scale, (corner_x, corner_y) = tracked.scale, tracked.corner
    predicted_x = corner_x + (tracked.shift[0] + tracked.velocity[0])
    predicted_y = corner_y + (tracked.shift[1] + tracked.velocity[1])
    left, top = round(predicted_x - SEARCH_RADIUS * scale), round(predicted_y - SEARCH_RADIUS * scale)
    window = _sample_square(frame, left, top, scale, PATCH_SIZE + 2 * SEARCH_RADIUS)
    if window is None:
        return None
    match = cv2.matchTemplate(window, tracked.patch, cv2.TM_CCOEFF_NORMED)  # (2 SEARCH_RADIUS + 1,) * 2
    _, peak, _, (u, v) = cv2.minMaxLoc(match)
    if not peak >= MIN_CORRELATION:  # not a number where a patch is all one gray
        return None
    dx = left + (u + _subpixel_offset(match[v], u)) * scale - corner_x
    dy = top + (v + _subpixel_offset(match[:, u], v)) * scale - corner_y
    # the mean of the previous and the measured velocity: steady under the jitter of one frame
    velocity = (tracked.velocity[0] + dx - tracked.shift[0]) / 2, (tracked.velocity[1] + dy - tracked.shift[1]) / 2
    return replace(tracked, shift=(dx, dy), velocity=velocity)


def _subpixel_offset(row: NDArray[Any], peak: int) -> float:
    """The offset, -0.5..0.5 samples, of the maximum of a parabola through the peak and its neighbours."""
    if not 0 < peak < len(row) - 1:
        return 0.0
    before, here, after = (float(value) for value in row[peak - 1 : peak + 2])
    curvature = before - 2 * here + after
    return 0.5 * (before - after) / curvature if curvature < 0 else 0.0


def _patch_scale(side: float) -> int:
    """Frame pixels per patch pixel; even beyond MAX_SAMPLES, so that two samples are one step."""
    scale = max(1, int(side / PATCH_SIZE + 0.3))  # rather smaller than the face: the background does not move with it
    return scale if scale <= MAX_SAMPLES else scale - scale % 2


def _sample_square(frame: Frame, left: int, top: int, scale: int, count: int) -> NDArray[np.uint8] | None:
    """(count, count) gray means over a square of the frame, whose border is repeated; None where most is outside."""
    side = scale * count
    for start, length in zip((left, top), frame.size, strict=True):
        if min(length, start + side) - max(0, start) < side / 4:
            return None
    samples = scale if scale <= MAX_SAMPLES else 2
    step, size = scale // samples, samples * count
    pixels = frame.at_width(-(-frame.size[0] // step), colour=False)
    shrink = frame.size[0] / pixels.shape[1]  # 1 but for a picture that is decoded at a lower resolution
    # whole steps: every sample is a pixel, and a motion of one step moves them all by one
    x, y = ((start + step // 2 + 0.5) / shrink - 0.5 for start in (left, top))
    matrix = np.array([[step / shrink, 0, x], [0, step / shrink, y]], np.float64)
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    square = cv2.warpAffine(pixels, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return downscale(to_gray(np.asarray(square, np.uint8)), (count, count))


def _centre_distance(a: Box, b: Box) -> float:
    """The distance of two boxes' centres, pixels."""
    return float(np.hypot(a.x - b.x + (a.width - b.width) / 2, a.y - b.y + (a.height - b.height) / 2))


def _shift_eyes(
    eyes: tuple[tuple[float, float], tuple[float, float]], dx: float, dy: float
) -> tuple[tuple[float, float], tuple[float, float]]:
    (x0, y0), (x1, y1) = eyes
    return (x0 + dx, y0 + dy), (x1 + dx, y1 + dy)
