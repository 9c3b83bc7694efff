"""From BlazeFace's outputs to a detection: anchors, decoding, and blending in place of non-maximum suppression.

Source: Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs", arXiv:1907.05047.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.faces.boxes import iou_with_boxes

MAX_LOGIT = 80.0
"""Logits are clipped to ±80 before the sigmoid: exp(-80) is still a normal float32."""

BLEND_IOU = 0.3
"""Intersection over union with the best detection from which another one is blended into it."""

BLENDED = 16
"""Detections, best first, among which those to blend are looked for; the others' scores are next to nothing."""


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
    regressors: NDArray[np.float32], logits: NDArray[np.float32], centres: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Decode a network's outputs.

    Args:
        regressors: (N, 16) box centre, box size and six key points, in pixels relative to the anchor.
        logits: (N,) scores before the sigmoid.
        centres: (N, 2) anchor centres, as of `make_anchors`.

    Returns:
        The BLENDED detections with the highest scores, best first: (K, 17) x0, y0, x1, y1, six key points (x, y) in
        pixels of the input, of which the first two are the eyes, and score.
    """
    best = np.argsort(-logits, kind="stable")[:BLENDED]
    scores = 1 / (1 + np.exp(-np.clip(logits[best], -MAX_LOGIT, MAX_LOGIT)))
    pairs = regressors[best].reshape(-1, 8, 2)
    origin = centres[best, None]  # (K, 1, 2)
    centre, half = pairs[:, :1] + origin, pairs[:, 1:2] / 2
    points = np.concatenate([centre - half, centre + half, pairs[:, 2:] + origin], axis=1)  # (K, 8, 2)
    return np.concatenate([points.reshape(-1, 16), scores[:, None]], axis=1)


def blend_best(detections: NDArray[np.float32]) -> NDArray[np.float32]:
    """Blend the best detection with those that overlap it: their score-weighted mean.

    The paper does so against jitter: non-maximum suppression would discard what the neighbours know of the place.

    Args:
        detections: (K, 17), best first, at least one.

    Returns:
        (17,) the detection, with the best one's score.
    """
    same = iou_with_boxes(detections[0, :4], detections[:, :4]) >= BLEND_IOU
    same[0] = True  # it overlaps itself, except where its box has no area
    weights = detections[same, -1]
    blended = weights @ detections[same] / max(float(weights.sum()), 1e-9)
    blended[-1] = detections[0, -1]
    return np.asarray(blended, np.float32)
