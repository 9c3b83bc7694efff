"""Decodes the bytes of a picture, of a file or from the network: within limits, and only what OpenCV is safe with."""

from __future__ import annotations

import re
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources.picture_header import JPEG_2000, check_size, first_of_animation, read_header

CRASHES_ON_JPEG_2000 = cv2.__version__.startswith("4.")
"""Whether OpenCV ends the process for a JPEG 2000 whose header is damaged; 4.11 does, 5.0 does not."""


@dataclass(frozen=True, eq=False)
class LoadedPicture:
    """A decoded picture.

    Attributes:
        pixels: (H, W, 3) uint8 BGR, or (H, W) uint8 gray where that was asked for; rotated as its EXIF data says.
        several: Whether the file holds more pictures, which were not read: an animation, or pages.
    """

    pixels: NDArray[np.uint8]
    several: bool


def decode_picture(data: bytes, name: str, max_pixels: int, *, gray: bool = False) -> LoadedPicture:
    """Decode a picture; of an animation or several pages, the first one.

    Args:
        data: The whole file, in any format that OpenCV reads.
        name: Its name or address, for errors.
        max_pixels: Largest width times height that is decoded.
        gray: Whether to decode to gray.

    Returns:
        The picture.

    Raises:
        SourceError: It is no whole picture, has more pixels, or is not safe to decode.
    """
    if data.startswith((b"PF", b"Pf")):  # OpenCV would round its pixels from 0 to 1, and give a black picture
        raise SourceError(f"{name} has floating-point pixels; convert it to 8 or 16 bits, to a PNG for instance")
    if CRASHES_ON_JPEG_2000 and re.match(JPEG_2000, data):
        raise SourceError(f"{name} is a JPEG 2000, for which OpenCV 5 is needed, as OpenCV 4 is not safe with them")
    try:
        header = read_header(data)
    except ValueError:
        raise _damaged(name, data) from None
    if header is not None:
        check_size(header.width, header.height, name, max_pixels)
        if header.several:
            data = first_of_animation(data)
    flags = cv2.IMREAD_GRAYSCALE if gray else cv2.IMREAD_COLOR
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except (MemoryError, cv2.error) as error:
        if isinstance(error, MemoryError) or error.code == cv2.Error.StsNoMem:
            raise SourceError(f"{name} cannot be decoded: there is not enough memory") from None
        pixels = None
    if pixels is None:
        raise _damaged(name, data)
    check_size(pixels.shape[1], pixels.shape[0], name, max_pixels)  # the format may be one whose header is not known
    return LoadedPicture(np.asarray(pixels, np.uint8), header is not None and header.several)


def _damaged(name: str, data: bytes) -> SourceError:
    return SourceError(f"{name} is not a whole picture that OpenCV can read ({len(data)} bytes)")
