"""Degradations and the accuracy under them, on a tiny model."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from fer_edge.benchmarks import peer_scores, robustness
from fer_edge.benchmarks.corruption_error import STEPS, relative_errors, robustness_figures
from fer_edge.benchmarks.fixtures.degradations import CAMERA, DEGRADATIONS, GENERAL, GROUPS, HELD_OUT
from fer_edge.edge.cli import main
from fer_edge.edge.expression.ensemble import open_classifier, open_early_exit
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
    strong = degrade(faces, degrade.strengths[2])
    assert np.array_equal(strong[1:], degrade(faces[1:], degrade.strengths[2], first=1)), "a block is as among all"


def test_units_are_what_they_say(faces: np.ndarray) -> None:
    darker, lighter = DEGRADATIONS["brightness"](faces, 20)[:2].astype(int)
    assert np.all(darker - faces[0] == -20) and np.all(lighter - faces[1] == 20)
    hidden = DEGRADATIONS["occlusion"](np.full((1, 48, 48), 200, np.uint8), 0.25)
    assert np.mean(hidden == 0) == 0.25
    noisy = DEGRADATIONS["noise"](np.full((1, 48, 48), 128, np.uint8), 10)
    assert noisy.std() == pytest.approx(10, rel=0.1)  # 2304 draws: the standard error is 1.5 %
    flipped = DEGRADATIONS["impulse"](np.full((1, 48, 48), 128, np.uint8), 0.2)
    assert np.mean(flipped != 128) == pytest.approx(0.2, abs=0.03)
    point = np.zeros((2, 49, 49), np.uint8)
    point[:, 24, 24] = 250
    along, across = DEGRADATIONS["motion"](point, 5)[0], DEGRADATIONS["motion"](point, 5, first=2)[0]
    assert np.array_equal(along[24, 21:28], [0, 50, 50, 50, 50, 50, 0]) and np.array_equal(across, along.T)
    gray = np.full((1, 48, 48), 128, np.uint8)
    darker, darkest = (DEGRADATIONS["low light"](gray, stops).std() for stops in (3, 5))
    assert darkest / darker == pytest.approx(2, rel=0.1), "shot noise: a quarter of the light has twice the noise"
    half = DEGRADATIONS["contrast"](faces, 0.5)
    assert half[0].std() == pytest.approx(faces[0].std() / 2, rel=0.02)


def test_kinds_that_are_reported_apart_are_in_no_mean_with_the_others() -> None:
    assert GROUPS["nine general kinds"] == tuple(GENERAL) and len(GENERAL) == 9
    assert GROUPS["twelve kinds"] == (*GENERAL, *CAMERA) and len(CAMERA) == 3
    assert not set(GROUPS["kinds not trained on"]) & set(GROUPS["twelve kinds"]) and list(HELD_OUT)


def scores_of(right: dict[str, int], clean: int, faces: int = 8) -> list[np.ndarray]:
    """Scores of faces of class 0: so many are right on clean pictures and under each kind, at 0.65 for the winner."""
    counts = [clean, *(right[name] for name, _ in STEPS)]
    scores = np.full((len(counts), faces, 7), 0.05)
    for each, count in zip(scores, counts, strict=True):
        each[:count, 0] = 0.65
        each[count:, 1] = 0.65
    return [*scores]


def test_means_and_errors_relative_to_a_baseline() -> None:
    labels = np.zeros(8, int)
    half, most = (
        dict.fromkeys(DEGRADATIONS, 4),
        dict.fromkeys(DEGRADATIONS, 6) | {"blur": 7} | dict.fromkeys(HELD_OUT, 2),
    )
    baseline, model = robustness_figures(scores_of(half, 6), labels), robustness_figures(scores_of(most, 7), labels)
    assert (baseline["accuracy"], model["accuracy"]) == (0.75, 0.875)
    assert model["means"]["nine general kinds"]["accuracy"] == round((8 * 0.75 + 0.875) / 9, 5)
    assert model["means"]["kinds not trained on"]["accuracy"] == 0.25
    low, high = model["means"]["twelve kinds"]["interval"]
    assert low < model["means"]["twelve kinds"]["accuracy"] < high
    assert model["means"]["twelve kinds"]["worst_ece"] == {"kind": "blur", "ece": 0.225}
    assert model["ece"] == 0.225 and model["degraded_ece"]["noise"] == [0.1] * 5
    relative = relative_errors(model, baseline)
    assert relative["kinds"]["blur"] == {"ce": 0.25, "relative_ce": 0.0}
    assert relative["kinds"]["noise"] == {"ce": 0.5, "relative_ce": 0.5}
    assert relative["means"]["twelve kinds"]["mce"] == pytest.approx((11 * 0.5 + 0.25) / 12, abs=1e-4)
    same = relative_errors(baseline, baseline)["means"]
    assert all(each == {"mce": 1.0, "relative_mce": 1.0} for each in same.values())


def test_a_baseline_that_loses_nothing_gives_no_ratio() -> None:
    perfect = robustness_figures(scores_of(dict.fromkeys(DEGRADATIONS, 8), 8), np.zeros(8, int))
    relative = relative_errors(perfect, perfect)
    assert relative["kinds"]["blur"] == {"ce": None, "relative_ce": None}
    assert relative["means"]["twelve kinds"] == {"mce": None, "relative_mce": None}
    five = [0.8113, 0.6113, 0.9113, 0.5113, 0.7113]
    gains = {"accuracy": 0.7113, "degraded": dict.fromkeys(DEGRADATIONS, five)}
    assert relative_errors(gains, gains)["kinds"]["blur"] == {"ce": 1.0, "relative_ce": None}, "no loss but of rounding"


def test_the_command_measures_and_draws(
    tiny: Path, synthetic_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model of ours in a process of its own stands for the other package."""
    monkeypatch.setattr(robustness, "BASELINE", "mobilenet_v2")
    monkeypatch.setattr(peer_scores, "PACKAGES", {"mobilenet_v2": ()})
    monkeypatch.setattr(peer_scores, "open_environment", lambda folder, packages: Path(sys.executable))
    words = ["bench", "robustness", str(tiny), "--data", str(synthetic_csv), "--limit", "9"]
    rows = {}
    for name, more in {"one": ["--workers", "1"], "three": ["--workers", "3"], "beside": ["--fer"]}.items():
        out, plot = tmp_path / f"{name}.json", tmp_path / f"{name}.png"
        done = CliRunner().invoke(main, [*words, *more, "--out", str(out), "--plot", str(plot)])
        assert done.exit_code == 0, done.output
        assert cv2.imread(str(plot)) is not None
        result = json.loads(out.read_text())
        assert result["before"].keys() == result["after"].keys() >= {"celsius", "governor", "load"}
        rows[name] = result["rows"]
    assert rows["one"] == rows["three"], "threads change no figure"
    (row,) = rows["one"]
    assert row["degraded"].keys() == row["degraded_ece"].keys() == DEGRADATIONS.keys()
    assert all(len(accuracies) == 5 for accuracies in row["degraded"].values()) and "relative_errors" not in row
    peer, beside = rows["beside"]
    assert beside.pop("relative_errors")["kinds"].keys() == DEGRADATIONS.keys() and beside == row
    part, classifier = load(synthetic_csv).split("val"), open_classifier("mobilenet_v2")
    blurred = classifier(DEGRADATIONS["blur"](part.faces[:9], 2))
    assert peer["degraded"]["blur"][-1] == pytest.approx(np.mean(blurred.argmax(axis=1) == part.labels[:9]), abs=1e-5)
    tables = CliRunner().invoke(main, ["bench", "table", str(tmp_path / "beside.json")])
    assert tables.exit_code == 0 and "| tiny, under |" in tables.output
    assert f"| brightness | gray levels | {100 * row['degraded']['brightness'][0]:.1f} % (20) |" in tables.output
    assert "| mobilenet_v2 | " in tables.output and "mCE" in tables.output


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
