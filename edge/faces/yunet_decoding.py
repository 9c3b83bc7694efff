"""From YuNet's outputs to detections: scores, boxes and key points of cells, and one detection per face.

Source: Wu, Peng, Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research 20 (2023).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.faces.boxes import iou_with_boxes, share_in_boxes

STRIDES = (8, 16, 32)
"""Pixels of the network's input from one cell to the next, for each of its outputs."""

CHANNELS = 16
"""Values of a cell: class logit, objectness logit, box centre x, y, log of box width, height, five key points."""

DETECTION_COLUMNS = 15
"""Columns of a detection: x0, y0, x1, y1, five key points (x, y), score; the first two points are the eyes."""

SAME_FACE_IOU = 0.3
"""Intersection over union from which two detections are of one face."""

SAME_FACE_SHARE = 0.6
"""Share of the smaller box in the larger one from which two detections are of one face."""


@dataclass(frozen=True)
class OutputRange:
    """The real values that -127 and 127 stand for in each channel of the int8 outputs.

    Attributes:
        low: (16,) float32.
        high: (16,) float32.
    """

    low: NDArray[np.float32]
    high: NDArray[np.float32]

    def dequantize(self, cells: NDArray[np.int8]) -> NDArray[np.float32]:
        """Real values, (N, 16) float32, of (N, 16) int8 cells."""
        return self.low + (cells.astype(np.float32) + 127) * ((self.high - self.low) / np.float32(254))

    def scores(self) -> NDArray[np.float32]:
        """Look-up table of scores by the bits of a cell's first two values, class and objectness logit.

        Returns:
            (65536,) float32: the geometric mean of both probabilities, 0..1.
        """
        integers = np.arange(65536, dtype="<u2").view(np.int8).reshape(-1, 2)
        logits = self.low[:2] + (integers.astype(np.float64) + 127) * ((self.high - self.low)[:2] / 254)
        return np.asarray(np.sqrt((1 / (1 + np.exp(-logits))).prod(axis=1)), np.float32)


def decode(
    outputs: Sequence[NDArray[np.int8]],
    output_range: OutputRange,
    scores: NDArray[np.float32],
    threshold: float,
) -> NDArray[np.float32]:
    """Decode the network's outputs.

    Args:
        outputs: (1, h, w, 16) int8 for each of STRIDES.
        output_range: What the outputs' values stand for.
        scores: Its look-up table.
        threshold: Score, 0..1, from which a detection counts.

    Returns:
        The (K, 15) float32 detections with such a score, in pixels of the network's input.
    """
    detections = []
    for output, stride in zip(outputs, STRIDES, strict=True):
        cells = output.reshape(-1, CHANNELS)
        cell_scores = scores[cells.view("<u2")[:, 0]]
        keep = np.flatnonzero(cell_scores >= threshold)
        if not len(keep):
            continue
        values, columns = output_range.dequantize(cells[keep]), output.shape[2]
        origin = np.stack([keep % columns, keep // columns], axis=1).astype(np.float32)  # (K, 2)
        centre, half = values[:, 2:4] + origin, np.exp(values[:, 4:6]) / 2
        points = (values[:, 6:].reshape(-1, 5, 2) + origin[:, None]).reshape(-1, 10)
        box = np.concatenate([centre - half, centre + half, points], axis=1) * stride
        detections.append(np.concatenate([box, cell_scores[keep, None]], axis=1))
    if not detections:
        return np.zeros((0, DETECTION_COLUMNS), np.float32)
    return np.concatenate(detections).astype(np.float32)


def best_of_each_face(detections: NDArray[np.float32]) -> NDArray[np.intp]:
    """Choose one detection per face: non-maximum suppression, in which a box inside another one is the same face.

    Args:
        detections: (K, 15), in any order.

    Returns:
        The indices of the chosen ones, best first.
    """
    order = np.argsort(-detections[:, -1], kind="stable")
    chosen = []
    while len(order):
        best, order = order[0], order[1:]
        chosen.append(best)
        box, boxes = detections[best, :4], detections[order, :4]
        same = (iou_with_boxes(box, boxes) >= SAME_FACE_IOU) | (share_in_boxes(box, boxes) >= SAME_FACE_SHARE)
        order = order[~same]
    return np.asarray(chosen, np.intp)
