"""Prediction stability, on a tiny model and in its counts."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from measuring import run

from fer_edge.benchmarks.fixtures.views import VIEWS, view
from fer_edge.benchmarks.stability import stability_figures
from fer_edge.train.evaluation.intervals import share_interval


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    rough = np.random.default_rng(0).integers(60, 160, (8, 6, 6), np.uint8)
    return np.stack([cv2.resize(each, (48, 48), interpolation=cv2.INTER_CUBIC) for each in rough])


@pytest.mark.parametrize("name", VIEWS)
def test_a_block_of_faces_changes_as_it_does_among_all(name: str, faces: np.ndarray) -> None:
    changed = view(name, faces)
    assert changed.shape == faces.shape and changed.dtype == np.uint8 and not np.array_equal(changed, faces)
    assert np.array_equal(changed[3:], view(name, faces[3:], 3))


def test_views_are_what_their_names_say(faces: np.ndarray) -> None:
    assert np.array_equal(view("mirrored", view("mirrored", faces)), faces)
    right, down, left, up = view("shifted by 2 px", faces)[:4]
    assert np.array_equal(right[:, 2:], faces[0][:, :-2]) and np.array_equal(down[2:], faces[1][:-2])
    assert np.array_equal(left[:, :-2], faces[2][:, 2:]) and np.array_equal(up[:-2], faces[3][2:])
    assert np.array_equal(right[:, 0], faces[0][:, 0]), "the border is replicated"
    assert np.abs(view("half the light", faces) - faces / 2).max() <= 0.5
    assert view("gamma 2", faces).mean() < faces.mean() < view("gamma 0.5", faces).mean()
    middle = slice(16, 32)
    larger = cv2.resize(faces[0], None, fx=1.1, fy=1.1, interpolation=cv2.INTER_LINEAR)  # 53 pixels: centre 2.5 further
    shifted = cv2.warpAffine(larger, np.float32([[1, 0, -2.5], [0, 1, -2.5]]), (48, 48))
    assert np.abs(view("scale 1.1", faces)[0][middle, middle].astype(int) - shifted[middle, middle]).max() <= 6


def test_shares_count_kept_labels_and_confident_answers_that_change() -> None:
    unchanged = np.full((4, 7), 0.05)
    unchanged[[0, 1, 2], [0, 1, 2]] = 0.7  # three confident faces
    unchanged[3, 3] = 0.5
    labels = np.tile([0, 1, 2, 3], (len(VIEWS), 1))
    labels[0] = [0, 1, 6, 6]  # under the first view one confident answer changes, and one that is not
    figures = stability_figures(unchanged, labels, np.array([0, 1, 2, 4]))
    first, *rest = figures["views"].values()
    assert (figures["faces"], figures["confident"]) == (4, 3)
    assert first["same_label"]["share"] == 0.5 and first["same_label"]["count"] == 2
    assert first["confident_changed"]["share"] == 0.25
    assert first["changed_of_confident"]["count"] == 1
    assert first["changed_of_confident"]["interval"] == pytest.approx(share_interval(1, 3), abs=1e-5)
    assert all(each["same_label"]["share"] == 1 for each in rest)
    assert figures["accuracy"]["share"] == 0.75 and first["accuracy"]["share"] == 0.5
    assert figures["mean"]["same_label"]["share"] == round(1 - 0.5 / len(VIEWS), 5)
    low, high = figures["mean"]["same_label"]["interval"]
    assert low < figures["mean"]["same_label"]["share"] < high <= 1


def test_nothing_confident_is_no_share_of_nothing() -> None:
    figures = stability_figures(np.full((2, 7), 1 / 7), np.zeros((len(VIEWS), 2), int), np.zeros(2, int))
    assert figures["confident"] == 0 and figures["mean"]["changed_of_confident"]["interval"] == [0.0, 1.0]


def test_the_command_measures_draws_and_makes_a_table(tiny: Path, synthetic_csv: Path, tmp_path: Path) -> None:
    rows = []
    for workers in ("1", "3"):
        out, plot = tmp_path / f"{workers}.json", tmp_path / f"{workers}.png"
        words = (tiny, "--data", synthetic_csv, "--limit", "20", "--workers", workers, "--out", out, "--plot", plot)
        done = run("stability", *words)
        assert done.exit_code == 0, done.output
        rows.append(json.loads(out.read_text())["rows"])
        assert cv2.imread(str(plot)) is not None
    assert rows[0] == rows[1], "threads change no figure"
    (row,) = rows[0]
    assert row["faces"] == 20 and row["views"].keys() == VIEWS.keys()
    tables = run("table", out).stdout
    assert f"| mirrored | {100 * row['views']['mirrored']['same_label']['share']:.1f} (" in tables
    assert "| **mean** |" in tables
    page = tmp_path / "report.html"
    assert run("report", out, "--out", page).exit_code == 0
    assert "<td><b>mean</b></td>" in page.read_text() and "**" not in page.read_text()


@pytest.mark.slow
def test_early_exit_is_measured_too(synthetic_csv: Path, tmp_path: Path) -> None:
    out = tmp_path / "stability.json"
    done = run("stability", "ensemble", "--data", synthetic_csv, "--limit", "2", "--out", out)
    assert done.exit_code == 0, done.output
    assert "ensemble with early exit" in done.stdout
    (row,) = json.loads(out.read_text())["rows"]
    assert row["early_exit"]["views"].keys() == row["views"].keys()
