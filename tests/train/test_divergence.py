"""A loss that is no number ends a training in one line; what was saved before stays, and JSON has no NaN."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from predictions import CLASSES
from training import SHORT, command

from fer_edge.edge.errors import DataError, ModelError
from fer_edge.edge.expression.ensemble_config import EnsembleConfig, write_ensemble
from fer_edge.edge.files.documents import read_json, write_json
from fer_edge.models import FOLDER
from fer_edge.train.checkpoint import CHECKPOINT
from fer_edge.train.data.loading import load
from fer_edge.train.data.splits import Dataset, Split
from fer_edge.train.ensemble.calibration import fit_prior, fit_temperature, fit_weights
from fer_edge.train.evaluation.predictions import collect_logits
from fer_edge.train.networks import open_network
from fer_edge.train.recipes import Recipe
from fer_edge.train.run_folder import prepare_folder
from fer_edge.train.teachers import held_out_faces, read_logits, write_logits
from fer_edge.train.training_run import TrainingRun
from fer_edge.train.training_targets import SoftTargets, training_set
from fer_edge.train.weights import read_half

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def data(synthetic_csv: Path) -> Dataset:
    return load(synthetic_csv)


@pytest.mark.faults
@pytest.mark.slow
def test_a_training_that_diverges_is_one_line(synthetic_csv: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    words = ["train", "mobilenet_v2", "--data", synthetic_csv, "--runs", runs, *SHORT, "--optimizer", "sgd"]
    done = subprocess.run(command(*words, "--warmup-rate", "1e9"), capture_output=True, text=True)
    errors = [line for line in done.stderr.splitlines() if line.startswith("fer-edge: ")]
    assert done.returncode == 2 and len(errors) == 1 and "Traceback" not in done.stderr, done.stderr
    assert "epoch 1 (warmup)" in errors[0] and "the loss is " in errors[0] and "--warmup-rate" in errors[0]
    assert [path.name for path in (runs / "mobilenet_v2").iterdir()] == ["recipe.json"]


@pytest.mark.faults
def test_a_teacher_that_gives_no_numbers_is_one_line(data: Dataset, tmp_path: Path) -> None:
    faces = data.split("train").faces
    with pytest.raises(ModelError, match="no numbers"):
        collect_logits(lambda batch: np.full((len(batch), 7), np.nan, np.float32), faces)
    write_logits(tmp_path / "a.npz", np.full((len(faces), 7), np.nan, np.float32), ["a"], data.split("train"))
    with pytest.raises(DataError, match="no numbers"):
        read_logits(tmp_path / "a.npz", data.split("train"))


@pytest.mark.faults
def test_weights_that_are_no_numbers_are_refused(finished_run: Path, tmp_path: Path) -> None:
    with np.load(finished_run / "float.npz") as stored:
        arrays = {name: stored[name] for name in stored.files}
    name = next(name for name in arrays if arrays[name].dtype.kind == "f")
    np.savez(tmp_path / "float.npz", **{**arrays, name: np.full_like(arrays[name], np.nan)})
    for read in (read_half, open_network):
        with pytest.raises(ModelError, match="no numbers"):
            read(tmp_path / "float.npz")
    network = open_network(finished_run)
    network.model.set_weights([np.full_like(each, np.nan) for each in network.model.get_weights()])
    network.model.save(tmp_path / "float.keras")
    with pytest.raises(ModelError, match="no numbers"):
        open_network(tmp_path / "float.keras")


@pytest.mark.faults
@pytest.mark.parametrize("present", [[3], [0, 6], [0, 2, 3, 4, 5, 6]])
def test_a_class_without_pictures_fits_to_numbers(present: list[int]) -> None:
    """Class weights, and an ensemble's weights, temperature and offsets, also where a model never predicts a class."""
    rng = np.random.default_rng(0)
    labels = rng.choice(present, 60)
    logits = np.full((2, 60, 7), -400.0, np.float32)
    logits[:, np.arange(60), labels] = 400
    train = Split(np.zeros((60, 48, 48), np.uint8), labels.astype(np.int64), CLASSES)
    for kind in ("none", "sqrt", "balanced"):
        weights = training_set(train, replace(Recipe(), class_weights=kind), SoftTargets()).weights
        assert np.isfinite(weights).all() and weights.mean() == pytest.approx(1)
    assert np.isfinite(fit_weights(logits, labels)).all()
    assert np.isfinite(fit_temperature(logits, labels, np.full(2, 0.5, np.float32))).all()
    temperature, offsets = fit_prior(logits, labels, (0.5, 0.5))
    assert np.isfinite([temperature, *offsets]).all() and max(map(abs, offsets)) <= 20


def test_an_impossible_ensemble_is_not_written(tmp_path: Path) -> None:
    one = EnsembleConfig(("a",), (1.0,), 1.0, (1.0,), ("a", "b"), (0.0, 0.0))
    for change in ({"temperature": float("nan")}, {"weights": (float("nan"),)}, {"offsets": (float("inf"),) * 2}):
        with pytest.raises(ModelError, match="nothing was written"):
            write_ensemble(tmp_path / "a.json", replace(one, **change))
    assert not list(tmp_path.iterdir())


@pytest.mark.faults
def test_json_has_no_nan(tmp_path: Path) -> None:
    path = write_json(tmp_path / "a.json", {"a": [1.5, float("nan")], "b": (float("-inf"), {"c": float("inf")})})
    assert read_json(path) == {"a": [1.5, None], "b": [None, {"c": None}]}


@pytest.mark.faults
@pytest.mark.parametrize(
    ("variables", "content", "expected"),
    [
        ({"KERAS_BACKEND": "torch"}, None, "KERAS_BACKEND = torch is not installed; expected tensorflow, jax, torch"),
        ({"KERAS_BACKEND": "nonsense\n" * 99}, None, "KERAS_BACKEND = nonsense nonsense"),
        ({"KERAS_BACKEND": "numpy"}, None, "KERAS_BACKEND = numpy is no backend that can train"),
        ({"KERAS_MAX_EPOCHS": "x"}, None, "Keras does not start"),
        ({}, b"{", "keras.json is no configuration"),
        ({}, b"[" * 100_000, "keras.json is no configuration"),
        ({}, b"[1]", "keras.json is no configuration"),
        ({}, b'{"backend": "theano"}', "keras.json, backend = theano is no backend"),
        ({}, b'{"backend": 5}', "keras.json, backend = 5 is no backend"),
        ({}, b'{"image_data_format": "channels_first"}', "the networks here need channels_last"),
        ({}, b'{"floatx": "float99"}', "the networks here need float32"),
        ({}, b'{"epsilon": "x"}', "Keras does not start"),
    ],
)
def test_what_is_wrong_with_keras_backend_is_one_line(
    tmp_path: Path, variables: dict[str, str], content: bytes | None, expected: str
) -> None:
    if content is not None:
        (tmp_path / "keras.json").write_bytes(content)
    environment = {**os.environ, "KERAS_HOME": str(tmp_path), **variables}
    words = command("train", "mobilenet_v2", "--data", "none.csv", "--weights", "none")
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and expected in line and len(line) < 400, line


@pytest.mark.faults
@pytest.mark.parametrize(
    "words",
    [
        ("convert", "none.npz", "--data", "none.csv"),
        ("convert", "face-detector", "none.onnx", "--data", "none.csv"),
        ("models", "sensitivity", "none.npz", "--data", "none.csv"),
        ("models", "measure", "none.tflite", "--float", "none.npz", "--data", "none.csv"),
        ("models", "onnx", str(FOLDER / "mobilenet_v2_int8.tflite")),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_every_command_that_needs_tensorflow_checks_keras_backend(words: tuple[str, ...]) -> None:
    """TensorFlow imports Keras, whatever it is used for."""
    environment = {**os.environ, "KERAS_BACKEND": "nonsense"}
    done = subprocess.run(command(*words), capture_output=True, text=True, env=environment)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and "KERAS_BACKEND = nonsense is no backend" in line, line


@pytest.mark.faults
def test_a_damaged_recipe_of_a_run_costs_one_line(data: Dataset, tmp_path: Path) -> None:
    """That of a teacher is no fold, and that of a resumed run an error."""
    recipe, run = tmp_path / "recipe.json", TrainingRun("mobilenet_v2", Recipe(), "none", tmp_path)
    (tmp_path / CHECKPOINT).touch()
    for content in (b"[1]", b'{"fold": "x", "folds": []}', b'{"fold": null}', b"[" * 100_000, b"\xff"):
        recipe.write_bytes(content)
        assert held_out_faces(tmp_path, 3).all()
        if not content.startswith(b"{"):
            with pytest.raises(DataError, match=r"recipe\.json"):
                prepare_folder(run, SoftTargets(), data.split("train"), resume=True)
