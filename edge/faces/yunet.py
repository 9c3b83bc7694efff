"""YuNet: a small int8 network that finds faces of any size in one pass, for inputs of any shape.

Source: Wu, Peng, Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research 20 (2023).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import ModelError
from fer_edge.edge.faces.face_models import FACE_FOLDER, YUNET, verified_face_model
from fer_edge.edge.faces.yunet_decoding import CHANNELS, STRIDES, OutputRange, best_of_each_face, decode
from fer_edge.edge.preprocess import downscale
from fer_edge.edge.tflite.network import Network, open_network
from fer_edge.edge.types import Acceleration

SIDE_MULTIPLE = STRIDES[-1]
"""Both sides of the input are multiples of this, pixels."""

MAX_OPEN_SHAPES = 3
"""Number of input shapes kept open: of a camera's frames, of rotated ones, and of frames of another aspect ratio."""


MAX_STRETCH = 1.1
"""Ratio of the input's two scales up to which a picture is stretched to the input's shape instead of padded."""


@dataclass(frozen=True)
class InputPlan:
    """How a picture is resized into the network's input, from the top left corner.

    Attributes:
        width: Width of the input, pixels, a multiple of SIDE_MULTIPLE.
        height: Height of the input, pixels, likewise.
        inner: Width and height of the picture in it, pixels.
        scale: Input pixels per picture pixel, in x and y.
    """

    width: int
    height: int
    inner: tuple[int, int]
    scale: tuple[float, float]

    def place(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resize a (H, W, 3) picture into the (height, width, 3) input; what is left is black."""
        small = downscale(pixels, self.inner)
        if self.inner == (self.width, self.height):
            return small
        padded = np.zeros((self.height, self.width, 3), np.uint8)
        padded[: self.inner[1], : self.inner[0]] = small
        return padded

    def restore(self, detections: NDArray[np.float32]) -> NDArray[np.float32]:
        """Convert (K, 15) detections from pixels of the input to pixels of the picture; scores stay."""
        restored = detections.copy()
        restored[:, 0:-1:2] /= self.scale[0]
        restored[:, 1:-1:2] /= self.scale[1]
        return restored


def plan_input(size: tuple[int, int], scale: float, square: bool = False) -> InputPlan:
    """Plan the network's input for a picture: stretched a little or, where that is not enough, padded.

    Args:
        size: Width and height of the picture, pixels.
        scale: Input pixels per picture pixel that are wanted; the picture's longer side is rounded to SIDE_MULTIPLE.
        square: Whether the input must be square.

    Returns:
        The plan.
    """
    longer = max(size)
    side = max(SIDE_MULTIPLE, SIDE_MULTIPLE * round(longer * scale / SIDE_MULTIPLE))
    exact = [each * side / longer for each in size]
    blocks = [max(1, math.floor(each / SIDE_MULTIPLE + 0.5)) * SIDE_MULTIPLE for each in exact]
    stretches = [block / each for block, each in zip(blocks, exact, strict=True)]
    if not square and max(stretches) <= MAX_STRETCH and min(stretches) >= 1 / MAX_STRETCH:
        return InputPlan(blocks[0], blocks[1], (blocks[0], blocks[1]), (blocks[0] / size[0], blocks[1] / size[1]))
    inner = max(1, round(exact[0])), max(1, round(exact[1]))
    width, height = (side if square else SIDE_MULTIPLE * math.ceil(each / SIDE_MULTIPLE) for each in inner)
    return InputPlan(width, height, inner, (inner[0] / size[0], inner[1] / size[1]))


class YuNet:
    """The network, opened for each input shape when the first picture of that shape comes."""

    def __init__(
        self, path: Path, output_range: OutputRange, threads: int = 1, acceleration: Acceleration | None = None
    ) -> None:
        self._path, self._threads, self._acceleration = path, threads, acceleration
        self._range, self._scores = output_range, output_range.scores()
        self._network_for = lru_cache(MAX_OPEN_SHAPES)(self._open)

    def detect(self, pixels: NDArray[np.uint8], threshold: float) -> NDArray[np.float32]:
        """Detect the faces of a picture that is as large as the network's input.

        Args:
            pixels: (H, W, 3) uint8 BGR, both sides a multiple of SIDE_MULTIPLE.
            threshold: Score, 0..1, from which a detection counts.

        Returns:
            (F, 15) float32 detections in pixels of the input, best first, one per face.
        """
        network, order = self._network_for(*pixels.shape[:2])
        # the input's scale is 1 and its zero point -128: a gray value with its top bit flipped
        outputs = network.run((pixels ^ np.uint8(128)).view(np.int8)[None])
        levels = [outputs[index] for index in order]
        detections = decode(levels, self._range, self._scores, threshold)
        return detections[best_of_each_face(detections)]

    def _open(self, height: int, width: int) -> tuple[Network, list[int]]:
        """The network for inputs of that shape, and which of its outputs belongs to which of STRIDES."""
        network = open_network(self._path, self._threads, self._acceleration, shape=(1, height, width, 3))
        shapes = [output.shape for output in network.outputs]
        expected = [(1, height // stride, width // stride, CHANNELS) for stride in STRIDES]
        if sorted(shapes) != sorted(expected) or any(output.dtype != np.int8 for output in network.outputs):
            raise ModelError(f"{self._path.name}: outputs are {shapes}, expected int8 {expected}; reinstall fer-edge")
        return network, [shapes.index(shape) for shape in expected]


def open_yunet(threads: int = 1, folder: Path = FACE_FOLDER, acceleration: Acceleration | None = None) -> YuNet:
    """Open the verified network.

    Args:
        threads: Threads of the interpreter.
        folder: The folder of the file and of faces.json.
        acceleration: Delegate or accelerator; None for the interpreter alone.

    Returns:
        The network, whose interpreters are opened when the first picture comes.

    Raises:
        ModelError: The file is missing or altered.
    """
    path, entry = verified_face_model(YUNET, folder)
    try:
        low, high = (np.asarray(entry["outputs"][key], np.float32) for key in ("low", "high"))
        if low.shape != (CHANNELS,) or high.shape != (CHANNELS,):
            raise ValueError(f"{len(low)} and {len(high)} channels, expected {CHANNELS}")
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{folder / 'faces.json'}: no output range of {YUNET} ({error}); reinstall fer-edge") from None
    return YuNet(path, OutputRange(low, high), threads, acceleration)
