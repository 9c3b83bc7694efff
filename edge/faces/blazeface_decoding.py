"""From BlazeFace's outputs to detections: anchors, decoding, and blending in place of non-maximum suppression.

Source: Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs", arXiv:1907.05047.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MAX_LOGIT = 80.0
"""Logits are clipped to ±80 before the sigmoid: exp(-80) is still a normal float32."""

BLEND_IOU = 0.3
"""Intersection over union from which two detections are blended into one face."""

DETECTION_COLUMNS = 17
"""Columns of a detection: x0, y0, x1, y1, six key points (x, y), score."""


def make_anchors(layers: Sequence[tuple[int, int]], height: int, width: int) -> NDArray[np.float32]:
    """Make a network's anchors.

    Args:
        layers: Stride in pixels and number of anchors per cell, for each layer.
        height: Height of the input, pixels.
        width: Width of the input, pixels.

    Returns:
        (N, 2) float32 centres x, y in pixels of the input, in the order of the network's output rows.
    """
    grids = []
    for stride, count in layers:
        rows, columns = np.mgrid[: height // stride, : width // stride]
        centres = (np.stack([columns.ravel(), rows.ravel()], axis=1) + 0.5) * stride
        grids.append(np.repeat(centres, count, axis=0))
    return np.concatenate(grids).astype(np.float32)


def decode(
    regressors: NDArray[np.float32],
    logits: NDArray[np.float32],
    centres: NDArray[np.float32],
    threshold: float,
) -> NDArray[np.float32]:
    """Decode a network's outputs.

    Args:
        regressors: (N, 16) box centre, box size and six key points, in pixels relative to the anchor.
        logits: (N,) scores before the sigmoid.
        centres: (N, 2) anchor centres, as of `make_anchors`.
        threshold: Score, 0..1, from which a detection counts.

    Returns:
        The (K, 17) detections with such a score, in pixels of the network's input.
    """
    scores = 1 / (1 + np.exp(-np.clip(logits, -MAX_LOGIT, MAX_LOGIT)))
    keep = scores >= threshold
    pairs = regressors[keep].reshape(-1, 8, 2)
    origin = centres[keep, None]  # (K, 1, 2)
    centre, half = pairs[:, :1] + origin, pairs[:, 1:2] / 2
    points = np.concatenate([centre - half, centre + half, pairs[:, 2:] + origin], axis=1)  # (K, 8, 2)
    return np.concatenate([points.reshape(-1, 16), scores[keep, None]], axis=1)


def iou_with_boxes(box: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union, (K,) in 0..1, of a (4,) box with (K, 4) boxes, all as x0, y0, x1, y1."""
    corner = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    intersection = np.prod(np.clip(corner, 0, None), axis=1)
    union = np.prod(box[2:] - box[:2]) + np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) - intersection
    return np.asarray(intersection / np.maximum(union, np.float32(1e-9)), np.float32)


def blend(detections: NDArray[np.float32], min_iou: float = BLEND_IOU) -> NDArray[np.float32]:
    """Blend overlapping detections into one per face: the score-weighted mean of all that overlap the best one.

    The paper does so against jitter: non-maximum suppression would discard what the neighbours know of the place.

    Args:
        detections: (K, 17), in any order.
        min_iou: Intersection over union from which two detections are of one face.

    Returns:
        (F, 17) detections, one per face, best first, each with its best score.
    """
    rest = detections[np.argsort(-detections[:, -1], kind="stable")]
    faces = []
    while len(rest):
        # the best overlaps itself, except where its box has no area: it leaves the list in any case
        same = iou_with_boxes(rest[0, :4], rest[:, :4]) >= min_iou
        same[0] = True
        face = np.average(rest[same], axis=0, weights=rest[same, -1])
        face[-1] = rest[0, -1]
        faces.append(face)
        rest = rest[~same]
    return np.asarray(faces, np.float32).reshape(-1, DETECTION_COLUMNS)
