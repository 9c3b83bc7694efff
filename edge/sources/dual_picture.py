"""A picture that a camera gives in two sizes: whole, and as a small YUV picture of the same moment."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

LIMITED_TO_FULL = np.clip(np.rint((np.arange(256) - 16) * 255 / 219), 0, 255).astype(np.uint8)
"""Luma of the limited range, 16..235, as gray levels 0..255."""


class DualPicture:
    """A picture whose small version is converted when it is used; its luma needs no conversion.

    Attributes:
        size: Width and height of the whole picture, pixels.
    """

    def __init__(
        self,
        pixels: NDArray[np.uint8],
        yuv: NDArray[np.uint8],
        small_size: tuple[int, int],
        full_range: bool = True,
        flips: tuple[bool, bool] = (False, False),
    ) -> None:
        """Take the two pictures.

        Args:
            pixels: (H, W, 3) BGR.
            yuv: (h * 3 / 2, stride) I420, its rows padded from the width on.
            small_size: The small picture's width and height, w and h, both even.
            full_range: Whether luma has all values 0..255, and not only 16..235.
            flips: Whether the small picture must be flipped left to right and upside down.
        """
        self.size: tuple[int, int] = (pixels.shape[1], pixels.shape[0])
        self._pixels, self._yuv, self._small_size, self._flips = pixels, yuv, small_size, flips
        self._full_range = full_range
        self._converted: dict[bool, NDArray[np.uint8]] = {}  # by colour

    def at_width(self, width: int, colour: bool) -> NDArray[np.uint8]:
        """The picture at this width or more, see `Frame.at_width`."""
        if width > self._small_size[0]:
            return self._pixels
        if colour not in self._converted:  # two threads may both convert it: neither harms the other
            self._converted[colour] = flip_picture(self._colour() if colour else self._gray(), self._flips)
        return self._converted[colour]

    def prepare(self) -> None:
        """Nothing needs decoding."""

    def _gray(self) -> NDArray[np.uint8]:
        width, height = self._small_size
        luma = self._yuv[:height, :width]
        return luma if self._full_range else np.asarray(cv2.LUT(luma, LIMITED_TO_FULL), np.uint8)

    def _colour(self) -> NDArray[np.uint8]:
        width, height = self._small_size
        if not self._full_range:
            return np.asarray(cv2.cvtColor(self._yuv, cv2.COLOR_YUV2BGR_I420)[:, :width], np.uint8)
        # OpenCV converts I420 of the limited range only
        chroma = self._yuv[height:].reshape(2, height // 2, -1)[..., : width // 2]
        blue, red = (cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR) for plane in chroma)
        return np.asarray(cv2.cvtColor(cv2.merge([self._gray(), red, blue]), cv2.COLOR_YCrCb2BGR), np.uint8)


def flip_picture(pixels: NDArray[np.uint8], flips: tuple[bool, bool]) -> NDArray[np.uint8]:
    """Flip a picture left to right and upside down, as `flips` says."""
    if not any(flips):
        return pixels
    return np.asarray(cv2.flip(pixels, {(True, False): 1, (False, True): 0, (True, True): -1}[flips]), np.uint8)
