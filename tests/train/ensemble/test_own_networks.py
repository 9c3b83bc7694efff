"""Networks of one's own whose classes come in another order than the data's and the shipped models'."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from dense_networks import dense_network

from fer_edge.edge.cli import main
from fer_edge.edge.errors import ModelError
from fer_edge.edge.expression.ensemble import open_classifier
from fer_edge.edge.expression.ensemble_config import read_ensemble
from fer_edge.models import FOLDER
from fer_edge.train.data.loading import load


@pytest.fixture
def own(model_folder: Path, synthetic_csv: Path) -> Path:
    """A network beside copies of the shipped ones that names the synthetic faces; its classes are sorted by name."""
    classes = load(synthetic_csv).classes
    weights = np.full((7, 48, 48, 1), -1 / 700)
    for output, name in enumerate(sorted(classes)):
        label = classes.index(name)
        weights[output, 6 * label + 2 : 6 * label + 7] += 0.01
    path = model_folder / "own.tflite"
    path.write_bytes(dense_network(weights))
    fer_edge("models", "add", path, "--labels", ",".join(sorted(classes)), "--range", "0..1")
    return path


def fer_edge(*words: object) -> str:
    done = CliRunner().invoke(main, [*map(str, words)])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_it_shares_an_ensemble_with_a_shipped_model(own: Path, synthetic_csv: Path) -> None:
    mixed, part = own.with_name("mixed.json"), load(synthetic_csv).split("val")
    small = own.with_name("mobilenet_v2_small_int8.tflite")
    fer_edge("ensemble", "fit", small, own, "--data", synthetic_csv, "--out", mixed)
    config = read_ensemble(mixed)
    assert set(config.members) == {small.name, own.name}
    classifier = open_classifier(str(mixed))
    assert classifier.classes == config.classes
    named = np.array(classifier.classes)[classifier(part.faces).argmax(axis=1)]
    assert (named == np.array(part.classes)[part.labels]).mean() > 0.9  # the own one knows them all
    with pytest.raises(ModelError, match="in any order"):
        classifier.put_in_order(("a", "b"))


def test_benches_match_classes_by_name(own: Path, synthetic_csv: Path, tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    for bench in ("accuracy", "robustness", "stability"):
        fer_edge("bench", bench, own, "--data", synthetic_csv, "--limit", "21", "--out", out)
        (row,) = json.loads(out.read_text())["rows"]
        assert (row["accuracy"]["share"] if bench == "stability" else row["accuracy"]) == 1.0


def test_evaluate_matches_the_ensembles_offsets_by_name(synthetic_csv: Path) -> None:
    """Offsets far from each other would go to other classes otherwise."""
    words = ["mobilenet_v2", "efficientnet_b0", "se_mobilenet_v2", "--ensemble", FOLDER / "ensemble.json"]
    words += ["--data", synthetic_csv, "--json", "--early-exit"]
    figures = []
    for classes in (load(synthetic_csv).classes, tuple(sorted(load(synthetic_csv).classes))):
        lines = fer_edge("evaluate", *words, "--classes", ",".join(classes)).splitlines()
        figures.append([(each["accuracy"], each["nll"], each["balanced_accuracy"]) for each in map(json.loads, lines)])
    assert np.allclose(*figures, atol=1e-5) and len(figures[0]) == 5
