"""Degradations and the accuracy under them, on a tiny model."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from fer_edge.benchmarks.fixtures.degradations import DEGRADATIONS
from fer_edge.edge.cli import main
from fer_edge.edge.expression.ensemble import open_early_exit
from fer_edge.train.data.loading import load

AT_REST = {"gamma": 1.0, "blur": 0.01, "jpeg": 0.0, "low resolution": 48.0, "motion": 1.0, "low light": -10.0}


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    """Smooth pictures around mid-gray, which no degradation pushes beyond black or white at once."""
    rough = np.random.default_rng(0).integers(60, 196, (4, 6, 6), np.uint8)
    return np.stack([cv2.resize(each, (48, 48), interpolation=cv2.INTER_CUBIC) for each in rough])


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_strength_rises_from_nothing(name: str, faces: np.ndarray) -> None:
    degrade = DEGRADATIONS[name]
    changes = [
        np.abs(degrade(faces, s).astype(int) - faces).mean() for s in (AT_REST.get(name, 0.0), *degrade.strengths)
    ]
    assert changes[0] <= 1  # JPEG at its best still rounds
    assert changes == sorted(changes) and changes[-1] > 2
    assert np.array_equal(degrade(faces, degrade.strengths[2]), degrade(faces, degrade.strengths[2]))


def test_units_are_what_they_say(faces: np.ndarray) -> None:
    darker, lighter = DEGRADATIONS["brightness"](faces, 20)[:2].astype(int)
    assert np.all(darker - faces[0] == -20) and np.all(lighter - faces[1] == 20)
    hidden = DEGRADATIONS["occlusion"](np.full((1, 48, 48), 200, np.uint8), 0.25)
    assert np.mean(hidden == 0) == 0.25
    noisy = DEGRADATIONS["noise"](np.full((1, 48, 48), 128, np.uint8), 10)
    assert noisy.std() == pytest.approx(10, rel=0.1)  # 2304 draws: the standard error is 1.5 %
    half = DEGRADATIONS["contrast"](faces, 0.5)
    assert half[0].std() == pytest.approx(faces[0].std() / 2, rel=0.02)


def test_the_command_measures_and_draws(tiny: Path, synthetic_csv: Path, tmp_path: Path) -> None:
    out, plot = tmp_path / "robustness.json", tmp_path / "robustness.png"
    words = ["bench", "robustness", str(tiny), "--data", str(synthetic_csv), "--out", str(out), "--plot", str(plot)]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    result = json.loads(out.read_text())
    (row,) = result["rows"]
    assert result["before"].keys() == result["after"].keys() >= {"celsius", "governor", "load"}
    assert row["degraded"].keys() == DEGRADATIONS.keys()
    assert all(len(accuracies) == 5 for accuracies in row["degraded"].values())
    assert cv2.imread(str(plot)) is not None
    tables = CliRunner().invoke(main, ["bench", "table", str(out)])
    assert tables.exit_code == 0 and "| tiny, under |" in tables.output
    assert f"| brightness | gray levels | {100 * row['degraded']['brightness'][0]:.1f} % (20) |" in tables.output


@pytest.mark.slow
def test_early_exit_is_measured_too(synthetic_csv: Path, tmp_path: Path) -> None:
    out = tmp_path / "robustness.json"
    words = ["bench", "robustness", "ensemble", "--data", str(synthetic_csv), "--limit", "3", "--out", str(out)]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    (row,) = json.loads(out.read_text())["rows"]
    part, early_exit = load(synthetic_csv).split("val"), open_early_exit()
    for faces, accuracy in (
        (part.faces[:3], row["early_exit"]["accuracy"]),
        (DEGRADATIONS["blur"](part.faces[:3], 2), row["early_exit"]["degraded"]["blur"][-1]),
    ):
        assert accuracy == pytest.approx(np.mean(early_exit(faces).argmax(axis=1) == part.labels[:3]), abs=1e-5)
    tables = CliRunner().invoke(main, ["bench", "table", str(out)])
    assert "| ensemble, under |" in tables.output and "| ensemble with early exit, under |" in tables.output
