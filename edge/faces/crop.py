"""Face crops framed like FER2013's pictures, which the expression models were trained on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.preprocess import FACE_SIZE, CropFormat, FaceCrops, as_format, shrink, to_bgr, to_gray
from fer_edge.edge.types import Face, Frame

MARGIN = 1.07
"""Side of the crop in sides of the detector's box, of which a side is the root of the area.

Measured, as EYE_LINE and BOX_LINE, with `fer-edge bench crop`: the default detector on 2000 FER2013 training pictures
enlarged to 240 px, with a face found in 1788 of them. Medians (quartiles), in picture sides: picture / box side 1.070
(0.986 to 1.184); the midpoint of the eyes at 0.390 of the height (0.365 to 0.412) and 0.500 of the width (0.473 to
0.525); the box's centre at 0.500 of the height (0.466 to 0.531). Between 0.95 and 1.07 the accuracy of composed scenes
does not depend on the margin.

The eyes locate the picture with less spread than the box does. Their distance predicts its size no better than the box,
and shrinks when a head turns. The crop therefore takes its position from the eyes and its size from the box.
"""

EYE_LINE = 0.39
"""Height of the midpoint of the eyes in the crop, in crop sides from the top."""

BOX_LINE = 0.5
"""Height of the box's centre in the crop where the eyes are unknown, in crop sides from the top."""

BLOCK_AVERAGED_SIDE = 96
"""Side in pixels that a crop keeps at least when blocks of frame pixels are averaged, which is the first step.

A JPEG is decoded at a lower resolution within the same limit. No command repeats the measurement: 700 PublicTest
pictures, 100 to 400 px wide in 1280x720 JPEGs of quality 80, with mobilenet_v2. Of whole pictures 69.4 to 70.4 % were
named correctly. Decoded with at least 96 px, the accuracy changed by 0 to +0.6 points, with 64 px by -1.1 to +0.6, with
48 px by -1.3 to -0.4, with 32 px by -4.8 to -1.1.
"""

MIN_SAMPLES_PER_PIXEL = 0.75
"""Samples per frame pixel across, at least: with fewer, pixels would be skipped; more make no difference."""


def eye_tilt(face: Face) -> float:
    """Angle of the line through the eyes, degrees clockwise in the picture, -180..180; 0 where they are unknown."""
    if face.eyes is None:
        return 0.0
    (x0, y0), (x1, y1) = face.eyes
    return math.degrees(math.atan2(y1 - y0, x1 - x0))


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


def face_crop(
    frame: Frame, face: Face, margin: float = MARGIN, size: int = FACE_SIZE, colour: bool = False
) -> NDArray[np.uint8]:
    """Crop a face from its frame as a FER2013 picture shows it, with level eyes.

    A large face is first averaged over blocks of pixels, down to BLOCK_AVERAGED_SIDE at least (of a larger crop, as
    many times that); the rest is sampled bilinearly at a whole multiple of the crop's size and averaged by area: there
    is no aliasing, and the last step is the one that the training data has had.

    Args:
        frame: The frame, BGR or gray.
        face: A face of that frame; its box may reach beyond the frame's border, whose pixels are repeated there.
        margin: Side of the crop in sides of the detector's box.
        size: Side of the crop, pixels.
        colour: Whether the crop keeps its colours.

    Returns:
        (size, size) uint8 gray, or (size, size, 3) uint8 BGR.
    """
    (x, y), side, angle = place_crop(face, margin)
    whole, least = frame.size[0], BLOCK_AVERAGED_SIDE * size / FACE_SIZE
    pixels = frame.at_width(math.ceil(whole / max(1.0, side / least)), colour)
    scale = pixels.shape[1] / whole  # below 1 where the source saves work by it
    x, y, side = x * scale, y * pixels.shape[0] / frame.size[1], side * scale
    block = max(1, int(side / least))
    reduction = side / block / size
    samples = size * max(min(2, math.ceil(reduction)), math.ceil(MIN_SAMPLES_PER_PIXEL * reduction))
    return shrink(warp_square(pixels, (x, y), side, angle, samples, block, to_bgr if colour else to_gray), size)


def format_crop(frame: Frame, face: Face, form: CropFormat) -> NDArray[np.uint8]:
    """Crop a face as a network of one's own takes it; where its input is oblong, the square is stretched.

    Args:
        frame: The frame, BGR or gray.
        face: A face of that frame.
        form: Size, colour and margin of the crop.

    Returns:
        (height, width) or (height, width, 3) uint8.
    """
    size = max(form.width, form.height)
    return as_format(face_crop(frame, face, form.margin, size, form.colour != "gray"), form)


def crops_on_demand(frame: Frame, faces: Sequence[Face], gray: NDArray[np.uint8]) -> FaceCrops:
    """The crops of a frame's faces where networks take others than the gray ones of 48 px.

    Args:
        frame: The frame.
        faces: Its N faces.
        gray: (N, 48, 48) uint8, their gray crops.

    Returns:
        The crops; one is made when a network runs that takes it.
    """
    return FaceCrops(gray, lambda index, form: format_crop(frame, faces[index], form))


def warp_square(
    pixels: NDArray[np.uint8],
    centre: tuple[float, float],
    side: float,
    angle: float,
    samples: int,
    block: int,
    convert: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
) -> NDArray[np.uint8]:
    """Sample a tilted square of a picture, whose border is repeated.

    Args:
        pixels: The picture, (H, W, 3) BGR or (H, W) gray uint8.
        centre: The square's centre x, y in pixels of the picture.
        side: Its side, pixels of the picture.
        angle: Its tilt, degrees clockwise.
        samples: Its side in the result, pixels.
        block: Blocks of so many pixels are averaged first.
        convert: The conversion to the result's colours, of no more of the picture than is needed.

    Returns:
        (samples, samples) or (samples, samples, 3) uint8.
    """
    height, width = pixels.shape[:2]
    to_frame = square_matrix(centre, side, angle, samples)
    # only this part of the frame: converting a whole 1080p frame to gray costs more than the crop
    corners = to_frame @ np.array([[0, samples, 0, samples], [0, 0, samples, samples], [1, 1, 1, 1]])
    left, right = _pixel_range(corners[0], width, block)
    top, bottom = _pixel_range(corners[1], height, block)
    part = convert(pixels[top:bottom, left:right])
    to_frame[:, 2] -= (left, top)
    if block > 1:
        part, to_frame = _average_blocks(part, to_frame, block)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    square = cv2.warpAffine(part, to_frame, (samples, samples), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(square, np.uint8)


def square_matrix(centre: tuple[float, float], side: float, angle: float, samples: int) -> NDArray[np.float64]:
    """Matrix from the pixels of a sampled square to those of its picture; arguments as of `warp_square`.

    Returns:
        (2, 3); both sides count from the centres of their pixels, hence the halves.
    """
    zoom = side / samples
    cos, sin = zoom * math.cos(math.radians(angle)), zoom * math.sin(math.radians(angle))
    half, (x, y) = (samples - 1) / 2, centre
    return np.array([[cos, -sin, x - 0.5 - half * cos + half * sin], [sin, cos, y - 0.5 - half * sin - half * cos]])


def _pixel_range(positions: NDArray[np.float64], size: int, block: int) -> tuple[int, int]:
    """The pixels that positions reach, widened for bilinear sampling of blocks, at least one, within 0..size.

    Their number is a multiple of the block where there are pixels enough before them: OpenCV averages that much faster.
    """
    low = min(max(math.floor(positions.min()) - 2 * block, 0), size - 1)
    high = max(low + 1, min(math.ceil(positions.max()) + 2 * block + 1, size))
    return max(0, low - (low - high) % block), high


def _average_blocks(
    pixels: NDArray[np.uint8], to_picture: NDArray[np.float64], block: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """A picture averaged over square blocks, and the (2, 3) matrix from crop pixels to its pixels."""
    height, width = pixels.shape[:2]
    size = max(1, width // block), max(1, height // block)
    scale = np.array([[size[0] / width], [size[1] / height]])  # (2, 1)
    to_blocks = to_picture * scale
    to_blocks[:, 2:] += scale / 2 - 0.5  # both count from the centres of their pixels
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8), to_blocks
