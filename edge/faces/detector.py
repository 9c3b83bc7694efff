"""Face detection: YuNet finds the faces, also turned ones, and BlazeFace their eyes; or OpenCV's Haar cascade."""

from __future__ import annotations

import math
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import ModelError
from fer_edge.edge.faces.aligner import Aligner, open_aligner
from fer_edge.edge.faces.boxes import make_box, share_in_box, sort_by_size
from fer_edge.edge.faces.crop import eye_tilt
from fer_edge.edge.faces.yunet import YuNet, open_yunet, plan_input
from fer_edge.edge.faces.yunet_decoding import best_of_each_face
from fer_edge.edge.preprocess import downscale, to_bgr
from fer_edge.edge.types import Acceleration, Face, Frame

SPECS = ("yunet", "haar")

THRESHOLD = 0.6
"""Score, 0..1, from which a face counts, see `combine_scores`.

Chosen by the curve of `fer-edge bench detection`: one of 66 pictures without a face then has a false one. At 0.5 three
have one, and the recall of faces from 32 px in 640x480 grows from 91 to 93 %.
"""

CANDIDATE_SCORE = 0.35
"""YuNet's score, 0..1, from which a detection is a candidate that BlazeFace may confirm."""

NETWORK_FACE = 24.0
"""Width of a face in the network's input, pixels, from which it is found reliably; at 16 nine of ten are."""

INPUT_SIDES = (160, 1920)
"""Least and greatest length of the input's longer side, pixels, that `min_face` chooses from."""

VIDEO_SIDE, PICTURE_SIDE = 256, 640
"""Length of the input's longer side, pixels, unless `min_face` sets it: in video, and in single pictures."""

MAX_ENLARGEMENT = 2.0
"""Input pixels per picture pixel at most: a small picture is not enlarged further."""

MIN_SHORTER_SIDE = 128
"""Length of the input's shorter side, pixels, below which the strip of a panorama is reduced less."""

MAX_INPUT_AREA = 640 * 640
"""Number of input pixels that such a strip may have."""

MAX_UPRIGHT_TILT = 45.0
"""Degrees; turned frames are searched where a face is tilted further, or where there is none."""

SEARCHED_TILTS = (45, -45, 90, -90, 180, 135, -135)
"""Degrees clockwise of the faces that are upright in the turned frames, in the order in which video is searched."""

MAX_COVERED = 0.5
"""Share of a face's box that may lie in the boxes of faces with higher scores: more is seen between two faces."""

SAME_EYES_DISTANCE = 0.4
"""Distance of the midpoints of the eyes, in widths of the smaller box, below which two boxes are of one face."""

TURNED_SHARE = 0.75
"""Scale of the passes in which a single picture is searched turned, in scales of the upright pass."""


MAX_TURNED_SIDE = 960
"""Side of a turned pass's input, pixels, at most: it is square, however narrow the picture is."""


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


def open_detector(
    spec: str = "yunet",
    threads: int = 1,
    acceleration: Acceleration | None = None,
    *,
    min_face: int | None = None,
    continuous: bool = False,
    threshold: float = THRESHOLD,
) -> Detector:
    """Open a face detector.

    Args:
        spec: yunet or haar.
        threads: Threads of the networks.
        acceleration: Delegate or accelerator of the networks; None for the interpreter alone.
        min_face: Width of the smallest face to find, pixels of the frame: the smaller, the slower. None finds faces of
            1/11 of the longer side in video, and of 1/27 in single pictures.
        continuous: Whether the frames are of one scene. Each is then searched for turned faces of one tilt, not all.
        threshold: Score, 0..1, from which a face of yunet counts.

    Returns:
        The detector.

    Raises:
        ModelError: The spec is unknown, or its model file is missing, altered or unusable.
    """
    if spec == "yunet":
        networks = open_yunet(threads, acceleration=acceleration), open_aligner(threads, acceleration, continuous)
        return FaceDetector(*networks, min_face, continuous, threshold)
    if spec == "haar":
        from fer_edge.edge.faces.haar import HaarDetector

        return HaarDetector()
    raise ModelError(f"detector {spec!r} is unknown; expected one of {', '.join(SPECS)}")


def input_scale(size: tuple[int, int], min_face: int | None, continuous: bool) -> float:
    """Choose how much a frame is reduced for the network.

    Args:
        size: Width and height of the frame, pixels.
        min_face: Width of the smallest face to find, frame pixels; None for the default.
        continuous: Whether the frame is of a video.

    Returns:
        Input pixels per frame pixel.
    """
    shorter, longer = sorted(size)
    side: float = VIDEO_SIDE if continuous else PICTURE_SIDE
    if min_face is not None:
        side = min(max(longer * NETWORK_FACE / min_face, INPUT_SIDES[0]), INPUT_SIDES[1])
    strip = min(1.0, MIN_SHORTER_SIDE / shorter, math.sqrt(MAX_INPUT_AREA / (shorter * longer)))
    return min(max(side / longer, strip), MAX_ENLARGEMENT)


class FaceDetector:
    """YuNet on the frame and, where it must be, on turned ones, with the eyes that BlazeFace finds in each face."""

    description = "yunet"

    def __init__(
        self, network: YuNet, aligner: Aligner, min_face: int | None, continuous: bool, threshold: float = THRESHOLD
    ) -> None:
        self._network, self._aligner, self._min_face = network, aligner, min_face
        self._continuous, self._threshold = continuous, threshold
        self._candidate_score = min(CANDIDATE_SCORE, threshold)
        self._next = 0

    def detect(self, frame: Frame) -> list[Face]:
        """Find the faces of a frame, largest first, each with its eyes; in its small picture where that is enough."""
        size = frame.size
        scale = input_scale(size, self._min_face, self._continuous)
        pixels = to_bgr(frame.at_width(round(size[0] * min(1.0, scale))))
        scale *= size[0] / pixels.shape[1]  # input pixels per pixel of this picture
        passes = {0: self._upright(pixels, scale)}
        faces = self._faces(frame, passes, pixels)
        tilts = [eye_tilt(face) for face in faces]
        if not faces or max(map(abs, tilts)) > MAX_UPRIGHT_TILT:
            searched = (self._video_tilt(tilts),) if self._continuous else SEARCHED_TILTS
            faces = self._faces(frame, passes | {tilt: self._turned(pixels, scale, tilt) for tilt in searched}, pixels)
            if not faces:
                self._next += 1
        return sort_by_size(faces)

    def _video_tilt(self, tilts: list[float]) -> int:
        """The tilt to search in this frame: a face's, or else the next one until one has found a face."""
        for tilt in tilts:
            if abs(tilt) > MAX_UPRIGHT_TILT:
                differences = [abs((tilt - searched + 180) % 360 - 180) for searched in SEARCHED_TILTS]
                self._next = int(np.argmin(differences))
        return SEARCHED_TILTS[self._next % len(SEARCHED_TILTS)]

    def _faces(self, frame: Frame, passes: dict[int, NDArray[np.float32]], pixels: NDArray[np.uint8]) -> list[Face]:
        """The faces among the detections by tilt, which are in the coordinates of these pixels, with their eyes."""
        detections = np.concatenate(list(passes.values()))
        detections[:, 0:-1:2] *= frame.size[0] / pixels.shape[1]
        detections[:, 1:-1:2] *= frame.size[1] / pixels.shape[0]
        tilts = np.repeat(list(passes), [len(each) for each in passes.values()])
        chosen = best_of_each_face(detections)
        faces = [self._face(frame, detections[index], int(tilts[index])) for index in chosen]
        return drop_phantoms([face for face in faces if face.score >= self._threshold])

    def _upright(self, pixels: NDArray[np.uint8], scale: float) -> NDArray[np.float32]:
        plan = plan_input((pixels.shape[1], pixels.shape[0]), scale)
        return plan.restore(self._network.detect(plan.place(pixels), self._candidate_score))

    def _turned(self, pixels: NDArray[np.uint8], scale: float, tilt: int) -> NDArray[np.float32]:
        """Detections of faces with that tilt, degrees clockwise, in a reduced picture that is turned upright by it."""
        scale *= 1.0 if self._continuous else TURNED_SHARE
        scale = min(scale, MAX_TURNED_SIDE / max(pixels.shape[:2]))
        plan = plan_input((pixels.shape[1], pixels.shape[0]), scale, square=True)
        small = downscale(pixels, plan.inner)
        middle = (plan.inner[0] / 2, plan.inner[1] / 2)
        matrix = np.asarray(cv2.getRotationMatrix2D(middle, tilt, 1), np.float64)  # counter-clockwise
        matrix[:, 2] += np.subtract((plan.width / 2, plan.height / 2), middle)
        turned = np.asarray(cv2.warpAffine(small, matrix, (plan.width, plan.height)), np.uint8)
        detections = self._network.detect(turned, self._candidate_score)
        return plan.restore(turn_back(detections, matrix, tilt))

    def _face(self, frame: Frame, detection: NDArray[np.float32], tilt: int) -> Face:
        eyes, eye_score = self._aligner.align(frame, detection, tilt)
        score = combine_scores(float(detection[-1]), eye_score, is_turned=tilt != 0)
        return Face(make_box(*detection[:4].tolist()), score, eyes, eye_score=eye_score)


def combine_scores(detection_score: float, eye_score: float, is_turned: bool) -> float:
    """Combine YuNet's score of a face with BlazeFace's, which sees the face in a crop of its own.

    Args:
        detection_score: YuNet's score, 0..1.
        eye_score: BlazeFace's score, 0..1.
        is_turned: Whether the face was detected in a turned frame, where fewer faces are and as many
            things that look like one.

    Returns:
        The lower score for a turned face; else their geometric mean, in which YuNet's counts three times if it is the
        higher one: a face with hidden eyes is a face.
    """
    if is_turned:
        return min(detection_score, eye_score)
    return math.sqrt(detection_score) * math.sqrt(max(eye_score, math.sqrt(detection_score * eye_score)))


def drop_phantoms(faces: list[Face]) -> list[Face]:
    """Drop second boxes around one head, and boxes between two heads.

    Args:
        faces: The faces of a frame, with eyes.

    Returns:
        Those whose eyes and boxes are not the eyes of, or in the boxes of, faces with higher scores; best first.
    """
    kept: list[Face] = []
    for face in sorted(faces, key=lambda each: -each.score):
        is_second = any(_eye_distance(face, other) < SAME_EYES_DISTANCE for other in kept)
        if not is_second and sum(share_in_box(face.box, other.box) for other in kept) <= MAX_COVERED:
            kept.append(face)
    return kept


def _eye_distance(a: Face, b: Face) -> float:
    """Distance of the midpoints of two faces' eyes, in widths of the smaller box."""
    middles = [np.mean(face.eyes or (0, 0), axis=0) for face in (a, b)]
    return float(np.linalg.norm(middles[0] - middles[1])) / min(a.box.width, b.box.width)


def turn_back(detections: NDArray[np.float32], matrix: NDArray[np.float64], tilt: float) -> NDArray[np.float32]:
    """Convert detections in a turned picture to the coordinates of the picture itself.

    Args:
        detections: (K, 15), in pixels of the turned picture.
        matrix: (2, 3), from pixels of the picture to those of the turned one.
        tilt: Degrees counter-clockwise by which it was turned.

    Returns:
        (K, 15) float32; the upright boxes around the turned ones, reduced to the same area.
    """
    back = cv2.invertAffineTransform(matrix)
    centres, sides = (detections[:, :2] + detections[:, 2:4]) / 2, detections[:, 2:4] - detections[:, :2]
    points = np.concatenate([centres, detections[:, 4:14]], axis=1).reshape(-1, 6, 2) @ back[:, :2].T + back[:, 2]
    cos, sin = abs(math.cos(math.radians(tilt))), abs(math.sin(math.radians(tilt)))
    around = sides * cos + sides[:, ::-1] * sin
    growth = np.sqrt(around.prod(axis=1, keepdims=True) / np.maximum(sides.prod(axis=1, keepdims=True), 1e-9))
    half = around / np.maximum(growth, 1e-9) / 2
    boxes = np.concatenate([points[:, 0] - half, points[:, 0] + half], axis=1)
    return np.concatenate([boxes, points[:, 1:].reshape(-1, 10), detections[:, -1:]], axis=1).astype(np.float32)
