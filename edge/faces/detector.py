"""Frames to faces: BlazeFace as it ships, YuNet or Haar cascades where a user brings or has them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import ModelError
from fer_edge.edge.faces.blazeface import BACK, FULL, SHORT, BlazeFace, blend, open_blazeface
from fer_edge.edge.preprocess import FACE_SIZE, to_gray
from fer_edge.edge.types import Box, Face, Frame

VARIANTS = {"blazeface": BACK, "blazeface-short": SHORT, "blazeface-full": FULL}
"""`blazeface` is the rear-camera network (on large frames with tiles); the choice was measured, once.

No command repeats it: the photographs are not part of the project. One portrait pasted 40 times on eight
photographs and textures, turned up to 40 degrees, its face 40 or 60 px wide in 640x480, 80 in 1280x720: times
found. 150 FER2013 training faces of 100 and 200 px in 640x480: found. 360 windows of photographs without a face:
boxes. Thresholds: short 0.5, full 0.6, back 0.65; no tiles.

|       | 40 px | 60 px | 80 px | FER2013 100 | FER2013 200 | false |
|-------|-------|-------|-------|-------------|-------------|-------|
| short |  0    |  9    |  0    |  14         |  134        |  34   |
| full  |  4    | 33    | 10    |  19         |   72        |   5   |
| back  | 34    | 40    | 37    | 109         |  142        |   4   |

It also found 12 of 12 close-ups wider than the frame is high, where full found 8. Full on square tiles and
full joined with short were tried: dearer than one pass of back and still behind it. Back takes four to five
times short's time.
"""

SPECS = (*VARIANTS, "yunet:FILE", "haar")

TILED_FROM = 960
"""Longer side in pixels from which `blazeface` also looks at square tiles of the frame.

A face needs about 16 of the network's 256 pixels: 40 of 640, but 80 of 1280. With two more passes, over the
ends of a 1280x720 frame, 40 of 40 faces of 60 px were found and 27 of 40 of 45 px. A 640x480 frame, which is
what a small board should ask its camera for, stays at one pass.
"""

TILE_BORDER = 0.02
"""Width of a tile's inner border, in tile sides: a box that reaches it may be a cut face; it is dropped."""

HAAR_SCORE = 1.0
"""A cascade gives no probability."""

HAAR_SIDE, HAAR_DOWN = 0.876, 0.073
"""From a cascade's box to BlazeFace's, in cascade sides: the side, and how far down the centre moves.

So Face.box means one thing. Measured under OpenCV 4.11, without this step, with
`fer-edge bench crop --detector haar --count 1000`: FER2013's pictures are the boxes of such
a cascade (medians: picture / box side 1.021, centre at 0.500, 0.500), larger and higher up than BlazeFace's.
"""


class Detector(Protocol):
    """Anything that finds faces in a frame, largest first, boxes in integer pixels of that frame."""

    @property
    def description(self) -> str:
        """What looks for faces, in a word."""
        ...

    def detect(self, frame: Frame) -> list[Face]: ...


def open_detector(spec: str = "blazeface", threads: int = 1) -> Detector:
    """The detector that a spec names (see SPECS); ModelError where it is unknown or its file unusable."""
    kind, _, argument = spec.partition(":")
    if spec in VARIANTS:
        return BlazeFaceDetector(open_blazeface(VARIANTS[spec], threads), spec, tiled=spec == "blazeface")
    if kind == "yunet":
        return YuNetDetector(Path(argument))
    if spec == "haar":
        return HaarDetector()
    raise ModelError(f"detector {spec!r} is unknown; expected one of {', '.join(SPECS)}")


def largest_first(faces: list[Face]) -> list[Face]:
    """The same faces by area, largest first; equal areas by score."""
    return sorted(faces, key=lambda face: (-face.box.width * face.box.height, -face.score))


def box_of(x0: float, y0: float, x1: float, y1: float) -> Box:
    """The integer box nearest to two corners, at least one pixel wide and high."""
    left, top = round(x0), round(y0)
    return Box(left, top, max(1, round(x1) - left), max(1, round(y1) - top))


def haar_box(x: int, y: int, width: int, height: int) -> Box:
    """A cascade's rectangle as the box that BlazeFace would draw about the same face."""
    across, down = x + width / 2, y + height * (0.5 + HAAR_DOWN)
    half_width, half_height = width * HAAR_SIDE / 2, height * HAAR_SIDE / 2
    return box_of(across - half_width, down - half_height, across + half_width, down + half_height)


def eyes_of(first: NDArray[Any], second: NDArray[Any]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Two eye centres in the order of Face.eyes: the image-left one first."""
    left, right = sorted(((float(first[0]), float(first[1])), (float(second[0]), float(second[1]))))
    return left, right


def to_bgr(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W) gray or (H, W, 3) BGR to (H, W, 3) BGR."""
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR), np.uint8) if pixels.ndim == 2 else pixels


def tiles(width: int, height: int) -> list[tuple[int, int, int]]:
    """Overlapping squares (x, y, side) that cover a large frame; none for a small, nearly square or very narrow one.

    A square has the frame's shorter side, or the network's where that is longer: it reaches over the rim of a strip,
    which enlarged would need many more of them.
    """
    shorter, longer = min(width, height), max(width, height)
    if longer < TILED_FROM or longer <= 1.25 * shorter or shorter < FACE_SIZE:
        return []
    side = max(shorter, BACK.size)
    count = math.ceil((longer - side / 5) / (side - side / 5))
    starts = [round(index * (longer - side) / (count - 1)) for index in range(count)]
    return [(start, 0, side) if width > height else (0, start, side) for start in starts]


class BlazeFaceDetector:
    """BlazeFace over the whole frame and, where tiled, over the tiles of a large one."""

    def __init__(self, network: BlazeFace, description: str, tiled: bool = False) -> None:
        self._network, self._tiled = network, tiled
        self.description = description

    def detect(self, frame: Frame) -> list[Face]:
        """The frame's faces, largest first, each with its eyes."""
        height, width = frame.pixels.shape[:2]
        pixels = to_bgr(frame.pixels if frame.small is None else frame.small)
        across, down = width / pixels.shape[1], height / pixels.shape[0]  # from the small picture to the frame
        rows = self._network.detect(pixels)
        squares = tiles(width, height) if self._tiled else []
        if squares:
            squares = [(int(x / across), int(y / down), int(side / down)) for x, y, side in squares]
            rows = blend(np.concatenate([rows, *(self._in_tile(pixels, *square) for square in squares)]))
        rows[:, 0:-1:2] *= across
        rows[:, 1:-1:2] *= down
        return largest_first(
            [Face(box_of(*row[:4].tolist()), float(row[-1]), eyes_of(row[4:6], row[6:8])) for row in rows]
        )

    def _in_tile(self, pixels: NDArray[np.uint8], x: int, y: int, side: int) -> NDArray[np.float32]:
        rows = self._network.detect(pixels[y : y + side, x : x + side])
        border = TILE_BORDER * side
        height, width = pixels.shape[:2]
        # Infinite at the frame's own edges: there is no other tile that sees more of the face.
        low = np.array([border if x else -np.inf, border if y else -np.inf])
        right, bottom = x + side >= width, y + side >= height
        high = np.array([np.inf if right else side - border, np.inf if bottom else side - border])
        rows = rows[np.all((rows[:, :2] >= low) & (rows[:, 2:4] <= high), axis=1)]
        rows[:, 0:-1:2] += x
        rows[:, 1:-1:2] += y
        return rows


class YuNetDetector:
    """OpenCV's FaceDetectorYN with a YuNet ONNX file that the user brings; OpenCV's wheels hold none."""

    def __init__(self, path: Path, threshold: float = 0.7) -> None:
        self.description = f"yunet:{path}"
        if not path.is_file():
            raise ModelError(f"yunet:{path}: no such file; expected YuNet's .onnx from OpenCV's model zoo")
        try:
            self._network = cv2.FaceDetectorYN.create(str(path), "", (320, 320), threshold)
            self._network.detect(np.zeros((320, 320, 3), np.uint8))  # any ONNX can be opened
        except cv2.error as error:
            why = str(error).strip().splitlines()[0]
            raise ModelError(f"yunet:{path} cannot be used: {why}; expected YuNet's .onnx") from None

    def detect(self, frame: Frame) -> list[Face]:
        """The frame's faces, largest first, each with its eyes; rows are x, y, w, h, five points, score."""
        pixels = to_bgr(frame.pixels)
        self._network.setInputSize((pixels.shape[1], pixels.shape[0]))
        _, rows = self._network.detect(pixels)
        return largest_first(
            [
                Face(
                    box_of(row[0], row[1], row[0] + row[2], row[1] + row[3]),
                    float(np.clip(row[-1], 0, 1)),
                    eyes_of(row[4:6], row[6:8]),
                )
                for row in ([] if rows is None else rows)
            ]
        )


class HaarDetector:
    """OpenCV's frontal-face cascade (Viola and Jones, CVPR 2001): upright faces only, no eyes."""

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
        """The frame's faces, largest first, without eyes; the score is always HAAR_SCORE."""
        gray = cv2.equalizeHist(to_gray(frame.pixels))
        side = max(24, min(gray.shape) // 12)
        found = self._cascade.detectMultiScale(gray, scaleFactor=1.1, minNeighbors=5, minSize=(side, side))
        boxes = [haar_box(*(int(value) for value in row)) for row in found]
        return largest_first([Face(box, HAAR_SCORE) for box in boxes])
