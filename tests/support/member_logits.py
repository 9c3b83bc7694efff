"""Logits of an ensemble's members, without models."""

from __future__ import annotations

import numpy as np
from predictions import CLASSES


def independent_logits(count: int = 400, seed: int = 0, members: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """(members, count, 7) logits of equally good members with independent errors, and the (count,) labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 7, count)
    return rng.normal(0, 1, (members, count, 7)).astype(np.float32) + 2 * np.eye(7, dtype=np.float32)[labels], labels


def correlated_logits(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(3, count, 7) logits of members that mostly err on the same faces, and the (count,) labels."""
    own, labels = independent_logits(count, seed)
    shared = np.random.default_rng(seed + 1000).normal(0, 1, own.shape[1:])
    return (0.5 * own + shared + 0.5 * np.eye(7)[labels]).astype(np.float32), labels


class RecordedMember:
    """A member with a table of logits, looked up by the crop's first pixel; counts the crops."""

    def __init__(self, logits: np.ndarray) -> None:
        self.table, self.faces = logits, 0
        self.name, self.timings, self.classes, self.takes_own_crops = "recorded", None, CLASSES, False

    def logits(self, crops: np.ndarray) -> np.ndarray:
        self.faces += len(crops)
        return self.table[crops[:, 0, 0].astype(int)]


def numbered_crops(count: int) -> np.ndarray:
    """(count, 48, 48) uint8 black crops, each with its number as the first pixel."""
    pictures = np.zeros((count, 48, 48), np.uint8)
    pictures[:, 0, 0] = np.arange(count)
    return pictures
