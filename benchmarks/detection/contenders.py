"""The detectors that are measured: those of `edge`, and peers whose networks come from wheels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from inspect import signature
from pathlib import Path
from typing import Any

from fer_edge.edge.faces.blazeface import open_blazeface
from fer_edge.edge.faces.detector import VARIANTS, BlazeFaceDetector, Detector, open_detector

LOW_THRESHOLD = 0.1
"""The score from which a sensitive detector reports faces: the start of the curve over the threshold."""


@dataclass(frozen=True, eq=False)
class Contender:
    """A detector that is measured.

    Attributes:
        name: Its name, with the smallest face where one was asked for.
        detector: The detector as it is used.
        sensitive: The same with LOW_THRESHOLD; None where it has no threshold.
    """

    name: str
    detector: Detector
    sensitive: Detector | None


def open_contenders(
    specs: tuple[str, ...], min_faces: tuple[int, ...], wheels: Path | None, threads: int
) -> list[Contender]:
    """Open detectors.

    Args:
        specs: Detectors of `edge`, or names in PEERS.
        min_faces: Sides of the smallest faces to find, pixels: detectors that can be opened for it are measured once
            more for each.
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
        contenders.append(Contender(spec, open_detector(spec, threads), _sensitive(spec, threads, {})))
        if "min_face" in signature(open_detector).parameters:
            opened: Callable[..., Detector] = open_detector
            contenders += [
                Contender(
                    f"{spec}, {side} px",
                    opened(spec, threads, min_face=side),
                    _sensitive(spec, threads, {"min_face": side}),
                )
                for side in min_faces
            ]
    return contenders


def _sensitive(spec: str, threads: int, options: dict[str, Any]) -> Detector | None:
    if spec in VARIANTS:
        network = open_blazeface(replace(VARIANTS[spec], threshold=LOW_THRESHOLD), threads)
        return BlazeFaceDetector(network, spec, tiled=spec == "blazeface")
    if "threshold" in signature(open_detector).parameters:
        opened: Callable[..., Detector] = open_detector
        return opened(spec, threads, threshold=LOW_THRESHOLD, **options)
    return None
