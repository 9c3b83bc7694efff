"""The detectors that are measured: those of `edge`, and others whose networks come from wheels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_edge.edge.errors import DataError
from fer_edge.edge.faces.detector import Detector, open_detector
from fer_edge.edge.types import Face, Frame

LOW_THRESHOLD = 0.1
"""The score from which a sensitive detector reports faces: the start of the curve over the threshold."""

PEERS = ("blazeface", "centerface")
"""Detectors of other packages, whose networks are read from wheels."""

VIDEO_FRAMES = 4
"""Frames for which a detector for video sees each scene: it may look for some faces in a part of its frames only."""


@dataclass(frozen=True, eq=False)
class Contender:
    """A detector that is measured.

    Attributes:
        name: Its name, with the way in which it was opened.
        detector: The detector as it is used.
        sensitive: The same with LOW_THRESHOLD; None where it has no threshold.
        frames: Number of frames for which it sees each scene.
    """

    name: str
    detector: Detector
    sensitive: Detector | None
    frames: int = 1

    def detect(self, frame: Frame) -> list[Face]:
        """The faces of a scene, in the last of its frames."""
        return [self.detector.detect(frame) for _ in range(self.frames)][-1]

    def detect_false(self, frame: Frame) -> list[Face]:
        """The faces of a picture without any, in the frame with the most of them."""
        return max((self.detector.detect(frame) for _ in range(self.frames)), key=len)


def open_contenders(
    specs: Sequence[str], min_faces: Sequence[int], wheels: Path | None, threads: int
) -> list[Contender]:
    """Open detectors.

    Args:
        specs: Detectors of `edge`, for single pictures and for video, or names in PEERS.
        min_faces: Widths of the smallest faces to find, pixels: a detector of `edge` is measured once more for each.
        wheels: Folder of the peers' wheels.
        threads: Threads of each.

    Returns:
        The detectors in the order of their names.

    Raises:
        ModelError: A detector is unknown or its file is missing.
        DataError: A peer's wheel is missing.
    """
    contenders = []
    for spec in specs:
        contenders.append(_contender(spec, spec, wheels, threads))
        if spec in PEERS or spec == "haar":
            continue
        contenders.append(_contender(f"{spec}, video", spec, wheels, threads, continuous=True))
        for width in min_faces:
            name = f"{spec}, video, from {width} px"
            contenders.append(_contender(name, spec, wheels, threads, continuous=True, min_face=width))
    return contenders


def open_any(spec: str, threads: int = 1, wheels: Path | None = None, **options: Any) -> Detector:
    """Open a detector of `edge` or a peer.

    Args:
        spec: A detector of `edge` or a name in PEERS.
        threads: Its threads.
        wheels: Folder of the peers' wheels.
        **options: What `open_detector` takes besides; for peers "threshold" alone.

    Returns:
        The detector.

    Raises:
        ModelError: The detector is unknown or its file is missing.
        DataError: A peer's wheel is missing.
    """
    if spec not in PEERS:
        return open_detector(spec, threads, **options)
    if wheels is None:
        raise DataError(f"detector {spec} comes from a wheel; expected --wheels FOLDER")
    if spec == "blazeface":
        from fer_edge.benchmarks.detection.blazeface import BlazeFacePeer

        return BlazeFacePeer(wheels, threads, **options)
    from fer_edge.benchmarks.detection.centerface import CenterFacePeer

    return CenterFacePeer(wheels, threads, **options)


def _contender(name: str, spec: str, wheels: Path | None, threads: int, **options: Any) -> Contender:
    detector = open_any(spec, threads, wheels, **options)
    frames = VIDEO_FRAMES if options.get("continuous") else 1
    if spec == "haar":  # a cascade has no threshold
        return Contender(name, detector, None, frames)
    return Contender(name, detector, open_any(spec, threads, wheels, threshold=LOW_THRESHOLD, **options), frames)
