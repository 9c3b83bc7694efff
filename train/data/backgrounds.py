"""Pictures without faces, on which scenes are composed: parts of photographs, and textures that need no file."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def cover(photograph: Picture, width: int, height: int, zoom: float, rng: np.random.Generator) -> Picture:
    """Fill a frame with a random part of a photograph.

    Args:
        photograph: (H, W, 3) uint8.
        width: The frame's width, pixels.
        height: The frame's height, pixels.
        zoom: How much larger than necessary the photograph is made, at least 1.
        rng: Where the part's place comes from.

    Returns:
        (height, width, 3) uint8.
    """
    rows, columns = photograph.shape[:2]
    scale = zoom * max(width / columns, height / rows)
    part_width, part_height = min(columns, round(width / scale)), min(rows, round(height / scale))
    x, y = rng.integers(0, columns - part_width + 1), rng.integers(0, rows - part_height + 1)
    part = photograph[y : y + part_height, x : x + part_width]
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(part, (width, height), interpolation=interpolation), np.uint8)


def texture(rng: np.random.Generator, width: int = 640, height: int = 480) -> Picture:
    """Faintly coloured noise of several scales, which looks like clouds or plaster, (height, width, 3) uint8."""
    picture = np.full((height // 4, width // 4, 3), 128, np.float32)
    for cells in (2, 4, 8, 16, 32, 64):
        grid = rng.normal(0, 60 / cells**0.6, (cells, cells, 1)) + rng.normal(0, 20 / cells**0.6, (cells, cells, 3))
        picture += cv2.resize(grid.astype(np.float32), picture.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    small = np.asarray(np.clip(np.rint(picture), 0, 255), np.uint8)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
