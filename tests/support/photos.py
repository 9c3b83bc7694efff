"""Photographs with known faces, made from the portrait."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from network_camera import PORTRAIT
from numpy.typing import NDArray

from fer_edge.train.data.scenes import compose, portrait_patch

_PATCH = portrait_patch(cv2.imread(str(PORTRAIT)))


def photograph(*faces: tuple[int, int, int], size: tuple[int, int] = (480, 360), seed: int = 0) -> NDArray[np.uint8]:
    """A picture of the portrait's face in each place: centre x and y, and side, pixels; (H, W, 3) uint8 BGR."""
    background = np.full((size[1], size[0], 3), (140, 150, 130), np.uint8)
    places = [((float(x), float(y)), float(side), 0.0) for x, y, side in faces]
    return compose(background, [_PATCH] * len(faces), places, np.random.default_rng(seed)).pixels


def jpeg(pixels: NDArray[np.uint8], orientation: int = 1) -> bytes:
    """A JPEG file of a picture, with an EXIF orientation, which does not change what is stored."""
    data: bytes = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01" + bytes((0, orientation)) + bytes(6)
    return data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2) + exif + data[2:]


def write(path: Path, content: bytes) -> Path:
    """Write a file in a folder that need not exist."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
