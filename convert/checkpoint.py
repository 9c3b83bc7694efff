"""The checkpoint of a fine-tuning: the best weights so far, in a .npz file beside the float network."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fer_edge.edge.errors import ModelError, SinkError
from fer_edge.edge.files.writing import atomic_path
from fer_edge.train.data.arrays import read_arrays

_logger = logging.getLogger(__name__)

EXPECTED = "what an earlier fine-tuning of this network wrote; leave --resume out to begin a new one"


@dataclass(frozen=True)
class Checkpoint:
    """Where a fine-tuning's best weights are kept.

    Attributes:
        path: The .npz file: arrays in get_weights order, and `origin`.
        origin: The sha256 of the float network's file, from which the fine-tuning began.
    """

    path: Path
    origin: str

    def save(self, weights: list[Any]) -> None:
        """Write the weights; a full or read-only disk costs the checkpoint, not the conversion."""
        arrays: dict[str, Any] = {f"{index:04d}": value for index, value in enumerate(weights)}
        try:
            with atomic_path(self.path) as temporary:
                np.savez(temporary, **arrays, origin=np.array(self.origin))
        except SinkError as error:
            _logger.warning(f"{error}; fine-tuning continues without a checkpoint")

    def restore(self, student: Any) -> None:
        """Load the weights and ranges into a fake-quantized network.

        Raises:
            ModelError: There is no checkpoint, or it is of another network or of other float weights.
        """
        arrays = read_arrays(self.path, EXPECTED)
        try:
            if str(arrays.pop("origin", "")) != self.origin:
                raise ValueError("it began from other weights")
            student.set_weights([arrays[name] for name in sorted(arrays)])
        except ValueError as error:
            reason = str(error).splitlines()[0][:120]
            raise ModelError(f"{self.path} is not of this network: {reason}; expected {EXPECTED}") from None
        _logger.info(f"resuming from {self.path}")
