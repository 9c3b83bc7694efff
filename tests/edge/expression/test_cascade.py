"""Early exit: which members run on a face, and what the fused scores are."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from member_logits import RecordedMember, independent_logits, numbered_crops

from fer_edge.edge.cli import main
from fer_edge.edge.errors import ModelError
from fer_edge.edge.expression.cascade import CascadeClassifier, measure_members, run_cascade
from fer_edge.edge.expression.ensemble import open_classifier, open_early_exit
from fer_edge.edge.expression.ensemble_config import read_ensemble
from fer_edge.edge.expression.operating_point import Cascade, OperatingPoint, select_point
from fer_edge.edge.expression.scores import fuse
from fer_edge.models import FOLDER
from fer_edge.train.ensemble.early_exit import fit_cascade
from fer_edge.train.evaluation.predictions import early_exit

EQUAL = (1 / 3, 1 / 3, 1 / 3)


@settings(max_examples=40)
@given(st.tuples(st.floats(0.1, 1.05), st.floats(0.1, 1.05)), st.integers(0, 60), st.integers(0, 9))
def test_a_face_exits_at_the_first_confident_answer(thresholds: tuple[float, float], count: int, seed: int) -> None:
    logits, _ = independent_logits(count, seed)
    temperatures = (0.9, 1.1, 1.0)
    scores, invocations = run_cascade(
        lambda member, faces: logits[member, faces], count, np.array(EQUAL), temperatures, thresholds, np.zeros(7)
    )
    for face in range(count):
        for stop in (1, 2, 3):
            expected = fuse(logits[:stop, face : face + 1], np.full(stop, 1 / stop), temperatures[stop - 1])[0]
            if stop == 3 or expected.max() >= thresholds[stop - 1]:
                break
        assert invocations[face] == stop
        assert np.allclose(scores[face], expected, atol=1e-6)


def test_the_next_member_runs_on_undecided_faces_only() -> None:
    logits, labels = independent_logits(200)
    members = [RecordedMember(table) for table in logits]
    cascade = fit_cascade(logits, labels, EQUAL, (1.0, 1.0, 2.0))
    point = cascade.default_point
    classifier = CascadeClassifier(members, np.array(EQUAL), np.zeros(7), cascade, point, "recorded")
    scores = classifier(numbered_crops(200))
    assert [member.faces for member in members] == [round(200 * share) for share in classifier.point.reach]
    assert (scores.argmax(axis=1) == labels).mean() == pytest.approx(classifier.point.accuracy, abs=1e-5)
    assert (classifier.faces, classifier.invocations) == (200, sum(member.faces for member in members))
    classifier.depth = 1
    classifier(numbered_crops(200))
    assert members[0].faces == 400 and members[1].faces + members[2].faces == classifier.invocations - 400
    assert classifier(numbered_crops(0)).shape == (0, 7)


def test_a_budget_selects_the_point_that_loses_least() -> None:
    points = (
        OperatingPoint((0.2,), (1.0, 0.1), 0.6, 0.1),
        OperatingPoint((0.5,), (1.0, 0.5), 0.7, 0.01),
        OperatingPoint((1.01,), (1.0, 1.0), 0.69, 0.0),
    )
    cascade = Cascade((1.0, 1.0), points, 1)
    assert select_point(cascade, (1.0, 2.0), 2.5) == points[1]
    assert select_point(cascade, (1.0, 2.0), 9.0) == points[2]
    assert select_point(cascade, (1.0, 2.0), 0.1) == points[0]


def test_the_shipped_ensemble_exits_early() -> None:
    config = read_ensemble(FOLDER / "ensemble.json")
    assert config.cascade is not None
    faces = np.random.default_rng(3).integers(0, 256, (12, 48, 48), np.uint8)
    whole, cascade = open_classifier(), open_early_exit()
    assert isinstance(cascade, CascadeClassifier)
    views = [member.logits(faces)[None] for member in whole.members]
    scores, invocations = early_exit(views, config.weights, config.offsets, config.cascade)
    assert np.allclose(cascade(faces), scores, atol=1e-6) and cascade.invocations == invocations.sum()
    timings = cascade.record_timings()
    cascade(faces)
    assert [len(timings[member.name]) for member in whole.members] == [
        np.sum(invocations > index) for index in range(3)
    ]
    cascade.point = replace(cascade.point, thresholds=(1.01, 1.01))
    assert np.allclose(cascade(faces), whole(faces), atol=1e-3)


def test_a_single_model_has_no_early_exit_and_no_budget() -> None:
    faces = np.random.default_rng(3).integers(0, 256, (2, 48, 48), np.uint8)
    assert np.array_equal(open_early_exit("mobilenet_v2")(faces), open_classifier("mobilenet_v2")(faces))
    with pytest.raises(ModelError, match="no early exit"):
        open_early_exit("mobilenet_v2", budget=5.0)


def test_a_budget_is_compared_with_measured_times() -> None:
    assert all(time > 0 for time in measure_members(open_classifier().members, rounds=3))
    generous = open_early_exit(budget=1e6)
    assert isinstance(generous, CascadeClassifier) and generous.point == generous.cascade.points[-1]
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


def test_a_budget_without_early_exit_is_refused() -> None:
    result = CliRunner().invoke(main, ["run", "--latency-budget", "3", "--no-early-exit"])
    assert result.exit_code == 2 and "exclude each other" in result.stderr
