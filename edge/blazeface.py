"""BlazeFace: one small network that gives face boxes and six key points, decoded with numpy alone.

Source: Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs", arXiv:1907.05047
(anchors of one size, blended instead of suppressed overlaps); the layer sizes and thresholds are those of
MediaPipe's published graphs for the two files.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import ModelError
from fer_edge.edge.interpreter import Interpreter, open_interpreter
from fer_edge.models import FOLDER

MAX_LOGIT = 80.0
"""Logits are clipped here before the sigmoid: exp(-80) is still a normal float32."""

OVERLAP = 0.3
"""Intersection over union from which two detections are one face."""

COLUMNS = 17
"""A detection is a row of x0, y0, x1, y1, six key points (x, y), score."""


@dataclass(frozen=True)
class Variant:
    """What no flatbuffer says: input side in pixels, (stride, anchors a cell) of the layers, threshold."""

    file: str
    size: int
    layers: tuple[tuple[int, int], ...]
    threshold: float


SHORT = Variant("blazeface_short.tflite", 128, ((8, 2), (16, 6)), 0.5)
"""Faces within about two metres. Strides 8, 16, 16, 16, two anchors each; the last three share a grid."""

FULL = Variant("blazeface_full.tflite", 192, ((4, 1),), 0.6)
"""Faces within about five metres. One layer of stride 4 with one anchor a cell."""

BACK = Variant("blazeface_back.tflite", 256, ((16, 2), (32, 6)), 0.65)
"""The rear-camera network: SHORT's anchors on twice the side. detector.py tells how it was measured."""


def anchors(variant: Variant) -> NDArray[np.float32]:
    """(N, 2) anchor centres x, y in 0..1, in the order of the network's output rows; anchors have no size."""
    layers = []
    for stride, count in variant.layers:
        cells = variant.size // stride
        rows, columns = np.divmod(np.arange(cells * cells), cells)
        centres = (np.stack([columns, rows], axis=1) + 0.5) / cells
        layers.append(np.repeat(centres, count, axis=0))
    return np.concatenate(layers).astype(np.float32)


@dataclass(frozen=True)
class Letterbox:
    """How a picture was laid into the square: square pixel = picture pixel * scale + (left, top)."""

    scale: float
    left: int
    top: int

    def restore(self, detections: NDArray[np.float32]) -> NDArray[np.float32]:
        """(K, 17) detections in pixels of the square to pixels of the picture; scores stay."""
        restored = detections.copy()
        restored[:, 0:-1:2] = (restored[:, 0:-1:2] - self.left) / self.scale
        restored[:, 1:-1:2] = (restored[:, 1:-1:2] - self.top) / self.scale
        return restored


def letterbox(pixels: NDArray[np.uint8], size: int) -> tuple[NDArray[np.uint8], Letterbox]:
    """(H, W, 3) to (size, size, 3) with the aspect ratio kept and black bars; also how it was laid in."""
    height, width = pixels.shape[:2]
    scale = size / max(height, width)
    inner = (max(1, round(width * scale)), max(1, round(height * scale)))
    # Area averaging: bilinear sampling of a 1280 px frame at 192 px would skip most pixels of a small face.
    small = cv2.resize(pixels, inner, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = (size - inner[0]) // 2, (size - inner[1]) // 2
    square = np.zeros((size, size, 3), np.uint8)
    square[top : top + inner[1], left : left + inner[0]] = small
    return square, Letterbox(scale, left, top)


def decode(
    regressors: NDArray[np.float32],
    logits: NDArray[np.float32],
    centres: NDArray[np.float32],
    variant: Variant,
) -> NDArray[np.float32]:
    """Raw outputs to the (K, 17) detections above the threshold, in pixels of the network's square.

    regressors: (N, 16): box centre, box size, six key points, in pixels relative to the anchor. logits: (N,).
    """
    scores = 1 / (1 + np.exp(-np.clip(logits, -MAX_LOGIT, MAX_LOGIT)))
    keep = scores >= variant.threshold
    pairs = regressors[keep].reshape(-1, 8, 2)
    origin = centres[keep, None] * np.float32(variant.size)  # (K, 1, 2)
    centre, half = pairs[:, :1] + origin, pairs[:, 1:2] / 2
    points = np.concatenate([centre - half, centre + half, pairs[:, 2:] + origin], axis=1)  # (K, 8, 2)
    return np.concatenate([points.reshape(-1, 16), scores[keep, None]], axis=1)


def overlaps(box: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union, (K,) in 0..1, of one (4,) box with (K, 4) boxes, all as x0, y0, x1, y1."""
    corner = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = np.prod(np.clip(corner, 0, None), axis=1)
    union = np.prod(box[2:] - box[:2]) + np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) - shared
    return np.asarray(shared / np.maximum(union, np.float32(1e-9)), np.float32)


def blend(detections: NDArray[np.float32], overlap: float = OVERLAP) -> NDArray[np.float32]:
    """(K, 17) detections to one a face, best first: the score-weighted mean of all that overlap the best one.

    The paper's answer to jitter: a suppressed neighbour still knows something about where the face is.
    """
    rest = detections[np.argsort(-detections[:, -1], kind="stable")]
    found = []
    while len(rest):
        # The best overlaps itself, except where its box has no area: it leaves the list in any case.
        same = overlaps(rest[0, :4], rest[:, :4]) >= overlap
        same[0] = True
        face = np.average(rest[same], axis=0, weights=rest[same, -1])
        face[-1] = rest[0, -1]
        found.append(face)
        rest = rest[~same]
    return np.asarray(found, np.float32).reshape(-1, COLUMNS)


class BlazeFace:
    """One opened BlazeFace network."""

    def __init__(self, variant: Variant, interpreter: Interpreter) -> None:
        self.variant = variant
        self._interpreter = interpreter
        self._centres = anchors(variant)
        rows, side = len(self._centres), variant.size
        shapes = interpreter.inputs[0].shape, *sorted(output.shape for output in interpreter.outputs)
        expected = (1, side, side, 3), (1, rows, 1), (1, rows, 16)
        if shapes != expected:
            raise ModelError(f"{variant.file}: shapes {shapes}, expected {expected}; reinstall fer-edge")
        self._boxes_first = interpreter.outputs[0].shape[-1] == 16

    def detect(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(H, W, 3) uint8 BGR to (K, 17) detections in pixels of the picture, blended, best first."""
        square, laid = letterbox(pixels, self.variant.size)
        rgb = square[None, :, :, ::-1].astype(np.float32) / np.float32(127.5) - np.float32(1)
        first, second = self._interpreter.run(rgb)
        regressors, logits = (first, second) if self._boxes_first else (second, first)
        raw = decode(regressors[0], logits[0, :, 0], self._centres, self.variant)
        return laid.restore(blend(raw))


def open_blazeface(variant: Variant, threads: int = 1, folder: Path = FOLDER / "face") -> BlazeFace:
    """Open a variant's file from folder, or the package's; ModelError where it is missing or altered."""
    path = folder / variant.file
    try:
        expected = json.loads((folder / "faces.json").read_text())[variant.file]["sha256"]
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: cannot be checked ({error}); reinstall fer-edge") from None
    if found != expected:
        raise ModelError(f"{path}: sha256 is {found[:12]}…, expected {expected[:12]}…; reinstall fer-edge")
    return BlazeFace(variant, open_interpreter(path, threads))
