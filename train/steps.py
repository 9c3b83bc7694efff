"""Training steps by Keras' own train_on_batch, with every backend."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fer_edge.train.training_targets import Batch


class Steps(Protocol):
    """The training steps of a phase."""

    def begin(self) -> None:
        """Begin an epoch."""

    def step(self, inputs: NDArray[np.float32], batch: Batch, rate: float) -> tuple[float, float]:
        """Train on a batch.

        Args:
            inputs: (B, …) what the network takes of the batch's views.
            batch: Their targets and weights.
            rate: Learning rate.

        Returns:
            Loss and accuracy, means over the batch.
        """

    def end(self) -> None:
        """End an epoch: the weights are the model's."""


class KerasSteps:
    """Steps of a compiled model."""

    def __init__(self, model: Any, optimizer: Any) -> None:
        self.model, self.optimizer = model, optimizer

    def begin(self) -> None:
        """Nothing: the weights are the model's all the time."""

    def step(self, inputs: NDArray[np.float32], batch: Batch, rate: float) -> tuple[float, float]:
        """Train on a batch, as `Steps` says."""
        self.optimizer.learning_rate = rate
        result = self.model.train_on_batch(inputs, batch.targets, sample_weight=batch.weights, return_dict=True)
        return float(result["loss"]), float(result["accuracy"])

    def end(self) -> None:
        """Nothing."""
