"""The ensemble: fusion, threads, timings and its JSON file."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from predictions import CLASSES
from random_faces import random_faces

from fer_edge.edge.errors import ModelError
from fer_edge.edge.expression.classifier import TFLiteClassifier
from fer_edge.edge.expression.ensemble import balanced_groups, member_files, open_classifier
from fer_edge.edge.expression.ensemble_config import EnsembleConfig, read_ensemble, write_ensemble
from fer_edge.edge.expression.scores import fuse
from fer_edge.models import FOLDER

LOGITS = arrays(np.float32, (2, 5, 7), elements=st.floats(-20, 20, width=32))


@given(LOGITS, st.floats(0.25, 4))
def test_fused_scores_are_probabilities(logits: np.ndarray, temperature: float) -> None:
    scores = fuse(logits, np.array([0.25, 0.75]), temperature)
    assert scores.shape == (5, 7) and np.allclose(scores.sum(axis=1), 1, atol=1e-5) and scores.min() >= 0


def test_an_ensemble_fuses_its_members() -> None:
    config = read_ensemble(FOLDER / "ensemble.json")
    logits = np.stack([TFLiteClassifier(FOLDER / name).logits(random_faces(6)) for name in config.members])
    scores = open_classifier("ensemble")(random_faces(6))
    assert np.allclose(scores, fuse(logits, np.array(config.weights), config.temperature, config.offsets), atol=1e-6)
    assert scores.dtype == np.float32 and np.allclose(scores.sum(axis=1), 1, atol=1e-5)
    assert open_classifier("ensemble")(random_faces(0)).shape == (0, 7)


def test_scores_do_not_depend_on_threads() -> None:
    for name in ("mobilenet_v2", "ensemble"):
        one, *more = (open_classifier(name, threads)(random_faces(6)) for threads in (1, 2, 3, 5))
        assert all(np.array_equal(one, other) for other in more), name


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(1, 7))
def test_groups_have_balanced_costs(costs: list[int], threads: int) -> None:
    groups = balanced_groups(costs, threads)
    assert len(groups) == min(threads, len(costs)) and all(groups)
    assert sorted(member for group in groups for member in group) == list(range(len(costs)))
    loads = [sum(costs[member] for member in group) for group in groups]
    assert max(loads) <= sum(costs) / len(groups) + max(costs)


def test_timings_are_recorded_per_model_and_face() -> None:
    whole = open_classifier("ensemble")
    whole(random_faces(2))
    timings = whole.record_timings()
    whole(random_faces(3))
    assert set(timings) == {path.stem for path in member_files("ensemble")}
    assert all(len(seconds) == 3 and min(seconds) > 0 for seconds in timings.values())


@pytest.mark.parametrize(
    "change",
    [
        {"members": []},
        {"weights": [1.0]},
        {"weights": [1, 1, 1]},
        {"weights": [1.5, -0.5, 0]},
        {"weights": [math.nan, 0.5, 0.5]},
        {"temperature": 0},
        {"temperature": "x"},
        {"temperature": math.nan},
        {"temperature": math.inf},
        {"alone": [1.0, 0.0, 1.0]},
        {"alone": [1.0, math.nan, 1.0]},
        {"offsets": [math.inf, *6 * [0]]},
    ],
)
def test_impossible_ensembles_are_refused(model_folder: Path, change: dict[str, object]) -> None:
    path = model_folder / "ensemble.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ModelError, match=r"ensemble\.json"):
        read_ensemble(path)


def test_ensemble_file_round_trip(tmp_path: Path) -> None:
    config = EnsembleConfig(("a.tflite", "b.tflite"), (0.4, 0.6), 1.25, (1.1, 0.9), CLASSES, (0.1,) * 7, "val split")
    assert read_ensemble(write_ensemble(tmp_path / "ensemble.json", config)) == config
