"""A small FER2013-like data set, and the shortest training on it."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

NETWORK = "mobilenet_v2_small"
"""The network of trainings whose way matters, not their network: the least time to compile."""

SHORT = ["--weights", "none", "--top-epochs", "0", "--full-epochs", "0", "--warmup-epochs", "1",
         "--small-epochs", "2", "--small-size", "32", "--warmup-size", "32", "--batch-size", "28"]  # fmt: skip


FERPLUS = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"


def csv_row(emotion: int, pixels: np.ndarray, usage: str) -> str:
    return f"{emotion},{' '.join(map(str, pixels.ravel()))},{usage}"


def synthetic_rows(count: int, usage: str, seed: int = 0) -> list[str]:
    """Faces of seven kinds that a network can tell apart: a bright stripe at a height of the class's own."""
    rng = np.random.default_rng(seed)
    rows = []
    for index in range(count):
        label = index % 7
        face = rng.integers(40, 90, (48, 48))
        face[6 * label + 2 : 6 * label + 7] += 140
        rows.append(csv_row(label, face, usage))
    return rows


def write_pictures(root: Path, *names: str) -> Path:
    """Pictures of different gray patterns, whose brightness grows with their number."""
    for index, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = np.random.default_rng(index).integers(0, 30, (60, 60)) + 5 * index
        assert cv2.imwrite(str(path), picture.astype(np.uint8))
    return root


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "fer_edge.edge.cli", *map(str, words)]


def write_ferplus(path: Path, *votes: str) -> Path:
    path.write_text("\n".join([FERPLUS, *(f"Training,a.png,{row}" for row in votes), "PublicTest,b.png" + ",1" * 10]))
    return path
