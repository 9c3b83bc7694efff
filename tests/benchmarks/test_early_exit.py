"""What early exit saves and costs, counted by hand on the shipped ensemble."""

from __future__ import annotations

import json
from pathlib import Path

from measuring import run

from fer_edge.edge.expression.ensemble import open_classifier
from fer_edge.edge.expression.ensemble_config import read_ensemble
from fer_edge.models import FOLDER
from fer_edge.train.data.loading import load
from fer_edge.train.evaluation.predictions import early_exit


def test_early_exit_is_measured_beside_the_whole_ensemble(synthetic_csv: Path, tmp_path: Path) -> None:
    out, plot = tmp_path / "early-exit.json", tmp_path / "early-exit.png"
    done = run("early-exit", "--data", synthetic_csv, "--out", out, "--plot", plot)
    assert done.exit_code == 0, done.output
    result = json.loads(out.read_text())
    part, config = load(synthetic_csv).split("val"), read_ensemble(FOLDER / "ensemble.json")
    assert config.cascade is not None
    views = [member.logits(part.faces)[None] for member in open_classifier().members]
    scores, models = early_exit(views, config.weights, config.offsets, config.cascade)
    all_models, early = result["rows"]
    assert (all_models["models_per_face"], early["models_per_face"]) == (3, round(float(models.mean()), 4))
    assert early["accuracy"] == round(float((scores.argmax(1) == part.labels).mean()), 5)
    low, high = result["ratio_interval"]
    assert low <= result["ratio"] <= high
    assert result["curve"][-1]["models_per_face"] >= early["models_per_face"] >= result["curve"][0]["models_per_face"]
    assert plot.read_bytes().startswith(b"\x89PNG")
    lines = run("table", out).stdout.splitlines()
    assert lines[-2].endswith("| 1.00 |") and lines[-1].endswith(f"| {result['ratio']:.2f} ({low:.2f}–{high:.2f}) |")
