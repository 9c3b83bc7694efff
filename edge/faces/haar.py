"""OpenCV's Haar cascade as a face detector, for comparison."""

from __future__ import annotations

from pathlib import Path

import cv2

from fer_edge.edge.errors import ModelError
from fer_edge.edge.faces.boxes import make_box, sort_by_size
from fer_edge.edge.preprocess import to_gray
from fer_edge.edge.types import Box, Face, Frame

HAAR_SCORE = 1.0
"""The score of every face, as a cascade gives no probability."""

HAAR_SCALE = 0.954
"""Side of YuNet's box in sides of a cascade's, so that `Face.box` has one meaning.

Measured under OpenCV 4.11, without this step, with `fer-edge bench crop --detector haar --count 1000`: FER2013's
pictures are the boxes of such a cascade (medians: picture / box side 1.021, centre at 0.500, 0.500); YuNet's are
smaller, around the same centre.
"""


def convert_haar_box(x: int, y: int, width: int, height: int) -> Box:
    """Convert a cascade's rectangle to a box of the size that YuNet would draw around the same face."""
    centre_x, centre_y = x + width / 2, y + height / 2
    half_width, half_height = width * HAAR_SCALE / 2, height * HAAR_SCALE / 2
    return make_box(centre_x - half_width, centre_y - half_height, centre_x + half_width, centre_y + half_height)


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
            raise ModelError(f"haar: {path} is missing; pip install 'opencv-python<5', or use yunet")

    def detect(self, frame: Frame) -> list[Face]:
        """Find the faces of a frame, largest first, without eyes; the score is always HAAR_SCORE."""
        gray = cv2.equalizeHist(to_gray(frame.pixels))
        side = max(24, min(gray.shape) // 12)
        rows = self._cascade.detectMultiScale(gray, scaleFactor=1.1, minNeighbors=5, minSize=(side, side))
        boxes = [convert_haar_box(*(int(value) for value in row)) for row in rows]
        return sort_by_size([Face(box, HAAR_SCORE) for box in boxes])
