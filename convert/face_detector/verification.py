"""The converted detector beside the float original: the same faces, boxes and eyes, or an error."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.convert.options import FaceVerificationOptions
from fer_edge.edge.errors import ModelError
from fer_edge.edge.faces.boxes import iou_with_boxes
from fer_edge.edge.faces.detector import THRESHOLD

Detect = Callable[[NDArray[np.uint8], float], NDArray[np.float32]]
"""Picture and threshold to (F, 15) detections, see `edge.faces.yunet.YuNet.detect`."""

SAME_FACE_IOU = 0.5
"""Intersection over union from which a face of one network is the other's."""


def compare(original: Detect, converted: Detect, pictures: Iterable[NDArray[np.uint8]]) -> dict[str, Any]:
    """Compare the faces that two networks find.

    Args:
        original: The float original.
        converted: The int8 network.
        pictures: (H, W, 3) uint8 BGR each, both sides a multiple of 32.

    Returns:
        JSON values: the numbers of pictures and faces; shares of the original's faces that are `found` and that are
        `extra`; mean and 5th percentile of the boxes' `iou`; mean and 95th percentile of the `eye_error`, the mean
        distance of both eyes in widths of the face.
    """
    counts = np.zeros(4, int)  # pictures, the original's faces, the converted network's, those of both
    overlaps, eye_errors = [], []
    for picture in pictures:
        expected, found = original(picture, THRESHOLD), converted(picture, THRESHOLD)
        pairs = match(expected, found)
        counts += 1, len(expected), len(found), len(pairs)
        for index, other in pairs:
            one, two = expected[index], found[other]
            overlaps.append(float(iou_with_boxes(one[:4], two[None, :4])[0]))
            distances = np.hypot(*(one[4:8] - two[4:8]).reshape(2, 2).T)
            eye_errors.append(float(distances.mean() / (one[2] - one[0])))
    total, faces, detections, same = counts.tolist()
    if not same:
        raise ModelError(
            f"of the float original's {faces} faces in {total} pictures none is found; nothing was written"
        )
    return {
        "pictures": total,
        "faces": faces,
        "found": round(same / faces, 4),
        "extra": round((detections - same) / faces, 4),
        "iou": {"mean": round(float(np.mean(overlaps)), 4), "p5": round(float(np.percentile(overlaps, 5)), 4)},
        "eye_error": {
            "mean": round(float(np.mean(eye_errors)), 4),
            "p95": round(float(np.percentile(eye_errors, 95)), 4),
        },
    }


def match(expected: NDArray[np.float32], found: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Match the detections of two networks, one to one, the best of the first one first.

    Args:
        expected: (F, 15) detections, best first.
        found: (G, 15) detections.

    Returns:
        Pairs of indices.
    """
    pairs, free = [], np.ones(len(found), bool)
    for index, detection in enumerate(expected):
        overlaps = np.where(free, iou_with_boxes(detection[:4], found[:, :4]), 0)
        if len(overlaps) and overlaps.max() >= SAME_FACE_IOU:
            other = int(overlaps.argmax())
            free[other] = False
            pairs.append((index, other))
    return pairs


def check(figures: dict[str, Any], options: FaceVerificationOptions) -> None:
    """Check the figures of `compare` against the thresholds. Raises ModelError."""
    found, extra = figures["found"], figures["extra"]
    iou, eye_error = figures["iou"]["mean"], figures["eye_error"]["mean"]
    problems = {  # nan is neither above nor below a threshold, and fails
        "min_found": not found >= options.min_found
        and f"finds {found:.1%} of the float original's faces, expected at least",
        "max_extra": not extra <= options.max_extra and f"finds {extra:.1%} more faces, expected at most",
        "min_iou": not iou >= options.min_iou
        and f"has a mean IoU of {iou:.3f} with the float original, expected at least",
        "max_eye_error": not eye_error <= options.max_eye_error
        and f"has eyes {eye_error:.1%} of the face's width off in the mean, expected at most",
    }
    for name, problem in problems.items():
        if problem:
            limit = f"{getattr(options, name):.1%}" if name != "min_iou" else f"{options.min_iou:.3f}"
            raise ModelError(f"the int8 network {problem} {limit} (--{name.replace('_', '-')}); nothing was written")
