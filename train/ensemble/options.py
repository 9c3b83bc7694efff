"""How `fer-edge ensemble fit` fits an ensemble."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fer_edge.edge.types import option
from fer_edge.train.ensemble.early_exit import MAX_DROP


@dataclass(frozen=True)
class EnsembleOptions:
    """What is fitted, and where it is written.

    Attributes:
        out: The ensemble file.
        weights: 'fitted' or 'equal'.
        balance: Strength in favour of rare classes, 0..1.
        max_drop: Accuracy that early exit may lose, percentage points.
        partitions: Random partitions into folds over which the cross-validated metrics are averaged.
    """

    out: Path = option(None, "ensemble.json to write, in the folder of MODELS.", metavar="JSON", required=True)
    weights: str = option(
        "fitted", "Weights of the members: the most likely in steps of 0.1, or equal.", choices=("equal", "fitted")
    )
    balance: float = option(
        0.0,
        "Strength in favour of rare classes, as a power of their inverse frequency in the train split; 0 turns it off.",
        metavar="STRENGTH",
        minimum=0,
        maximum=1,
    )
    max_drop: float = option(
        100 * MAX_DROP,
        "Maximum accuracy drop of early exit, percentage points.",
        metavar="POINTS",
        minimum=0,
        maximum=100,
    )
    partitions: int = option(
        1,
        "Random partitions into five folds over which the cross-validated metrics are averaged.",
        metavar="N",
        minimum=1,
    )
