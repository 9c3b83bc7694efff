"""What one training run is made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fer_edge.train.origin import UNSAID, OriginOptions
from fer_edge.train.recipes import Recipe


@dataclass(frozen=True)
class TrainingRun:
    """One network's training.

    Attributes:
        network: Name of the network, a key of `architectures.ARCHITECTURES`.
        recipe: All hyperparameters.
        weights: Initial weights: 'imagenet', 'none' or a file.
        folder: The run folder, which holds the checkpoint and, in the end, model, metrics and curves.
        origin: What the user says of the data and the licence.
    """

    network: str
    recipe: Recipe
    weights: str
    folder: Path
    origin: OriginOptions = UNSAID
