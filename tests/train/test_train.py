"""Training on a synthetic data set: kill -9 and resume, the files of a run, and their evaluation."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from training import NETWORK, SHORT, command

from fer_edge.edge.cli import main
from fer_edge.edge.errors import ModelError
from fer_edge.train import architectures, loop
from fer_edge.train.data.loading import load
from fer_edge.train.networks import open_network, predict_logits
from fer_edge.train.recipes import Recipe
from fer_edge.train.training_run import TrainingRun
from fer_edge.train.weights import load_half

pytestmark = pytest.mark.tensorflow

UNCHANGED = replace(Recipe(), flip=0.0, rotation=0.0, zoom=0.0, shift=0.0, contrast=0.0, brightness=0.0)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same random weights in every run."""
    keras.utils.set_random_seed(2)


def history(run: Path) -> list[dict[str, str]]:
    with (run / "history.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_a_run_writes_all_its_files(finished_run: Path) -> None:
    names = {path.name for path in finished_run.iterdir()}
    assert {"float.keras", "float.h5", "float.npz", "metrics.json", "history.csv", "recipe.json",
            "training_curves.png", "confusion_matrix.png", "checkpoint.npz"} <= names  # fmt: skip
    metrics = json.loads((finished_run / "metrics.json").read_text())
    assert set(metrics["per_class"]["fear"]) == {"precision", "recall", "f1", "support"}
    assert np.sum(metrics["confusion"]) == 42
    assert [row["phase"] for row in history(finished_run)] == ["warmup", "small", "small"]
    assert json.loads((finished_run / "recipe.json").read_text())["small_size"] == 32


def test_saved_models_agree(finished_run: Path, synthetic_csv: Path) -> None:
    faces = load(synthetic_csv).split("val").faces[:8]
    saved = keras.models.load_model(finished_run / "float.keras", compile=False)
    older = keras.models.load_model(finished_run / "float.h5", compile=False)
    half = architectures.build(NETWORK, keras, classes=7)
    load_half(half, finished_run / "float.npz", load(synthetic_csv).classes)
    logits = predict_logits(saved, faces)
    assert np.allclose(predict_logits(older, faces), logits, atol=1e-5)
    assert np.allclose(predict_logits(half, faces), logits, atol=0.02 * (1 + np.abs(logits).max()))


def test_killed_run_resumes_with_the_same_history(synthetic_csv: Path, finished_run: Path, tmp_path: Path) -> None:
    words = command("train", NETWORK, "--data", synthetic_csv, "--runs", tmp_path, *SHORT)
    victim = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    checkpoint = tmp_path / NETWORK / "checkpoint.npz"
    while not checkpoint.exists() and victim.poll() is None:
        time.sleep(0.05)
    victim.send_signal(signal.SIGKILL)
    assert victim.wait() == -signal.SIGKILL
    again = subprocess.run(words, capture_output=True, text=True)
    assert again.returncode == 2 and "--resume" in again.stderr
    resumed = subprocess.run([*words, "--resume"], capture_output=True, text=True)
    assert resumed.returncode == 0, resumed.stderr
    for one, other in zip(history(tmp_path / NETWORK), history(finished_run), strict=True):
        assert one["phase"] == other["phase"] and one["rate"] == other["rate"]
        assert float(one["loss"]) == pytest.approx(float(other["loss"]), rel=1e-2)
    other_recipe = subprocess.run([*words, "--resume", "--batch-size", "14"], capture_output=True, text=True)
    assert other_recipe.returncode == 2 and "batch_size" in other_recipe.stderr


def test_evaluate_reads_run_folders_and_ensembles(finished_run: Path, synthetic_csv: Path, tmp_path: Path) -> None:
    words = [
        "evaluate",
        str(finished_run),
        str(finished_run / "float.keras"),
        "--data",
        str(synthetic_csv),
        "--split",
        "test",
    ]
    plots = tmp_path / "plots"
    result = CliRunner().invoke(main, [*words, "--tta", "flip", "--json", "--plots", str(plots)])
    assert result.exit_code == 0, result.output
    first, second, together = (json.loads(line) for line in result.stdout.splitlines())
    assert first["accuracy"] == second["accuracy"] == together["accuracy"]
    assert together["model"] == "ensemble" and np.sum(together["confusion"]) == 14
    assert {path.name for path in plots.iterdir()} >= {"ensemble-confusion.png", "ensemble-reliability.png"}


@pytest.mark.parametrize("shapes", [((48, 48, 3), 10), ((48,), 7)])
def test_a_network_of_other_shapes_is_one_line(shapes: tuple[tuple[int, ...], int], tmp_path: Path) -> None:
    pictures, classes = shapes
    inputs = keras.layers.Input(pictures)
    model = keras.Model(inputs, keras.layers.Dense(classes)(keras.layers.Flatten()(inputs)), name="mobilenet_v2")
    model.save(tmp_path / "other.keras")
    with pytest.raises(ModelError, match=r"expected (pictures .* to logits \(None, C\)|what training writes)"):
        open_network(tmp_path / "other.keras")


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_a_network_learns_an_easy_data_set(synthetic_csv: Path, tmp_path: Path, precision: str) -> None:
    steps = {"warmup_epochs": 0, "small_epochs": 6, "small_size": 32, "top_epochs": 0, "full_epochs": 0}
    recipe = replace(UNCHANGED, **steps, batch_size=14, precision=precision)
    model, state = loop.fit(TrainingRun("mobilenet_v2", recipe, "none", tmp_path), load(synthetic_csv))
    losses = [float(row["loss"]) for row in state.history]
    assert losses[-1] < losses[0] - 0.2
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}, "in whichever precision it was trained"
