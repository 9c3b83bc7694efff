"""The cascade: what it asks, what it answers, and how its thresholds are chosen."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_edge.edge.cli import main
from fer_edge.edge.errors import ModelError
from fer_edge.edge.expression.cascade import CascadeClassifier, measure_members, run_cascade
from fer_edge.edge.expression.ensemble import open_classifier, open_early_exit
from fer_edge.edge.expression.ensemble_config import read_ensemble
from fer_edge.edge.expression.model_spec import MODEL_NAMES
from fer_edge.edge.expression.operating_point import Cascade, OperatingPoint, mean_time, select_point
from fer_edge.edge.expression.scores import fuse
from fer_edge.models import FOLDER
from fer_edge.train.commands import ensemble as ensemble_cli
from fer_edge.train.ensemble.calibration import equal_weights, fit_temperature
from fer_edge.train.ensemble.cross_validation import CrossValidation, fit_folds, fold_masks
from fer_edge.train.ensemble.early_exit import MAX_DROP, cheapest_cascade, fit_cascade
from fer_edge.train.evaluation.predictions import early_exit

EVEN = (1 / 3, 1 / 3, 1 / 3)


def made(count: int = 400, seed: int = 0, members: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Members of like strength whose errors differ, and the labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 7, count)
    return rng.normal(0, 1, (members, count, 7)).astype(np.float32) + 2 * np.eye(7, dtype=np.float32)[labels], labels


class Told:
    """A member that answers from a table of logits, by the number that is the crop's first pixel."""

    def __init__(self, logits: np.ndarray) -> None:
        self.table, self.asked = logits, 0
        self.name, self.timings = "told", None

    def logits(self, crops: np.ndarray) -> np.ndarray:
        self.asked += len(crops)
        return self.table[crops[:, 0, 0].astype(int)]


def crops(count: int) -> np.ndarray:
    pictures = np.zeros((count, 48, 48), np.uint8)
    pictures[:, 0, 0] = np.arange(count)
    return pictures


@settings(max_examples=40)
@given(st.tuples(st.floats(0.1, 1.05), st.floats(0.1, 1.05)), st.integers(0, 60), st.integers(0, 9))
def test_every_face_stops_at_the_first_sure_answer(thresholds: tuple[float, float], count: int, seed: int) -> None:
    logits, _ = made(count, seed)
    temperatures = (0.9, 1.1, 1.0)
    scores, asked = run_cascade(
        lambda member, chosen: logits[member, chosen], count, np.array(EVEN), temperatures, thresholds
    )
    for face in range(count):
        for stop in (1, 2, 3):
            expected = fuse(logits[:stop, face : face + 1], np.full(stop, 1 / stop), temperatures[stop - 1])[0]
            if stop == 3 or expected.max() >= thresholds[stop - 1]:
                break
        assert asked[face] == stop
        assert np.allclose(scores[face], expected, atol=1e-6)


def test_only_the_undecided_are_shown_to_the_next_member() -> None:
    logits, labels = made(200)
    members = [Told(table) for table in logits]
    cascade = fit_cascade(logits, labels, EVEN, (1.0, 1.0, 2.0))
    point = cascade.default_point
    classifier = CascadeClassifier(members, np.array(EVEN), np.zeros(7), cascade, point, "told")
    scores = classifier(crops(200))
    assert [member.asked for member in members] == [round(200 * share) for share in classifier.point.reach]
    assert (scores.argmax(axis=1) == labels).mean() == pytest.approx(classifier.point.accuracy, abs=1e-5)
    assert (classifier.faces, classifier.invocations) == (200, sum(member.asked for member in members))
    classifier.depth = 1
    classifier(crops(200))
    assert members[0].asked == 400 and members[1].asked + members[2].asked == classifier.invocations - 400
    assert classifier(crops(0)).shape == (0, 7)


@pytest.mark.slow
def test_the_chosen_point_is_the_cheapest_that_loses_no_more_than_allowed_expected_and_counted() -> None:
    logits, labels = made(3000)
    times = (1.0, 1.1, 2.0)
    _, temperature = fit_temperature(logits, labels, np.full(3, 1 / 3, np.float32))
    whole = (fuse(logits, np.array(EVEN), temperature).argmax(axis=1) == labels).mean()
    cascade = fit_cascade(logits, labels, EVEN, times, max_drop=0.002)
    costs = [mean_time(point, times) for point in cascade.points]
    losses = [point.loss for point in cascade.points]
    assert costs == sorted(costs) and losses == sorted(set(losses), reverse=True) and losses[-1] <= 0.0001
    enough = [point for point in cascade.points if point.accuracy >= whole - 0.00201 and point.loss <= 0.002]
    assert cascade.default_point == enough[0]
    scores, asked = early_exit([member[None] for member in logits], EVEN, (0.0,), cascade)
    assert (scores.argmax(axis=1) == labels).mean() == pytest.approx(enough[0].accuracy, abs=1e-5)
    assert 1 <= asked.mean() < 3


@pytest.mark.slow
def test_a_held_out_face_is_answered_without_its_label() -> None:
    logits, labels = made(250)
    here = next(fold_masks(250, 5))
    other = np.where(here, (labels + 1) % 7, labels)
    times = (1.0, 1.1, 2.0)
    (scores, asked), (again, asked_again) = (
        CrossValidation(logits, each, times, equal_weights, MAX_DROP, (0.0,)).held_out_early_exit(
            fit_folds(logits, each, equal_weights)
        )
        for each in (labels, other)
    )
    assert np.array_equal(scores[here], again[here]) and np.array_equal(asked[here], asked_again[here])
    assert not np.allclose(scores[~here], again[~here], atol=1e-3)
    assert np.allclose(scores.sum(axis=1), 1, atol=1e-5) and asked.min() >= 1 and asked.max() <= 3


def alike(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Members that look at the same faces and hence err on the same ones, but not on all; and the labels."""
    own, labels = made(count, seed)
    shared = np.random.default_rng(seed + 1000).normal(0, 1, own.shape[1:])
    return (0.5 * own + shared + 0.5 * np.eye(7)[labels]).astype(np.float32), labels


@pytest.mark.slow
def test_the_expected_loss_foretells_other_faces_better_than_the_counted_one() -> None:
    others, truth = alike(40_000, seed=99)
    drop = np.mean(others.mean(axis=0).argmax(axis=1) == truth) - np.mean(others[0].argmax(axis=1) == truth)
    errors = []
    for seed in range(10):
        logits, labels = alike(400, seed)
        cascade = fit_cascade(logits, labels, EVEN, (1.0, 1.0, 1.0))
        first = cascade.points[0]
        assert first.reach[1] < 0.01
        counted = np.mean(logits.mean(axis=0).argmax(axis=1) == labels) - first.accuracy
        errors.append((abs(first.loss - drop), abs(counted - drop)))
    expected, counted = np.mean(errors, axis=0)
    assert expected < counted


@pytest.mark.slow
@pytest.mark.parametrize(("times", "expected"), [((9.0, 1.0, 3.0), (1, 2, 0)), ((3.0, 9.0, 1.0), (2, 0, 1))])
def test_members_as_good_as_each_other_are_asked_by_their_cost(
    times: tuple[float, ...], expected: tuple[int, ...]
) -> None:
    logits, labels = alike(600, 3)
    order, cascade = cheapest_cascade(logits, labels, EVEN, times)
    assert order == expected
    assert cascade == fit_cascade(logits[list(order)], labels, EVEN, [times[member] for member in order])


@pytest.mark.slow
def test_a_dear_member_that_ends_most_doubts_comes_before_a_cheap_one_that_ends_none() -> None:
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 7, 600)
    truth = np.eye(7, dtype=np.float32)[labels]
    some, none, most = (strength * truth + rng.normal(0, 1, (600, 7)) for strength in (3, 0, 5))
    logits = np.stack([some, none, most]).astype(np.float32)
    order, _ = cheapest_cascade(logits, labels, (0.3, 0.1, 0.6), (1.0, 1.2, 2.0))
    assert order == (0, 2, 1)


def test_a_budget_buys_the_point_that_loses_least() -> None:
    points = (
        OperatingPoint((0.2,), (1.0, 0.1), 0.6, 0.1),
        OperatingPoint((0.5,), (1.0, 0.5), 0.7, 0.01),
        OperatingPoint((1.01,), (1.0, 1.0), 0.69, 0.0),
    )
    cascade = Cascade((1.0, 1.0), points, 1)
    assert select_point(cascade, (1.0, 2.0), 2.5) == points[1]
    assert select_point(cascade, (1.0, 2.0), 9.0) == points[2]
    assert select_point(cascade, (1.0, 2.0), 0.1) == points[0]


# --- the shipped ensemble ----------------------------------------------------------------------------------------


def test_the_shipped_cascade_answers_as_its_members_do() -> None:
    config = read_ensemble(FOLDER / "ensemble.json")
    assert config.cascade is not None
    faces = np.random.default_rng(3).integers(0, 256, (12, 48, 48), np.uint8)
    whole, cascade = open_classifier(), open_early_exit()
    assert isinstance(cascade, CascadeClassifier)
    views = [member.logits(faces)[None] for member in whole.members]
    scores, asked = early_exit(views, config.weights, config.offsets, config.cascade)
    assert np.allclose(cascade(faces), scores, atol=1e-6) and cascade.invocations == asked.sum()
    timings = cascade.record_timings()
    cascade(faces)
    assert [len(timings[member.name]) for member in whole.members] == [np.sum(asked > index) for index in range(3)]
    cascade.point = replace(cascade.point, thresholds=(1.01, 1.01))
    assert np.allclose(cascade(faces), whole(faces), atol=1e-3)


def test_a_single_model_runs_as_it_is_and_has_no_budget() -> None:
    faces = np.random.default_rng(3).integers(0, 256, (2, 48, 48), np.uint8)
    assert np.array_equal(open_early_exit("mobilenet_v2")(faces), open_classifier("mobilenet_v2")(faces))
    with pytest.raises(ModelError, match="no early exit"):
        open_early_exit("mobilenet_v2", budget=5.0)


def test_a_budget_is_measured_here_and_now() -> None:
    assert all(time > 0 for time in measure_members(open_classifier().members, rounds=3))
    rich = open_early_exit(budget=1e6)
    assert isinstance(rich, CascadeClassifier) and rich.point == rich.cascade.points[-1]
    with pytest.raises(ModelError, match="expected more than that"):
        open_early_exit(budget=1e-6)


@pytest.mark.parametrize(
    "broken",
    [
        {"temperatures": [1, 1]},
        {"points": []},
        {"points": [{"thresholds": [0.5], "reach": [1, 1, 1], "accuracy": 1, "loss": 0}]},
        {"points": [{"thresholds": [0.5, 0.5], "reach": [1, 1, 1], "accuracy": 1}]},
        {"chosen": 9999},
        {"chosen": float("inf")},
        {"temperatures": [1, 0, 1]},
        {"temperatures": [1, float("nan"), 1]},
        {"points": [{"thresholds": [0.5, float("nan")], "reach": [1, 1, 1], "accuracy": 1, "loss": 0}], "chosen": 0},
        5,
    ],
)
def test_a_broken_cascade_is_one_line(broken: object, tmp_path: Path) -> None:
    path = shutil.copy(FOLDER / "ensemble.json", tmp_path)
    stored = json.loads(Path(path).read_text())
    stored["cascade"] = {**stored["cascade"], **broken} if isinstance(broken, dict) else broken
    Path(path).write_text(json.dumps(stored))
    with pytest.raises(ModelError, match="is no ensemble file"):
        read_ensemble(Path(path))


def test_a_budget_without_a_cascade_is_refused() -> None:
    result = CliRunner().invoke(main, ["run", "--latency-budget", "3", "--no-early-exit"])
    assert result.exit_code == 2 and "exclude each other" in result.stderr


def test_evaluate_tells_of_the_cascade_too(synthetic_csv: Path) -> None:
    config = FOLDER / "ensemble.json"
    words = [
        "evaluate",
        *reversed(MODEL_NAMES),
        "--data",
        str(synthetic_csv),
        "--ensemble",
        str(config),
        "--early-exit",
        "--json",
    ]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    told = [json.loads(line)["model"] for line in done.stdout.splitlines()]
    members = [member.removesuffix("_int8.tflite") for member in read_ensemble(config).members]
    assert told == [*members, "ensemble", "early exit"], "in the ensemble's order"
    assert "models per face" in done.stderr
    for wrong in ([*words, "--tta", "flip"], [*words[:5], "--data", str(synthetic_csv), "--early-exit"]):
        assert CliRunner().invoke(main, wrong).exit_code == 2


def test_another_seed_is_another_partition() -> None:
    first, again, other = (np.stack(list(fold_masks(100, 5, seed))) for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert all(np.array_equal(each.sum(axis=0), np.ones(100)) for each in (first, other))


@pytest.mark.slow
def test_ensemble_fit_writes_a_cascade(synthetic_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(  # a clock under load may not tell the members apart
        ensemble_cli, "measure_members", lambda members, **_: [float(member.path.stat().st_size) for member in members]
    )
    for name in MODEL_NAMES:
        for suffix in ("tflite", "json"):
            shutil.copy(FOLDER / f"{name}_int8.{suffix}", tmp_path)
    files = [str(tmp_path / f"{name}_int8.tflite") for name in reversed(MODEL_NAMES)]
    words = ["ensemble", "fit", *files, "--data", str(synthetic_csv), "--out", str(tmp_path / "ensemble.json")]
    done = CliRunner().invoke(main, [*words, "--max-drop", "100", "--partitions", "3"])
    assert done.exit_code == 0, done.output
    told = re.findall(r"mean of 3 partitions: accuracy ([\d.]+) % \(([\d.]+) to ([\d.]+)\), ", done.stdout)
    assert len(told) == 2 and all(float(least) <= float(mean) <= float(most) for mean, least, most in told)
    assert re.search(r", drop -?[\d.]+ points \(-?[\d.]+ to -?[\d.]+\), [\d.]+ models per face", done.stdout)
    config = read_ensemble(tmp_path / "ensemble.json")
    assert sorted(config.members) == sorted(f"{name}_int8.tflite" for name in MODEL_NAMES)
    cascade = config.cascade
    assert cascade is not None and cascade.default == 0, "whatever it costs in accuracy, the cheapest"
    assert "times faster here" in done.stdout
