"""BlazeFace: one small network that gives face boxes and six key points, decoded with numpy alone.

Source: Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs", arXiv:1907.05047
(anchors without a size, blending in place of non-maximum suppression); the layer sizes and thresholds are those of
MediaPipe's published graphs for the two files.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import ModelError
from fer_edge.edge.faces.blazeface_decoding import blend, decode, make_anchors
from fer_edge.edge.preprocess import downscale, normalize
from fer_edge.edge.tflite.network import Network, open_network
from fer_edge.edge.types import Acceleration
from fer_edge.models import FOLDER

MIN_ASPECT = 0.75
"""Least ratio of the input's shorter side to its longer one: less padding loses faces near the border, more costs time.

Measured with 400 faces of 60 to 200 px, FER2013's training pictures and a portrait, on 200 frames per size. Found in
640x480: 322 with a square input, 320 with a ratio of 3/4. Found in 640x360: 316 with a square, 315 with 3/4, 307 with
5/8. At most one false detection in each case.
"""

MAX_OPEN_SHAPES = 3
"""Number of input shapes kept open: for a camera's frames, for their tiles, and for frames of another aspect ratio."""

INPUT_VALUES = normalize(np.arange(256, dtype=np.uint8), channels=1)[:, 0]
"""(256,) float32 network input, -1..1, for each 8-bit pixel value."""


@dataclass(frozen=True)
class Variant:
    """The facts of a BlazeFace network that its flatbuffer does not hold.

    Attributes:
        file: The file's name in the package's folder of face detectors.
        size: Longer side of the input, pixels.
        side_multiple: The shorter side must be a multiple of this, pixels.
        layers: Stride in pixels and number of anchors per cell, for each layer.
        threshold: Score, 0..1, from which a detection counts.
    """

    file: str
    size: int
    side_multiple: int
    layers: tuple[tuple[int, int], ...]
    threshold: float


SHORT_RANGE = Variant("blazeface_short.tflite", 128, 16, ((8, 2), (16, 6)), 0.5)
"""For faces within about two metres. Strides 8, 16, 16, 16, two anchors each; the last three share a grid."""

FULL_RANGE = Variant("blazeface_full.tflite", 192, 192, ((4, 1),), 0.6)
"""For faces within about five metres. One layer of stride 4 with one anchor per cell; the input is always square."""

BACK_CAMERA = Variant("blazeface_back.tflite", 256, 32, ((16, 2), (32, 6)), 0.65)
"""The rear-camera network: the short-range anchors on twice the side; detector.py has the measurements."""


@dataclass(frozen=True)
class Letterbox:
    """How a picture was placed in the input: input pixel = picture pixel * scale + (left, top)."""

    scale: float
    left: int
    top: int

    def restore(self, detections: NDArray[np.float32]) -> NDArray[np.float32]:
        """Convert (K, 17) detections from pixels of the input to pixels of the picture; scores stay."""
        restored = detections.copy()
        restored[:, 0:-1:2] = (restored[:, 0:-1:2] - self.left) / self.scale
        restored[:, 1:-1:2] = (restored[:, 1:-1:2] - self.top) / self.scale
        return restored


def letterbox(pixels: NDArray[np.uint8], size: int, side_multiple: int) -> tuple[NDArray[np.uint8], Letterbox]:
    """Resize a picture into a network's input with its aspect ratio, and pad it with black.

    The padding is as narrow as MIN_ASPECT allows, as black pixels cost as much time as others.

    Args:
        pixels: (H, W, 3) uint8.
        size: Longer side of the input, pixels.
        side_multiple: The shorter side will be a multiple of this, pixels.

    Returns:
        The (h, w, 3) uint8 input, and where the picture is in it.
    """
    height, width = pixels.shape[:2]
    scale = size / max(height, width)
    inner = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = downscale(pixels, inner)
    outer = [side_multiple * math.ceil(max(side, MIN_ASPECT * size) / side_multiple) for side in inner]
    left, top = (outer[0] - inner[0]) // 2, (outer[1] - inner[1]) // 2
    padded = np.zeros((outer[1], outer[0], 3), np.uint8)
    padded[top : top + inner[1], left : left + inner[0]] = small
    return padded, Letterbox(scale, left, top)


class BlazeFace:
    """A BlazeFace network, opened for each input shape when the first picture of that shape comes."""

    def __init__(
        self, variant: Variant, path: Path, threads: int = 1, acceleration: Acceleration | None = None
    ) -> None:
        self.variant, self._path, self._threads, self._acceleration = variant, path, threads, acceleration
        self._network_for = lru_cache(MAX_OPEN_SHAPES)(self._open)

    def _open(self, height: int, width: int) -> tuple[Network, NDArray[np.float32], bool]:
        """The network for inputs of that shape, its anchors, and whether boxes are its first output."""
        interpreter = open_network(self._path, self._threads, self._acceleration, shape=(1, height, width, 3))
        centres = make_anchors(self.variant.layers, height, width)
        shapes, rows = sorted(output.shape for output in interpreter.outputs), len(centres)
        expected = [(1, rows, 1), (1, rows, 16)]
        if shapes != expected:
            raise ModelError(f"{self.variant.file}: outputs are {shapes}, expected {expected}; reinstall fer-edge")
        return interpreter, centres, interpreter.outputs[0].shape[-1] == 16

    def detect(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Detect the faces of a picture.

        Args:
            pixels: (H, W, 3) uint8 BGR.

        Returns:
            (F, 17) blended detections in pixels of the picture, best first.
        """
        small, placement = letterbox(pixels, self.variant.size, self.variant.side_multiple)
        interpreter, centres, boxes_first = self._network_for(*small.shape[:2])
        rgb = cv2.LUT(cv2.cvtColor(small, cv2.COLOR_BGR2RGB), INPUT_VALUES)
        first, second = interpreter.run(rgb[None])
        regressors, logits = (first, second) if boxes_first else (second, first)
        return placement.restore(blend(decode(regressors[0], logits[0, :, 0], centres, self.variant.threshold)))


def verify_blazeface(variant: Variant, folder: Path = FOLDER / "face") -> tuple[Path, str]:
    """Check a variant's file against the sha256 in faces.json.

    Args:
        variant: The network.
        folder: The folder of the file and of faces.json.

    Returns:
        The file's path and its sha256.

    Raises:
        ModelError: The file is missing or altered.
    """
    path = folder / variant.file
    try:
        expected = json.loads((folder / "faces.json").read_text())[variant.file]["sha256"]
        actual = hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: cannot be checked ({error}); reinstall fer-edge") from None
    if actual != expected:
        raise ModelError(f"{path}: sha256 is {actual[:12]}…, expected {expected[:12]}…; reinstall fer-edge")
    return path, actual


def open_blazeface(
    variant: Variant, threads: int = 1, folder: Path = FOLDER / "face", acceleration: Acceleration | None = None
) -> BlazeFace:
    """Open a verified network.

    Args:
        variant: The network.
        threads: Threads of the interpreter.
        folder: The folder of the file and of faces.json.
        acceleration: Delegate or accelerator; None for the interpreter alone.

    Returns:
        The network, whose interpreters are opened when the first picture comes.

    Raises:
        ModelError: The file is missing or altered.
    """
    return BlazeFace(variant, verify_blazeface(variant, folder)[0], threads, acceleration)
