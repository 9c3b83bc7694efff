"""Face boxes: made from corners, sorted by size, compared by intersection over union."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

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
    width = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    height = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    intersection = max(0, width) * max(0, height)
    union = a.width * a.height + b.width * b.height - intersection
    return intersection / union if union > 0 else 0.0


def make_eyes(first: NDArray[Any], second: NDArray[Any]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Two eye centres in the order of Face.eyes: the image-left one first."""
    left, right = sorted(((float(first[0]), float(first[1])), (float(second[0]), float(second[1]))))
    return left, right
