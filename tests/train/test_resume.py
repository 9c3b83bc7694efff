"""What a run may resume from, and what is refused before it starts."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from training import SHORT, synthetic_rows

from fer_edge.convert.checkpoint import Checkpoint
from fer_edge.edge.cli import main
from fer_edge.edge.errors import FerEdgeError
from fer_edge.train.checkpoint import RunIdentity, TrainingState, read_checkpoint, run_identity, write_checkpoint
from fer_edge.train.data.loading import load
from fer_edge.train.data.splits import Dataset, Split
from fer_edge.train.recipes import Recipe
from fer_edge.train.teachers import write_logits
from fer_edge.train.training_run import TrainingRun
from fer_edge.train.weights import check_weights

pytestmark = pytest.mark.tensorflow

NAMES = ("a", "b")
FACES = Split(np.zeros((2, 48, 48), np.uint8), np.arange(2), NAMES)
OTHERS = Split(np.ones((2, 48, 48), np.uint8), np.arange(2), NAMES)
DATA = Dataset(Path("a.csv"), {"train": FACES, "val": FACES})
RECIPE = Recipe()
VOTES = np.full((2, 7), 1 / 7, np.float32)


def identity(
    network: str = "vgg",
    recipe: Recipe = RECIPE,
    weights: str = "none",
    data: Dataset = DATA,
    votes: np.ndarray | None = VOTES,
) -> RunIdentity:
    return run_identity(TrainingRun(network, recipe, weights, Path()), data.split("train"), data.split("val"), votes)


def renamed(data: Dataset, classes: tuple[str, ...]) -> Dataset:
    return replace(data, splits={name: replace(each, classes=classes) for name, each in data.splits.items()})


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    path = tmp_path / "checkpoint.npz"
    write_checkpoint(path, identity(), TrainingState(epoch=3), model, keras.optimizers.SGD(), None)
    return path


def rewritten(path: Path, about: Any) -> Path:
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files if name != "about"}
    np.savez(path, about=np.frombuffer(json.dumps(about).encode(), np.uint8), **arrays)
    return path


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (identity(network="se_resnet18"), "a run of vgg"),
        (identity(recipe=replace(RECIPE, seed=5)), "another seed"),
        (identity(weights="first.npz"), "--weights none"),
        (identity(data=replace(DATA, splits={"train": OTHERS, "val": FACES})), "train"),
        (identity(data=replace(DATA, splits={"train": FACES, "val": OTHERS})), "val"),
        (identity(votes=None), "votes"),
        (identity(data=renamed(DATA, ("b", "a"))), "a run for the classes a, b"),
    ],
)
def test_a_checkpoint_fits_only_the_same_run(checkpoint: Path, other: RunIdentity, difference: str) -> None:
    assert read_checkpoint(checkpoint, identity())[0] == TrainingState(epoch=3)
    with pytest.raises(FerEdgeError, match=difference):
        read_checkpoint(checkpoint, other)


@pytest.mark.parametrize("about", [[], {}, {"state": 1}, {"state": {"epoch": 1}, "recipe": []}, {"state": {"x": 1}}])
def test_a_checkpoint_of_something_else_is_one_line(checkpoint: Path, about: Any) -> None:
    with pytest.raises(FerEdgeError, match="no run's checkpoint"):
        read_checkpoint(rewritten(checkpoint, about), identity())


@pytest.mark.parametrize("damage", [lambda content: content[:700], lambda content: b""])
def test_a_damaged_checkpoint_is_one_line(checkpoint: Path, damage: Callable[[bytes], bytes]) -> None:
    checkpoint.write_bytes(damage(checkpoint.read_bytes()))
    with pytest.raises(FerEdgeError, match="without --resume"):
        read_checkpoint(checkpoint, identity())


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "fer2013.csv"
    rows = synthetic_rows(14, "Training") + synthetic_rows(7, "PublicTest")
    path.write_text("\n".join(["emotion,pixels,Usage", *rows]))
    return path


def train(name: str, csv: Path, runs: Path, *words: object) -> Any:
    words = ("train", name, "--data", csv, "--runs", runs, *SHORT, "--small-epochs", "0", "--batch-size", 7, *words)
    return CliRunner().invoke(main, [str(word) for word in words])


def test_a_refused_resume_leaves_the_run_as_it_was(csv: Path, tmp_path: Path) -> None:
    first = train("mobilenet_v2", csv, tmp_path / "runs", "--resume")
    assert first.exit_code == 0 and "no checkpoint" in first.stderr, first.output
    recipe = tmp_path / "runs/mobilenet_v2/recipe.json"
    before = recipe.read_bytes()
    refused = train("mobilenet_v2", csv, tmp_path / "runs", "--resume", "--seed", 5)
    assert refused.exit_code == 2 and "another seed" in refused.stderr
    assert recipe.read_bytes() == before


def test_other_logits_of_a_teacher_of_the_same_name_are_refused(csv: Path, tmp_path: Path) -> None:
    run, split = tmp_path / "mobilenet_v2", load(csv).split("train")
    write_logits(tmp_path / "other.npz", np.ones((14, 7), np.float32), ["a"], split)
    write_logits(run / "teacher_logits.npz", np.zeros((14, 7), np.float32), ["a"], split)
    (run / "recipe.json").write_text('{"teachers": ["a"]}')
    (run / "checkpoint.npz").touch()
    refused = train("mobilenet_v2", csv, tmp_path, "--resume", "--teacher", tmp_path / "other.npz")
    assert refused.exit_code == 2 and "other logits of a" in refused.stderr


def test_what_would_stop_the_last_run_is_reported_before_the_first(csv: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "runs/efficientnet_b0/checkpoint.npz"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    lost = train("all", csv, tmp_path / "others", "--weights", tmp_path / "{name}.npz")
    without_val = tmp_path / "train.csv"
    without_val.write_text("\n".join(["emotion,pixels,Usage", *synthetic_rows(7, "Training")]))
    for refused, message in (
        (train("all", csv, tmp_path / "runs"), "efficientnet_b0 holds a run already"),
        (lost, "mobilenet_v2.npz: no such file"),
        (train("all", without_val, tmp_path / "others", "--teacher", "mobilenet_v2"), "no 'val' split"),
    ):
        assert refused.exit_code == 2 and message in refused.stderr
        assert "run folder" not in refused.stderr and "logits" not in refused.stderr


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("inception_resnet_v1", "missing.h5", "no such file; .*facenet_keras.h5"),
        ("mobilenet", "missing.json", "no such file; .*faceres.json"),
        ("mobilenet_v2", "missing.npz", "no such file; .*imagenet"),
        ("face_resnet", "imagenet", "face_recognition_model-weights_manifest.json"),
        ("vgg", "imagenet", "does not fit vgg; expected none"),
        ("mobilenet_v2", "there.json", "does not fit mobilenet_v2"),
        ("mobilenet_v2", "there.keras", "use the float.npz beside it"),
        ("inception_resnet_v1", "float.h5", "use the float.npz beside it"),
    ],
)
def test_initial_weights_that_do_not_fit_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, weights: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for there in ("there.json", "there.keras", "float.h5"):
        Path(there).touch()
    with pytest.raises(FerEdgeError, match=message):
        check_weights(name, weights)


@pytest.mark.parametrize(
    ("option", "path"), [("--teacher", "missing.npz"), ("--teacher", "runs/a"), ("--ferplus", "a")]
)
def test_missing_teachers_and_votes_are_named(csv: Path, tmp_path: Path, option: str, path: str) -> None:
    refused = train("vgg", csv, tmp_path / "runs", option, path)
    assert refused.exit_code == 2 and f"{option} {path}: no such file" in refused.stderr


def test_a_fine_tuning_goes_on_from_its_own_weights_alone(tmp_path: Path) -> None:
    network, path = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)]), tmp_path / "float_finetuned.npz"
    tuned = [np.full(value.shape, 2.0) for value in network.get_weights()]
    Checkpoint(path, "this one's").save(tuned)
    with pytest.raises(FerEdgeError, match="other weights"):
        Checkpoint(path, "another's").restore(network)
    Checkpoint(path, "this one's").restore(network)
    assert all(np.array_equal(one, other) for one, other in zip(network.get_weights(), tuned, strict=True))
