"""A face cut out of its frame the way FER2013's faces were cut out of theirs."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.preprocess import FACE_SIZE, shrink, to_gray
from fer_edge.edge.types import Face, Frame

MARGIN = 1.165
"""Side of the crop in sides of the detector's box.

Measured, as EYE_LINE and BOX_LINE, with `fer-edge bench crop`: the default detector on 2000
FER2013 training pictures enlarged to 240 px, a face in 1876 of them. Medians (quartiles), in picture sides:

picture / box side 1.165 (1.071 to 1.297); the eyes' middle at 0.392 of the height (0.362 to 0.415) and 0.496
of the width (0.470 to 0.518); the box's centre at 0.571 of the height (0.531 to 0.606). The short-range
network gives 1.159, 0.392, 0.501 and 0.569.

The eyes place the picture with less spread than the box does. Their distance (picture / distance 2.76, 2.51
to 3.10) gives its size no better than the box and shrinks when a head turns. So the crop takes its place from
the eyes and its size from the box.
"""

EYE_LINE = 0.392
"""Height of the eyes' middle in the crop, in crop sides from the top."""

BOX_LINE = 0.571
"""Height of the box's centre in the crop where the eyes are unknown."""

LARGE = 96
"""Side of a crop in frame pixels, from whose double on squares of pixels are averaged before anything else."""

DENSITY = 0.75
"""Samples of a crop for each frame pixel across, at least: fewer would leave pixels unseen, more make no difference."""

MAX_TILT = 60.0
"""Degrees; eyes tilted further are a mistaken detection more often than a head, and are not followed."""


def tilt(face: Face) -> float:
    """The angle of the eyes in degrees, clockwise in the picture; 0 where unknown or beyond MAX_TILT."""
    if face.eyes is None:
        return 0.0
    (x0, y0), (x1, y1) = face.eyes
    angle = math.degrees(math.atan2(y1 - y0, x1 - x0))
    return angle if abs(angle) <= MAX_TILT else 0.0


def placement(face: Face, margin: float = MARGIN) -> tuple[tuple[float, float], float, float]:
    """The crop's centre (x, y) in frame pixels, its side in frame pixels and its tilt in degrees."""
    box, angle = face.box, tilt(face)
    side = max(1.0, margin * math.sqrt(max(1, box.width) * max(1, box.height)))
    if face.eyes is None:
        anchor, line = (box.x + box.width / 2, box.y + box.height / 2), BOX_LINE
    else:
        (x0, y0), (x1, y1) = face.eyes
        anchor, line = ((x0 + x1) / 2, (y0 + y1) / 2), EYE_LINE
    # From the anchor down the tilted face to the middle of the crop.
    down = (0.5 - line) * side
    radians = math.radians(angle)
    return (anchor[0] - down * math.sin(radians), anchor[1] + down * math.cos(radians)), side, angle


def face_crop(frame: Frame, face: Face, margin: float = MARGIN) -> NDArray[np.uint8]:
    """The face as a (48, 48) uint8 gray picture: eyes level, the frame's border repeated outside it.

    A large face is first averaged over squares of pixels, down to LARGE at least; what is left is sampled bilinearly
    at a whole multiple of 48 px and averaged by area: no aliasing, and the last step is training data's own.
    """
    (x, y), side, angle = placement(face, margin)
    height, width = frame.pixels.shape[:2]
    square = max(1, int(side / LARGE))
    fold = side / square / FACE_SIZE
    sampled = FACE_SIZE * max(min(2, math.ceil(fold)), math.ceil(DENSITY * fold))
    zoom = side / sampled
    # crop pixel (u, v) -> frame pixel: both count from the centres of their pixels, hence the halves.
    cos, sin = zoom * math.cos(math.radians(angle)), zoom * math.sin(math.radians(angle))
    half = (sampled - 1) / 2
    back = np.array(
        [
            [cos, -sin, x - 0.5 - half * cos + half * sin],
            [sin, cos, y - 0.5 - half * sin - half * cos],
        ]
    )
    # Only this part of the frame: converting a whole 1080p frame to gray costs more than the crop.
    corners = back @ np.array([[0, sampled, 0, sampled], [0, 0, sampled, sampled], [1, 1, 1, 1]])
    left, right = _span(corners[0], width, square)
    top, bottom = _span(corners[1], height, square)
    gray = to_gray(frame.pixels[top:bottom, left:right])
    back[:, 2] -= (left, top)
    if square > 1:
        gray, back = _averaged(gray, back, square)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    crop = cv2.warpAffine(gray, back, (sampled, sampled), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return shrink(np.asarray(crop, np.uint8))


def _span(positions: NDArray[np.float64], size: int, square: int) -> tuple[int, int]:
    """The pixels that positions reach, widened for bilinear sampling of squares, at least one, within 0..size.

    They are a multiple of the square where there are pixels enough before them: OpenCV averages that much faster.
    """
    low = min(max(math.floor(positions.min()) - 2 * square, 0), size - 1)
    high = max(low + 1, min(math.ceil(positions.max()) + 2 * square + 1, size))
    return max(0, low - (low - high) % square), high


def _averaged(
    gray: NDArray[np.uint8], back: NDArray[np.float64], square: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """A picture averaged over squares of so many pixels, and the way from the crop to it instead of to the picture."""
    height, width = gray.shape
    size = max(1, width // square), max(1, height // square)
    by = np.array([[size[0] / width], [size[1] / height]])  # (2, 1)
    back = back * by
    back[:, 2:] += by / 2 - 0.5  # both count from the centres of their pixels
    return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.uint8), back
