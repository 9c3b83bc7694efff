"""What the tests share: a small FER2013-like data set and its CSV."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SHORT = ["--weights", "none", "--top-epochs", "0", "--full-epochs", "0", "--warmup-epochs", "1",
         "--small-epochs", "2", "--small-size", "32", "--warmup-size", "32", "--batch-size", "28"]  # fmt: skip
USAGES = ("Training", "PublicTest", "PrivateTest")


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


@pytest.fixture(scope="session")
def synthetic_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "fer2013.csv"
    sizes = zip(USAGES, (140, 42, 14), strict=True)
    rows = [row for seed, (usage, count) in enumerate(sizes) for row in synthetic_rows(count, usage, seed)]
    path.write_text("\n".join(["emotion,pixels,Usage", *rows]) + "\n")
    return path


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "fer_edge.edge.cli", *map(str, words)]


@pytest.fixture(scope="session")
def finished_run(synthetic_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    done = subprocess.run(
        command("train", "mobilenet_v2", "--data", synthetic_csv, "--runs", runs, *SHORT),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return runs / "mobilenet_v2"
