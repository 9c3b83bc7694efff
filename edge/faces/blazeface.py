"""BlazeFace: finds the eyes of a face in a small crop, also where the head is tilted.

Source: Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs", arXiv:1907.05047; the
layer sizes are those of MediaPipe's published graph for the short range.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import ModelError
from fer_edge.edge.faces.blazeface_decoding import blend_best, decode, make_anchors
from fer_edge.edge.faces.face_models import BLAZEFACE, FACE_FOLDER, verified_face_model
from fer_edge.edge.preprocess import normalize
from fer_edge.edge.tflite.network import open_network
from fer_edge.edge.types import Acceleration

LAYERS = ((8, 2), (16, 6))
"""Stride in pixels and number of anchors per cell: strides 8, 16, 16, 16 with two anchors each."""

INPUT_VALUES = normalize(np.arange(256, dtype=np.uint8), channels=1)[:, 0]
"""(256,) float32 network input, -1..1, for each 8-bit pixel value."""


class BlazeFace:
    """The short-range network for square crops of one size.

    Attributes:
        size: Side of the crops, pixels.
    """

    def __init__(self, path: Path, size: int, threads: int = 1, acceleration: Acceleration | None = None) -> None:
        self.size = size
        self._network = open_network(path, threads, acceleration, shape=(1, size, size, 3))
        self._anchors = make_anchors(LAYERS, size, size)
        shapes, rows = sorted(output.shape for output in self._network.outputs), len(self._anchors)
        expected = [(1, rows, 1), (1, rows, 16)]
        if shapes != expected:
            raise ModelError(f"{path.name}: outputs are {shapes}, expected {expected}; reinstall fer-edge")
        self._boxes_first = self._network.outputs[0].shape[-1] == 16

    def best(self, crop: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Find the most probable face of a crop.

        Args:
            crop: (size, size, 3) uint8 BGR.

        Returns:
            (17,) its detection in pixels of the crop, see blazeface_decoding.py.
        """
        rgb = cv2.LUT(cv2.cvtColor(crop, cv2.COLOR_BGR2RGB), INPUT_VALUES)
        first, second = self._network.run(rgb[None])
        regressors, logits = (first, second) if self._boxes_first else (second, first)
        return blend_best(decode(regressors[0], logits[0, :, 0], self._anchors))


def open_blazeface(
    size: int, threads: int = 1, folder: Path = FACE_FOLDER, acceleration: Acceleration | None = None
) -> BlazeFace:
    """Open the verified network.

    Args:
        size: Side of the crops, pixels, a multiple of 16.
        threads: Threads of the interpreter.
        folder: The folder of the file and of faces.json.
        acceleration: Delegate or accelerator; None for the interpreter alone.

    Returns:
        The network.

    Raises:
        ModelError: The file is missing or altered.
    """
    return BlazeFace(verified_face_model(BLAZEFACE, folder)[0], size, threads, acceleration)
