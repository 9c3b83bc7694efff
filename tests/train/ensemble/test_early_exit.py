"""Thresholds of an early exit: how they are fitted, cross-validated and written."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from member_logits import correlated_logits, independent_logits
from random_faces import random_faces

from fer_edge.edge.cli import main
from fer_edge.edge.expression.ensemble import open_classifier
from fer_edge.edge.expression.ensemble_config import read_ensemble
from fer_edge.edge.expression.operating_point import mean_time
from fer_edge.edge.expression.scores import fuse
from fer_edge.models import FOLDER
from fer_edge.train.commands import ensemble as ensemble_cli
from fer_edge.train.ensemble.calibration import equal_weights, fit_temperature
from fer_edge.train.ensemble.cross_validation import CrossValidation, fit_folds, fold_masks
from fer_edge.train.ensemble.early_exit import MAX_DROP, cheapest_cascade, fit_cascade
from fer_edge.train.evaluation.predictions import early_exit

EQUAL = (1 / 3, 1 / 3, 1 / 3)
MEMBERS = [name.removesuffix("_int8.tflite") for name in read_ensemble(FOLDER / "ensemble.json").members]


@pytest.mark.slow
def test_the_default_point_is_the_cheapest_within_the_maximum_drop() -> None:
    logits, labels = independent_logits(3000)
    times = (1.0, 1.1, 2.0)
    _, temperature = fit_temperature(logits, labels, np.full(3, 1 / 3, np.float32))
    whole = (fuse(logits, np.array(EQUAL), temperature).argmax(axis=1) == labels).mean()
    cascade = fit_cascade(logits, labels, EQUAL, times, max_drop=0.002)
    costs = [mean_time(point, times) for point in cascade.points]
    losses = [point.loss for point in cascade.points]
    assert costs == sorted(costs) and losses == sorted(set(losses), reverse=True) and losses[-1] <= 0.0001
    enough = [point for point in cascade.points if point.accuracy >= whole - 0.00201 and point.loss <= 0.002]
    assert cascade.default_point == enough[0]
    scores, invocations = early_exit([member[None] for member in logits], EQUAL, (0.0,), cascade)
    assert (scores.argmax(axis=1) == labels).mean() == pytest.approx(enough[0].accuracy, abs=1e-5)
    assert 1 <= invocations.mean() < 3


def test_the_points_of_four_members_are_what_running_them_gives() -> None:
    logits, labels = independent_logits(300, members=4)
    weights = (0.3, 0.3, 0.3, 0.1)
    cascade = fit_cascade(logits, labels, weights, (1.0, 1.1, 2.0, 0.4))
    assert len({point.thresholds for point in cascade.points}) == len(cascade.points) > 10
    for index in range(0, len(cascade.points), 7):
        scores, invocations = early_exit(logits[:, None], weights, (0.0,), replace(cascade, default=index))
        point = cascade.points[index]
        assert point.accuracy == pytest.approx(np.mean(scores.argmax(axis=1) == labels), abs=1e-5)
        assert point.reach == pytest.approx([np.mean(invocations > member) for member in range(4)], abs=1e-5)


@pytest.mark.slow
def test_a_held_out_face_is_classified_without_its_label() -> None:
    logits, labels = independent_logits(250)
    here = next(fold_masks(250, 5))
    other = np.where(here, (labels + 1) % 7, labels)
    times = (1.0, 1.1, 2.0)
    (scores, invocations), (again, invocations_again) = (
        CrossValidation(logits, each, tuple("abcdefg"), times, equal_weights, MAX_DROP, (0.0,)).held_out_early_exit(
            fit_folds(logits, each, equal_weights)
        )
        for each in (labels, other)
    )
    assert np.array_equal(scores[here], again[here]) and np.array_equal(invocations[here], invocations_again[here])
    assert not np.allclose(scores[~here], again[~here], atol=1e-3)
    assert np.allclose(scores.sum(axis=1), 1, atol=1e-5) and invocations.min() >= 1 and invocations.max() <= 3


@pytest.mark.slow
def test_the_expected_loss_predicts_other_faces_better_than_the_counted_one() -> None:
    others, truth = correlated_logits(40_000, seed=99)
    drop = np.mean(others.mean(axis=0).argmax(axis=1) == truth) - np.mean(others[0].argmax(axis=1) == truth)
    errors = []
    for seed in range(10):
        logits, labels = correlated_logits(400, seed)
        cascade = fit_cascade(logits, labels, EQUAL, (1.0, 1.0, 1.0))
        first = cascade.points[0]
        assert first.reach[1] < 0.01
        counted = np.mean(logits.mean(axis=0).argmax(axis=1) == labels) - first.accuracy
        errors.append((abs(first.loss - drop), abs(counted - drop)))
    expected, counted = np.mean(errors, axis=0)
    assert expected < counted


@pytest.mark.slow
@pytest.mark.parametrize(("times", "expected"), [((9.0, 1.0, 3.0), (1, 2, 0)), ((3.0, 9.0, 1.0), (2, 0, 1))])
def test_equally_good_members_run_in_the_order_of_their_cost(
    times: tuple[float, ...], expected: tuple[int, ...]
) -> None:
    logits, labels = correlated_logits(600, 3)
    order, cascade = cheapest_cascade(logits, labels, EQUAL, times)
    assert order == expected
    assert cascade == fit_cascade(logits[list(order)], labels, EQUAL, [times[member] for member in order])


@pytest.mark.slow
def test_an_accurate_expensive_member_runs_before_a_cheap_useless_one() -> None:
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 7, 600)
    truth = np.eye(7, dtype=np.float32)[labels]
    some, none, most = (strength * truth + rng.normal(0, 1, (600, 7)) for strength in (3, 0, 5))
    logits = np.stack([some, none, most]).astype(np.float32)
    order, _ = cheapest_cascade(logits, labels, (0.3, 0.1, 0.6), (1.0, 1.2, 2.0))
    assert order == (0, 2, 1)


def test_evaluate_measures_the_early_exit_too(synthetic_csv: Path) -> None:
    config = FOLDER / "ensemble.json"
    words = [
        "evaluate",
        *reversed(MEMBERS),
        "--data",
        str(synthetic_csv),
        "--ensemble",
        str(config),
        "--early-exit",
        "--json",
    ]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    labels_printed = [json.loads(line)["model"] for line in done.stdout.splitlines()]
    members = [member.removesuffix("_int8.tflite") for member in read_ensemble(config).members]
    assert labels_printed == [*members, "ensemble", "early exit"], "in the ensemble's order"
    assert "models per face" in done.stderr
    for wrong in ([*words, "--tta", "flip"], [*words[:5], "--data", str(synthetic_csv), "--early-exit"]):
        assert CliRunner().invoke(main, wrong).exit_code == 2


def test_another_seed_is_another_partition() -> None:
    first, again, other = (np.stack(list(fold_masks(100, 5, seed))) for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert all(np.array_equal(each.sum(axis=0), np.ones(100)) for each in (first, other))


@pytest.mark.slow
def test_ensemble_fit_writes_an_early_exit(
    synthetic_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(  # a clock under load may not tell the members apart
        ensemble_cli, "measure_members", lambda members, **_: [float(member.path.stat().st_size) for member in members]
    )
    for name in MEMBERS:
        for suffix in ("tflite", "json"):
            shutil.copy(FOLDER / f"{name}_int8.{suffix}", tmp_path)
    files = [str(tmp_path / f"{name}_int8.tflite") for name in reversed(MEMBERS)]
    words = ["ensemble", "fit", *files, "--data", str(synthetic_csv), "--out", str(tmp_path / "ensemble.json")]
    done = CliRunner().invoke(main, [*words, "--max-drop", "100", "--partitions", "3"])
    assert done.exit_code == 0, done.output
    spreads = re.findall(r"mean of 3 partitions: accuracy ([\d.]+) % \(([\d.]+) to ([\d.]+)\), ", done.stdout)
    assert len(spreads) == 2 and all(float(least) <= float(mean) <= float(most) for mean, least, most in spreads)
    assert re.search(r", drop -?[\d.]+ points \(-?[\d.]+ to -?[\d.]+\), [\d.]+ models per face", done.stdout)
    config = read_ensemble(tmp_path / "ensemble.json")
    assert sorted(config.members) == sorted(f"{name}_int8.tflite" for name in MEMBERS)
    cascade = config.cascade
    assert cascade is not None and cascade.default == 0, "whatever it costs in accuracy, the cheapest"
    assert "times faster here" in done.stdout


@pytest.mark.slow
def test_ensemble_fit_writes_what_run_reads(model_folder: Path, synthetic_csv: Path) -> None:
    for suffix in ("tflite", "json"):
        shutil.copy(model_folder / f"{MEMBERS[0]}_int8.{suffix}", model_folder / f"fourth.{suffix}")
    members = [str(model_folder / file) for file in (*(f"{name}_int8.tflite" for name in MEMBERS), "fourth.tflite")]
    words = ["ensemble", "fit", *members, "--data", str(synthetic_csv), "--out"]
    result = CliRunner().invoke(main, [*words, str(model_folder / "ensemble.json")])
    assert result.exit_code == 0, result.output
    assert len(read_ensemble(model_folder / "ensemble.json").members) == 4
    assert open_classifier(str(model_folder / "ensemble.json"))(random_faces(6)).shape == (6, 7)
    elsewhere = CliRunner().invoke(main, [*words, str(model_folder / "other" / "ensemble.json")])
    assert elsewhere.exit_code == 2 and "does not lie beside" in elsewhere.output


def test_an_ensemble_is_fitted_of_few_members(synthetic_csv: Path, tmp_path: Path, mistake: Callable[..., str]) -> None:
    models = ["mobilenet_v2"] * 6
    line = mistake("ensemble", "fit", *models, "--data", synthetic_csv, "--out", tmp_path / "never.json")
    assert "6 MODELS" in line and "at most 5" in line


@pytest.mark.faults
def test_an_ensemble_overwrites_no_member_and_no_data(
    model_folder: Path, synthetic_csv: Path, mistake: Callable[..., str]
) -> None:
    data, member = model_folder / "fer.csv", model_folder / "mobilenet_v2_int8.tflite"
    data.write_bytes(synthetic_csv.read_bytes())
    before = {path: path.read_bytes() for path in model_folder.iterdir()}
    for out in (data, member, member.with_suffix(".json")):
        line = mistake("ensemble", "fit", member, "--data", data, "--out", out)
        assert line.startswith(f"fer-edge: --out: {out} is what ")
    assert {path: path.read_bytes() for path in model_folder.iterdir()} == before
