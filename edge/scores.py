"""Logits to probabilities, of one network or of several fused."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float32]:
    """(…, 7) logits to probabilities, float32."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True), dtype=np.float32)
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)


def fuse(logits: NDArray[np.floating], weights: NDArray[np.floating], temperature: float) -> NDArray[np.float32]:
    """(M, N, 7) members' logits to (N, 7) probabilities: the weighted mean of softmax(logits / temperature)."""
    return np.asarray(np.tensordot(weights, softmax(logits / np.float32(temperature)), axes=1), np.float32)
