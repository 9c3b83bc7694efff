"""Face detection: the shipped BlazeFace networks, YuNet with a file of the user's, or OpenCV's Haar cascade."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import ModelError
from fer_edge.edge.faces.blazeface import BACK_CAMERA, FULL_RANGE, SHORT_RANGE, BlazeFace, open_blazeface
from fer_edge.edge.faces.blazeface_decoding import blend
from fer_edge.edge.faces.boxes import make_box, make_eyes, sort_by_size
from fer_edge.edge.preprocess import FACE_SIZE, to_bgr
from fer_edge.edge.types import Acceleration, Face, Frame

VARIANTS = {"blazeface": BACK_CAMERA, "blazeface-short": SHORT_RANGE, "blazeface-full": FULL_RANGE}
"""`blazeface` is the rear-camera network, with tiles on large frames; the choice was measured once.

No command repeats the measurement, as the photographs are not part of the project. Columns 2 to 4 count the hits of
one portrait pasted 40 times on eight photographs and textures, rotated by up to 40 degrees, with a face 40 or 60 px
wide in 640x480 and 80 in 1280x720. The FER2013 columns count the hits among 150 training faces of 100 and 200 px in
640x480. The last column counts boxes in 360 windows of photographs without a face. Thresholds: short 0.5, full 0.6,
back 0.65; no tiles.

|       | 40 px | 60 px | 80 px | FER2013 100 | FER2013 200 | false |
|-------|-------|-------|-------|-------------|-------------|-------|
| short |  0    |  9    |  0    |  14         |  134        |  34   |
| full  |  4    | 33    | 10    |  19         |   72        |   5   |
| back  | 34    | 40    | 37    | 109         |  142        |   4   |

Back also found 12 of 12 close-ups wider than the frame is high, where full found 8. Full on square tiles, and full
together with short, cost more than one pass of back and still found fewer. Back takes four to five times as long as
short.
"""

SPECS = (*VARIANTS, "yunet:FILE", "haar")

MIN_TILED_SIDE = 960
"""Longer side of a frame, pixels, from which `blazeface` also detects faces in square tiles of it.

A face needs about 16 of the network's 256 pixels: 40 of 640, but 80 of 1280. With two more passes, over both ends of a
1280x720 frame, 40 of 40 faces of 60 px were found and 27 of 40 of 45 px. A 640x480 frame, which is what a small board
should request from its camera, stays at one pass.
"""

TILE_BORDER = 0.02
"""Width of a tile's inner border, in tile sides: a box that reaches into it may be a cut face and is dropped."""


class Detector(Protocol):
    """Anything that finds the faces of a frame."""

    @property
    def description(self) -> str:
        """The detector's name, for logs."""
        ...

    def detect(self, frame: Frame) -> list[Face]:
        """Find the faces of a frame.

        Args:
            frame: (H, W, 3) BGR or (H, W) gray; its small picture may be used in place of it.

        Returns:
            The faces, largest first, with boxes and eyes in pixels of the frame.
        """
        ...


def open_detector(spec: str = "blazeface", threads: int = 1, acceleration: Acceleration | None = None) -> Detector:
    """Open a face detector.

    Args:
        spec: blazeface, blazeface-short, blazeface-full, yunet:FILE or haar.
        threads: Threads of the BlazeFace network.
        acceleration: Delegate or accelerator of the BlazeFace network; None for the interpreter alone.

    Returns:
        The detector.

    Raises:
        ModelError: The spec is unknown, or its model file is missing, altered or unusable.
    """
    kind, _, argument = spec.partition(":")
    if spec in VARIANTS:
        return BlazeFaceDetector(
            open_blazeface(VARIANTS[spec], threads, acceleration=acceleration), spec, tiled=spec == "blazeface"
        )
    if kind == "yunet":
        from fer_edge.edge.faces.opencv_detectors import YuNetDetector

        return YuNetDetector(Path(argument))
    if spec == "haar":
        from fer_edge.edge.faces.opencv_detectors import HaarDetector

        return HaarDetector()
    raise ModelError(f"detector {spec!r} is unknown; expected one of {', '.join(SPECS)}")


def list_tiles(width: int, height: int) -> list[tuple[int, int, int]]:
    """List overlapping squares that cover a large frame.

    A square's side is the frame's shorter one, or the network's input size where that is longer: it then reaches beyond
    the border of a narrow strip, which would need many more squares if it were enlarged.

    Args:
        width: Width of the frame, pixels.
        height: Height of the frame, pixels.

    Returns:
        Each square's left, top and side in pixels; none for a small, nearly square or very narrow frame.
    """
    shorter, longer = min(width, height), max(width, height)
    if longer < MIN_TILED_SIDE or longer <= 1.25 * shorter or shorter < FACE_SIZE:
        return []
    side = max(shorter, BACK_CAMERA.size)
    count = math.ceil((longer - side / 5) / (side - side / 5))
    starts = [round(index * (longer - side) / (count - 1)) for index in range(count)]
    return [(start, 0, side) if width > height else (0, start, side) for start in starts]


class BlazeFaceDetector:
    """BlazeFace on the whole frame and, if `tiled`, on the tiles of a large one."""

    def __init__(self, network: BlazeFace, description: str, tiled: bool = False) -> None:
        self._network, self._tiled = network, tiled
        self.description = description

    def detect(self, frame: Frame) -> list[Face]:
        """Find the faces of a frame, largest first, each with its eyes, in as few of its pixels as the network sees."""
        width, height = frame.size
        squares = list_tiles(width, height) if self._tiled else []
        seen = min(width, height) if squares else max(width, height)  # side of the square that the network sees
        pixels = to_bgr(frame.at_width(math.ceil(width * self._network.variant.size / seen)))
        x_scale, y_scale = width / pixels.shape[1], height / pixels.shape[0]  # from these pixels to the frame's
        rows = self._network.detect(pixels)
        if squares:
            squares = [(int(x / x_scale), int(y / y_scale), int(side / y_scale)) for x, y, side in squares]
            rows = blend(np.concatenate([rows, *(self._detect_in_tile(pixels, *square) for square in squares)]))
        rows[:, 0:-1:2] *= x_scale
        rows[:, 1:-1:2] *= y_scale
        return sort_by_size(
            [Face(make_box(*row[:4].tolist()), float(row[-1]), make_eyes(row[4:6], row[6:8])) for row in rows]
        )

    def _detect_in_tile(self, pixels: NDArray[np.uint8], x: int, y: int, side: int) -> NDArray[np.float32]:
        rows = self._network.detect(pixels[y : y + side, x : x + side])
        border = TILE_BORDER * side
        height, width = pixels.shape[:2]
        # no limit at the frame's own edges: no other tile holds more of the face
        low = np.array([border if x else -np.inf, border if y else -np.inf])
        right, bottom = x + side >= width, y + side >= height
        high = np.array([np.inf if right else side - border, np.inf if bottom else side - border])
        rows = rows[np.all((rows[:, :2] >= low) & (rows[:, 2:4] <= high), axis=1)]
        rows[:, 0:-1:2] += x
        rows[:, 1:-1:2] += y
        return rows
