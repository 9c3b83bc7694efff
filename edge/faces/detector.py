"""Face detection: the shipped BlazeFace networks, YuNet with a file of the user's, or OpenCV's Haar cascade."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import ModelError
from fer_edge.edge.faces.blazeface import BACK_CAMERA, FULL_RANGE, SHORT_RANGE, BlazeFace, blend, open_blazeface
from fer_edge.edge.preprocess import FACE_SIZE, to_gray
from fer_edge.edge.types import Box, Face, Frame

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

HAAR_SCORE = 1.0
"""The score of every face, as a cascade gives no probability."""

HAAR_SCALE, HAAR_SHIFT = 0.876, 0.073
"""From a cascade's box to BlazeFace's, in cascade sides: the new side, and how far down the centre moves.

`Face.box` thus has one meaning. Measured under OpenCV 4.11, without this step, with
`fer-edge bench crop --detector haar --count 1000`: FER2013's pictures are the boxes of such
a cascade (medians: picture / box side 1.021, centre at 0.500, 0.500), larger and higher up than BlazeFace's.
"""


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


def open_detector(spec: str = "blazeface", threads: int = 1) -> Detector:
    """Open a face detector.

    Args:
        spec: blazeface, blazeface-short, blazeface-full, yunet:FILE or haar.
        threads: Threads of the BlazeFace network.

    Returns:
        The detector.

    Raises:
        ModelError: The spec is unknown, or its model file is missing, altered or unusable.
    """
    kind, _, argument = spec.partition(":")
    if spec in VARIANTS:
        return BlazeFaceDetector(open_blazeface(VARIANTS[spec], threads), spec, tiled=spec == "blazeface")
    if kind == "yunet":
        return YuNetDetector(Path(argument))
    if spec == "haar":
        return HaarDetector()
    raise ModelError(f"detector {spec!r} is unknown; expected one of {', '.join(SPECS)}")


def sort_by_size(faces: list[Face]) -> list[Face]:
    """Sort faces by area, largest first, and equal areas by score."""
    return sorted(faces, key=lambda face: (-face.box.width * face.box.height, -face.score))


def make_box(x0: float, y0: float, x1: float, y1: float) -> Box:
    """The integer box nearest to two corners, at least one pixel wide and high."""
    left, top = round(x0), round(y0)
    return Box(left, top, max(1, round(x1) - left), max(1, round(y1) - top))


def convert_haar_box(x: int, y: int, width: int, height: int) -> Box:
    """Convert a cascade's rectangle to the box that BlazeFace would draw around the same face."""
    centre_x, centre_y = x + width / 2, y + height * (0.5 + HAAR_SHIFT)
    half_width, half_height = width * HAAR_SCALE / 2, height * HAAR_SCALE / 2
    return make_box(centre_x - half_width, centre_y - half_height, centre_x + half_width, centre_y + half_height)


def make_eyes(first: NDArray[Any], second: NDArray[Any]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Two eye centres in the order of Face.eyes: the image-left one first."""
    left, right = sorted(((float(first[0]), float(first[1])), (float(second[0]), float(second[1]))))
    return left, right


def to_bgr(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Convert (H, W) gray to (H, W, 3) BGR; (H, W, 3) BGR stays."""
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR), np.uint8) if pixels.ndim == 2 else pixels


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
        """Find the faces of a frame, largest first, each with its eyes; in its small picture where it has one."""
        height, width = frame.pixels.shape[:2]
        pixels = to_bgr(frame.pixels if frame.small is None else frame.small)
        x_scale, y_scale = width / pixels.shape[1], height / pixels.shape[0]  # from the small picture to the frame
        rows = self._network.detect(pixels)
        squares = list_tiles(width, height) if self._tiled else []
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


class YuNetDetector:
    """OpenCV's FaceDetectorYN with a YuNet ONNX file of the user's, as OpenCV's wheels contain none."""

    def __init__(self, path: Path, threshold: float = 0.7) -> None:
        self.description = f"yunet:{path}"
        if not path.is_file():
            raise ModelError(f"yunet:{path}: no such file; expected YuNet's .onnx from OpenCV's model zoo")
        try:
            self._network = cv2.FaceDetectorYN.create(str(path), "", (320, 320), threshold)
            self._network.detect(np.zeros((320, 320, 3), np.uint8))  # opening succeeds with any ONNX file
        except cv2.error as error:
            reason = str(error).strip().splitlines()[0]
            raise ModelError(f"yunet:{path} cannot be used: {reason}; expected YuNet's .onnx") from None

    def detect(self, frame: Frame) -> list[Face]:
        """Find the faces of a frame, largest first, each with its eyes."""
        pixels = to_bgr(frame.pixels)
        self._network.setInputSize((pixels.shape[1], pixels.shape[0]))
        _, rows = self._network.detect(pixels)  # (K, 15): x, y, width, height, five points, score
        return sort_by_size(
            [
                Face(
                    make_box(row[0], row[1], row[0] + row[2], row[1] + row[3]),
                    float(np.clip(row[-1], 0, 1)),
                    make_eyes(row[4:6], row[6:8]),
                )
                for row in ([] if rows is None else rows)
            ]
        )


class HaarDetector:
    """OpenCV's frontal-face cascade (Viola and Jones, CVPR 2001), which finds upright faces only, without eyes."""

    description = "haar"

    def __init__(self) -> None:
        if not hasattr(cv2, "CascadeClassifier"):
            raise ModelError(f"haar: OpenCV {cv2.__version__} has no cascades; pip install 'opencv-python<5'")
        folder = Path(cv2.__file__).parent / "data"
        path = folder / "haarcascade_frontalface_default.xml"
        self._cascade = cv2.CascadeClassifier(str(path))
        if self._cascade.empty():
            raise ModelError(f"haar: {path} is missing; pip install 'opencv-python<5', or use blazeface")

    def detect(self, frame: Frame) -> list[Face]:
        """Find the faces of a frame, largest first, without eyes; the score is always HAAR_SCORE."""
        gray = cv2.equalizeHist(to_gray(frame.pixels))
        side = max(24, min(gray.shape) // 12)
        rows = self._cascade.detectMultiScale(gray, scaleFactor=1.1, minNeighbors=5, minSize=(side, side))
        boxes = [convert_haar_box(*(int(value) for value in row)) for row in rows]
        return sort_by_size([Face(box, HAAR_SCORE) for box in boxes])
