"""Logits to probabilities, of one model or of several fused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float32]:
    """(…, C) logits to float32 probabilities of the same shape."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True), dtype=np.float32)
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)


UNSURE_EYES, SURE_EYES = 0.3, 0.5
"""Eye scores, 0..1, up to which a face's scores are even and from which they are the model's."""


def discount(scores: NDArray[np.float32], eye_scores: Sequence[float]) -> NDArray[np.float32]:
    """Lower the confidence in faces whose eyes are unsure: their crops may be turned, which models do not notice.

    Args:
        scores: (N, C) probabilities.
        eye_scores: How sure the eyes of each face are, 0..1.

    Returns:
        (N, C) float32 probabilities, mixed with even ones where the eyes are unsure.
    """
    sure = np.asarray(eye_scores, np.float32)[:, None]
    trust = np.clip((sure - UNSURE_EYES) / (SURE_EYES - UNSURE_EYES), 0, 1).astype(np.float32)
    mixed = trust * scores + (1 - trust) / np.float32(scores.shape[1])
    return np.where(sure >= SURE_EYES, scores, mixed)  # not a bit is changed where the eyes are sure


def total_variation(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """The total variation distance, 0..1, of two (C,) scores."""
    return float(np.abs(a - b).sum()) / 2


def fuse(
    logits: NDArray[np.floating],
    weights: NDArray[np.floating],
    temperature: float,
    offsets: Sequence[float] | NDArray[np.floating] = (0.0,),
) -> NDArray[np.float32]:
    """Fuse the members' answers: the weighted mean of softmax(logits / temperature + offsets).

    Args:
        logits: (M, N, C) logits of M members for N faces.
        weights: (M,) weights, which sum to 1.
        temperature: Divides all logits; it calibrates the result.
        offsets: (C,) class offsets, or one for all; a higher one favours its class (logit adjustment, Menon et al.
            2021, arXiv:2007.07314).

    Returns:
        (N, C) float32 probabilities.
    """
    scaled = logits / np.float32(temperature) + np.asarray(offsets, np.float32)
    scores = softmax(scaled)
    flat = np.dot(np.asarray(weights, np.float32), scores.reshape(len(scores), -1))  # tensordot is slow
    return np.asarray(flat.reshape(scores.shape[1:]), np.float32)
