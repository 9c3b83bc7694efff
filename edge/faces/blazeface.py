"""BlazeFace: one small network that gives face boxes and six key points, decoded with numpy alone.

Source: Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs", arXiv:1907.05047
(anchors without a size, blended instead of suppressed overlaps); the layer sizes and thresholds are those of
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
from fer_edge.edge.preprocess import normalize, reduced
from fer_edge.edge.tflite.interpreter import Interpreter, open_interpreter
from fer_edge.models import FOLDER

MAX_LOGIT = 80.0
"""Logits are clipped here before the sigmoid: exp(-80) is still a normal float32."""

OVERLAP = 0.3
"""Intersection over union from which two detections are one face."""

SHORTEST = 0.75
"""The input's shorter side in longer ones, at the least. Less black costs faces at the rims, more of it only time.

400 faces of 60 to 200 px, FER2013's training pictures and a portrait, on 200 frames each: of 640x480 the square found
322, 3/4 of it 320; of 640x360 the square found 316, 3/4 of it 315, 5/8 of it 307. One or no box without a face each.
"""

SHAPES = 3
"""Networks of so many shapes are kept open: of a camera's frames, of their tiles, and of one turned on its side."""

PIXELS = normalize(np.arange(256, dtype=np.uint8), channels=1)[:, 0]
"""What the networks see of each 8-bit value."""

COLUMNS = 17
"""A detection is a row of x0, y0, x1, y1, six key points (x, y), score."""


@dataclass(frozen=True)
class Variant:
    """What no flatbuffer says.

    size: pixels of the input's longer side. grain: the shorter one is a multiple of so many. layers: stride and anchors
    a cell of each.
    """

    file: str
    size: int
    grain: int
    layers: tuple[tuple[int, int], ...]
    threshold: float


SHORT = Variant("blazeface_short.tflite", 128, 16, ((8, 2), (16, 6)), 0.5)
"""Faces within about two metres. Strides 8, 16, 16, 16, two anchors each; the last three share a grid."""

FULL = Variant("blazeface_full.tflite", 192, 192, ((4, 1),), 0.6)
"""Faces within about five metres. One layer of stride 4 with one anchor a cell; always a square."""

BACK = Variant("blazeface_back.tflite", 256, 32, ((16, 2), (32, 6)), 0.65)
"""The rear-camera network: SHORT's anchors on twice the side. detector.py tells how it was measured."""


def anchors(variant: Variant, height: int, width: int) -> NDArray[np.float32]:
    """(N, 2) anchor centres x, y in pixels of the input, in the order of the network's output rows."""
    layers = []
    for stride, count in variant.layers:
        rows, columns = np.mgrid[: height // stride, : width // stride]
        centres = (np.stack([columns.ravel(), rows.ravel()], axis=1) + 0.5) * stride
        layers.append(np.repeat(centres, count, axis=0))
    return np.concatenate(layers).astype(np.float32)


@dataclass(frozen=True)
class Letterbox:
    """How a picture was laid into the input: input pixel = picture pixel * scale + (left, top)."""

    scale: float
    left: int
    top: int

    def restore(self, detections: NDArray[np.float32]) -> NDArray[np.float32]:
        """(K, 17) detections in pixels of the input to pixels of the picture; scores stay."""
        restored = detections.copy()
        restored[:, 0:-1:2] = (restored[:, 0:-1:2] - self.left) / self.scale
        restored[:, 1:-1:2] = (restored[:, 1:-1:2] - self.top) / self.scale
        return restored


def letterbox(pixels: NDArray[np.uint8], size: int, grain: int) -> tuple[NDArray[np.uint8], Letterbox]:
    """(H, W, 3) to (h, w, 3) with the aspect ratio kept; also how it was laid in.

    The longer side of the result is size, the other a multiple of grain, SHORTEST or what holds the picture: black
    pixels cost as much time as others.
    """
    height, width = pixels.shape[:2]
    scale = size / max(height, width)
    inner = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = reduced(pixels, inner)
    across, down = (grain * math.ceil(max(side, SHORTEST * size) / grain) for side in inner)
    left, top = (across - inner[0]) // 2, (down - inner[1]) // 2
    laid = np.zeros((down, across, 3), np.uint8)
    laid[top : top + inner[1], left : left + inner[0]] = small
    return laid, Letterbox(scale, left, top)


def decode(
    regressors: NDArray[np.float32],
    logits: NDArray[np.float32],
    centres: NDArray[np.float32],
    variant: Variant,
) -> NDArray[np.float32]:
    """Raw outputs to the (K, 17) detections above the threshold, in pixels of the network's input.

    regressors: (N, 16): box centre, box size, six key points, in pixels relative to the anchor. logits: (N,).
    """
    scores = 1 / (1 + np.exp(-np.clip(logits, -MAX_LOGIT, MAX_LOGIT)))
    keep = scores >= variant.threshold
    pairs = regressors[keep].reshape(-1, 8, 2)
    origin = centres[keep, None]  # (K, 1, 2)
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
    """One BlazeFace network, opened for each shape of picture when the first one comes."""

    def __init__(self, variant: Variant, path: Path, threads: int = 1) -> None:
        self.variant, self._path, self._threads = variant, path, threads
        self._opened = lru_cache(SHAPES)(self._open)

    def _open(self, height: int, width: int) -> tuple[Interpreter, NDArray[np.float32], bool]:
        """The network for inputs of that shape, its anchors, and whether boxes are its first output."""
        interpreter = open_interpreter(self._path, self._threads, shape=(1, height, width, 3))
        centres = anchors(self.variant, height, width)
        shapes, rows = sorted(output.shape for output in interpreter.outputs), len(centres)
        expected = [(1, rows, 1), (1, rows, 16)]
        if shapes != expected:
            raise ModelError(f"{self.variant.file}: outputs are {shapes}, expected {expected}; reinstall fer-edge")
        return interpreter, centres, interpreter.outputs[0].shape[-1] == 16

    def detect(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(H, W, 3) uint8 BGR to (K, 17) detections in pixels of the picture, blended, best first."""
        small, laid = letterbox(pixels, self.variant.size, self.variant.grain)
        interpreter, centres, boxes_first = self._opened(*small.shape[:2])
        rgb = cv2.LUT(cv2.cvtColor(small, cv2.COLOR_BGR2RGB), PIXELS)
        first, second = interpreter.run(rgb[None])
        regressors, logits = (first, second) if boxes_first else (second, first)
        return laid.restore(blend(decode(regressors[0], logits[0, :, 0], centres, self.variant)))


def checked_blazeface(variant: Variant, folder: Path = FOLDER / "face") -> tuple[Path, str]:
    """A variant's file in folder and its sha256, the package's by default; ModelError where missing or altered."""
    path = folder / variant.file
    try:
        expected = json.loads((folder / "faces.json").read_text())[variant.file]["sha256"]
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: cannot be checked ({error}); reinstall fer-edge") from None
    if found != expected:
        raise ModelError(f"{path}: sha256 is {found[:12]}…, expected {expected[:12]}…; reinstall fer-edge")
    return path, found


def open_blazeface(variant: Variant, threads: int = 1, folder: Path = FOLDER / "face") -> BlazeFace:
    """Open a variant's file from folder, or the package's; ModelError where it is missing or altered."""
    return BlazeFace(variant, checked_blazeface(variant, folder)[0], threads)
