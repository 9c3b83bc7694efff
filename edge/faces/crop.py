"""Face crops framed like FER2013's pictures, which the expression models were trained on."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.preprocess import FACE_SIZE, shrink, to_gray
from fer_edge.edge.types import Face, Frame

MARGIN = 1.165
"""Side of the crop in sides of the detector's box.

Measured, as EYE_LINE and BOX_LINE, with `fer-edge bench crop`: the default detector on 2000 FER2013 training pictures
enlarged to 240 px, with a face found in 1876 of them. Medians (quartiles), in picture sides: picture / box side 1.165
(1.071 to 1.297); the midpoint of the eyes at 0.392 of the height (0.362 to 0.415) and 0.496 of the width (0.470 to
0.518); the box's centre at 0.571 of the height (0.531 to 0.606). The short-range network gives 1.159, 0.392, 0.501 and
0.569.

The eyes locate the picture with less spread than the box does. Their distance (picture / distance 2.76, 2.51 to 3.10)
predicts its size no better than the box, and shrinks when a head turns. The crop therefore takes its position from the
eyes and its size from the box.
"""

EYE_LINE = 0.392
"""Height of the midpoint of the eyes in the crop, in crop sides from the top."""

BOX_LINE = 0.571
"""Height of the box's centre in the crop where the eyes are unknown, in crop sides from the top."""

BLOCK_AVERAGED_SIDE = 96
"""Side in pixels that a crop keeps at least when blocks of frame pixels are averaged, which is the first step."""

MIN_SAMPLES_PER_PIXEL = 0.75
"""Samples per frame pixel across, at least: with fewer, pixels would be skipped; more make no difference."""

MAX_TILT = 60.0
"""Degrees; eyes tilted further are a false detection more often than a tilted head, and the crop stays upright."""


def eye_tilt(face: Face) -> float:
    """Angle of the line through the eyes, degrees clockwise in the picture; 0 where unknown or beyond MAX_TILT."""
    if face.eyes is None:
        return 0.0
    (x0, y0), (x1, y1) = face.eyes
    angle = math.degrees(math.atan2(y1 - y0, x1 - x0))
    return angle if abs(angle) <= MAX_TILT else 0.0


def place_crop(face: Face, margin: float = MARGIN) -> tuple[tuple[float, float], float, float]:
    """Place a face's crop in its frame.

    Args:
        face: The detected face.
        margin: Side of the crop in sides of the detector's box.

    Returns:
        The crop's centre (x, y) in frame pixels, its side in frame pixels, and its tilt in degrees clockwise.
    """
    box, angle = face.box, eye_tilt(face)
    side = max(1.0, margin * math.sqrt(max(1, box.width) * max(1, box.height)))
    if face.eyes is None:
        anchor, line = (box.x + box.width / 2, box.y + box.height / 2), BOX_LINE
    else:
        (x0, y0), (x1, y1) = face.eyes
        anchor, line = ((x0 + x1) / 2, (y0 + y1) / 2), EYE_LINE
    # from the anchor down the tilted face to the centre of the crop
    down = (0.5 - line) * side
    radians = math.radians(angle)
    return (anchor[0] - down * math.sin(radians), anchor[1] + down * math.cos(radians)), side, angle


def face_crop(frame: Frame, face: Face, margin: float = MARGIN) -> NDArray[np.uint8]:
    """Crop a face from its frame as a FER2013 picture shows it, with level eyes.

    A large face is first averaged over blocks of pixels, down to BLOCK_AVERAGED_SIDE at least; the rest is sampled
    bilinearly at a whole multiple of 48 px and averaged by area: there is no aliasing, and the last step is the one
    that the training data has had.

    Args:
        frame: The frame, BGR or gray.
        face: A face of that frame; its box may reach beyond the frame's border, whose pixels are repeated there.
        margin: Side of the crop in sides of the detector's box.

    Returns:
        (48, 48) uint8 gray.
    """
    (x, y), side, angle = place_crop(face, margin)
    whole = frame.size[0]
    pixels = frame.at_width(math.ceil(whole / max(1.0, side / BLOCK_AVERAGED_SIDE)), colour=False)
    height, width = pixels.shape[:2]
    scale = width / whole  # below 1 where the source saves work by it
    x, y, side = x * scale, y * height / frame.size[1], side * scale
    block = max(1, int(side / BLOCK_AVERAGED_SIDE))
    reduction = side / block / FACE_SIZE
    samples = FACE_SIZE * max(min(2, math.ceil(reduction)), math.ceil(MIN_SAMPLES_PER_PIXEL * reduction))
    zoom = side / samples
    # crop pixel (u, v) -> frame pixel: both count from the centres of their pixels, hence the halves
    cos, sin = zoom * math.cos(math.radians(angle)), zoom * math.sin(math.radians(angle))
    half = (samples - 1) / 2
    to_frame = np.array(
        [
            [cos, -sin, x - 0.5 - half * cos + half * sin],
            [sin, cos, y - 0.5 - half * sin - half * cos],
        ]
    )
    # only this part of the frame: converting a whole 1080p frame to gray costs more than the crop
    corners = to_frame @ np.array([[0, samples, 0, samples], [0, 0, samples, samples], [1, 1, 1, 1]])
    left, right = _pixel_range(corners[0], width, block)
    top, bottom = _pixel_range(corners[1], height, block)
    gray = to_gray(pixels[top:bottom, left:right])
    to_frame[:, 2] -= (left, top)
    if block > 1:
        gray, to_frame = _average_blocks(gray, to_frame, block)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    crop = cv2.warpAffine(gray, to_frame, (samples, samples), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return shrink(np.asarray(crop, np.uint8))


def _pixel_range(positions: NDArray[np.float64], size: int, block: int) -> tuple[int, int]:
    """The pixels that positions reach, widened for bilinear sampling of blocks, at least one, within 0..size.

    Their number is a multiple of the block where there are pixels enough before them: OpenCV averages that much faster.
    """
    low = min(max(math.floor(positions.min()) - 2 * block, 0), size - 1)
    high = max(low + 1, min(math.ceil(positions.max()) + 2 * block + 1, size))
    return max(0, low - (low - high) % block), high


def _average_blocks(
    gray: NDArray[np.uint8], to_picture: NDArray[np.float64], block: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """A picture averaged over square blocks, and the (2, 3) matrix from crop pixels to its pixels."""
    height, width = gray.shape
    size = max(1, width // block), max(1, height // block)
    scale = np.array([[size[0] / width], [size[1] / height]])  # (2, 1)
    to_blocks = to_picture * scale
    to_blocks[:, 2:] += scale / 2 - 0.5  # both count from the centres of their pixels
    return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.uint8), to_blocks
