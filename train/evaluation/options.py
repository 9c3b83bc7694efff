"""How `fer-edge evaluate` measures models and reports what it measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fer_edge.edge.types import option


@dataclass(frozen=True)
class EvaluationOptions:
    """How models are measured on a split.

    Attributes:
        tta: Test-time augmentation: 'none' or 'flip'.
        ensemble: The ensemble.json with weights, temperature and class offsets; equal weights where None.
        early_exit: Whether the ensemble is measured with early exit too.
        plots: Folder for the plots, or None.
        workers: Threads, each with its own networks; None for one a core.
        json: Whether the metrics are printed as JSON lines.
    """

    tta: str = option(
        "none", "Test-time augmentation: average over the face and its mirror image.", choices=("none", "flip")
    )
    ensemble: Path | None = option(
        None,
        "ensemble.json with the weights, temperature and class offsets to use. [default: equal weights]",
        metavar="JSON",
        example="models/ensemble.json",
    )
    early_exit: bool = option(False, "Measure the ensemble of --ensemble with early exit too.")
    plots: Path | None = option(
        None, "Folder for plots of confusion matrix and calibration.", metavar="FOLDER", example="plots"
    )
    workers: int | None = option(
        None,
        "Threads, each with its own TFLite networks (15 MB for the shipped ones), which have one thread each unless "
        "--threads is given; no figure depends on it.",
        metavar="N",
        minimum=1,
        maximum=256,
        show_default="one per core",
        example=4,
    )
    json: bool = option(False, "Print one JSON object per model instead of tables.")
