"""Recall against false faces over the detector's threshold, and false faces on pictures without a face."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmarks.detection.contenders import Contender
from fer_edge.benchmarks.detection.matching import match
from fer_edge.benchmarks.detection.plan import Case
from fer_edge.benchmarks.results_io.detection_figures import LARGE
from fer_edge.edge.types import Face, Frame
from fer_edge.train.data.scenes import Scene

THRESHOLDS = tuple(round(0.1 + 0.025 * step, 3) for step in range(36))
"""Scores, 0.1 to 0.975."""


def on_curve(case: Case) -> bool:
    """Whether a case belongs to the curve: upright faces in 640x480."""
    return case.group == "size" and (case.width, case.height) == (640, 480)


class Curve:
    """Scores of found faces and of false ones, from a detector with a low threshold."""

    def __init__(self) -> None:
        self._faces = {"large": 0, "small": 0}
        self._found: dict[str, list[float]] = {"large": [], "small": []}
        self._images = {"scenes": 0, "pictures": 0, "windows": 0}
        self._false: dict[str, list[float]] = {"scenes": [], "pictures": [], "windows": []}

    def add_scene(self, case: Case, scene: Scene, detected: Sequence[Face]) -> None:
        """Count a scene's faces."""
        size = "large" if case.size >= LARGE else "small"
        matches = match(detected, scene.faces)
        self._faces[size] += len(scene.faces)
        self._found[size] += [face.score for face in matches.found.values()]
        self._images["scenes"] += 1
        self._false["scenes"] += [face.score for face in matches.false]

    def add_negative(self, kind: str, detected: Sequence[Face]) -> None:
        """Count the false faces of a picture without a face; `kind` is "pictures" or "windows"."""
        self._images[kind] += 1
        self._false[kind] += [face.score for face in detected]

    def as_rows(self) -> list[dict[str, float]]:
        """At each threshold the recall of large and small faces, and false faces per scene, picture and window."""
        return [
            {
                "threshold": threshold,
                **{f"recall_{size}": _above(self._found[size], threshold, self._faces[size]) for size in self._faces},
                **{f"false_{kind}": _above(self._false[kind], threshold, self._images[kind]) for kind in self._images},
            }
            for threshold in THRESHOLDS
        ]


def false_faces(contender: Contender, negatives: Iterable[tuple[str, str, NDArray[np.uint8]]]) -> dict[str, Any]:
    """Detect on pictures without a face.

    Args:
        contender: The detector.
        negatives: Kind ("pictures" or "windows"), name and pixels of each.

    Returns:
        By kind: the number of images, of false faces, and by name the scores of the false faces.
    """
    counts: dict[str, Any] = {}
    for kind, name, pixels in negatives:
        found = contender.detect_false(Frame(pixels))
        count = counts.setdefault(kind, {"images": 0, "false": 0, "scores": {}})
        count["images"] += 1
        count["false"] += len(found)
        if found:
            count["scores"].setdefault(name, []).extend(round(face.score, 3) for face in found)
    return counts


def _above(scores: Sequence[float], threshold: float, total: int) -> float:
    return round(float(np.sum(np.asarray(scores) >= threshold)) / max(1, total), 5)
