"""Face boxes: made from corners, sorted by size, compared by their intersection."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.types import Box, Face


def sort_by_size(faces: Iterable[Face]) -> list[Face]:
    """Sort faces by area, largest first, and equal areas by score."""
    return sorted(faces, key=lambda face: (-face.box.width * face.box.height, -face.score))


def make_box(x0: float, y0: float, x1: float, y1: float) -> Box:
    """The integer box nearest to two corners, at least one pixel wide and high."""
    left, top = round(x0), round(y0)
    return Box(left, top, max(1, round(x1) - left), max(1, round(y1) - top))


def box_iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, 0..1; 0 for boxes without area."""
    shared = _shared_area(a, b)
    union = a.width * a.height + b.width * b.height - shared
    return shared / union if union > 0 else 0.0


def share_in_box(a: Box, b: Box) -> float:
    """The share, 0..1, of box a that lies in box b; 0 for a box without area."""
    area = a.width * a.height
    return _shared_area(a, b) / area if area > 0 else 0.0


def _shared_area(a: Box, b: Box) -> int:
    width = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    height = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    return max(0, width) * max(0, height)


def iou_with_boxes(box: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union, (K,) in 0..1, of a (4,) box with (K, 4) boxes, all as x0, y0, x1, y1."""
    shared = _intersections(box, boxes)
    return np.asarray(shared / np.maximum(_areas(box) + _areas(boxes) - shared, np.float32(1e-9)), np.float32)


def share_in_boxes(box: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """The intersection's share, (K,) in 0..1, of the smaller of a (4,) box and each of (K, 4) boxes."""
    smaller = np.minimum(_areas(box), _areas(boxes))
    return np.asarray(_intersections(box, boxes) / np.maximum(smaller, np.float32(1e-9)), np.float32)


def _intersections(box: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    return np.asarray(np.prod(np.clip(sides, 0, None), axis=1), np.float32)


def _areas(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(np.prod(boxes[..., 2:4] - boxes[..., :2], axis=-1), np.float32)
