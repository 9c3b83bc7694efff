"""Classes travel from the data through the run folder to whoever opens the network, whatever their names and number."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
from click.testing import CliRunner
from training import NETWORK, SHORT

from fer_edge.convert.float_network import open_float_network
from fer_edge.edge.cli import main
from fer_edge.edge.errors import DataError, ModelError
from fer_edge.edge.files.documents import write_json
from fer_edge.models import FOLDER
from fer_edge.train import architectures
from fer_edge.train.data.class_order import class_order, in_class_order
from fer_edge.train.data.splits import Dataset, Split
from fer_edge.train.loop import fit
from fer_edge.train.networks import open_logits, open_network
from fer_edge.train.origin import weights_data
from fer_edge.train.recipes import Recipe, make_recipe
from fer_edge.train.run_folder import save_model
from fer_edge.train.stored_classes import checked_classes, read_classes
from fer_edge.train.teachers import read_logits, write_logits
from fer_edge.train.training_run import TrainingRun
from fer_edge.train.training_targets import (
    Batch,
    SoftTargets,
    class_weights,
    distillation_loss,
    training_set,
    with_teacher,
)
from fer_edge.train.weights import read_half, save_half

pytestmark = pytest.mark.tensorflow

NAMES = ("awake", "drowsy", "yawning")


def faces(count: int, classes: tuple[str, ...] = NAMES) -> Split:
    """Noise with a bright stripe at a height of the class's own."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(40, 90, (count, 48, 48), np.uint8)
    labels = np.arange(count) % len(classes)
    for face, label in zip(pixels, labels, strict=True):
        face[15 * label + 2 : 15 * label + 10] += 140
    return Split(pixels, labels, classes)


def network() -> keras.Model:
    inputs = keras.layers.Input((48, 48, 1))
    x = keras.layers.Dense(3, name="head_logits")(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, x, name="small")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of the smallest network trained on three classes; the tree is beside it."""
    folder = tmp_path_factory.mktemp("three")
    for split, count in (("train", 24), ("val", 12)):
        part = faces(count)
        for index, (face, label) in enumerate(zip(part.faces, part.labels, strict=True)):
            path = folder / "tree" / split / NAMES[label] / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), face)
    words = ["train", NETWORK, "--data", str(folder / "tree"), "--runs", str(folder / "runs"), *SHORT]
    done = CliRunner().invoke(main, [*words, "--batch-size", "8"])
    assert done.exit_code == 0, done.output
    assert all(f"\n{name} " in done.stdout for name in NAMES)
    return folder / "runs" / NETWORK


@pytest.mark.slow
def test_a_run_names_its_classes_wherever_its_files_go(run: Path, tmp_path: Path) -> None:
    assert json.loads((run / "metrics.json").read_text())["classes"] == list(NAMES)
    for name in ("float.keras", "float.npz", "checkpoint.npz"):
        moved = shutil.copy(run / name, tmp_path)
        opened = open_float_network(moved, tmp_path)
        assert opened.classes == NAMES and opened.model.output_shape == (None, 3)
    assert open_network(tmp_path / "float.keras").classes == read_half(tmp_path / "float.npz").classes == NAMES
    assert read_classes(run / "float.h5") == NAMES


@pytest.mark.slow
def test_evaluate_takes_the_names_from_the_data_and_refuses_others(run: Path, synthetic_csv: Path) -> None:
    tree = run.parent.parent / "tree"
    done = CliRunner().invoke(main, ["evaluate", str(run), "--data", str(tree), "--json"])
    assert done.exit_code == 0, done.output
    assert list(json.loads(done.stdout)["per_class"]) == list(NAMES)
    for words in (["evaluate", run], ["train", "vgg", "--teacher", run, "--runs", run.parent.parent / "other"]):
        done = CliRunner().invoke(main, [*map(str, words), "--data", str(synthetic_csv)])
        line = done.stderr.splitlines()[-1]
        assert done.exit_code == 2 and "awake, drowsy, yawning" in line and "angry, disgust" in line


def test_a_network_that_names_no_classes_has_those_of_fer2013_or_is_refused(tmp_path: Path) -> None:
    assert checked_classes(tmp_path, None, 7) == ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    for stored, outputs in ((None, 3), (NAMES, 4), (("a", "a", "b"), 3)):
        with pytest.raises(ModelError, match=str(tmp_path)):
            checked_classes(tmp_path, stored, outputs)
    network().save(tmp_path / "foreign.keras")
    with pytest.raises(ModelError, match="3 outputs and does not name its classes"):
        open_network(tmp_path / "foreign.keras")


def test_logits_come_in_the_order_of_the_data(tmp_path: Path, messages: list[str]) -> None:
    save_model(network(), tmp_path / "float.keras", NAMES)
    part = faces(6)
    ours = open_logits(str(tmp_path / "float.keras"), NAMES)(part.faces)
    assert not messages
    theirs = open_logits(str(tmp_path / "float.keras"), ("yawning", "awake", "drowsy"))(part.faces)
    assert np.array_equal(theirs, ours[:, [2, 0, 1]]) and "another order" in messages[-1]
    with pytest.raises(ModelError, match="expected the same names"):
        open_logits(str(tmp_path / "float.keras"), ("awake", "drowsy", "asleep"))


def test_labels_and_columns_are_matched_by_name() -> None:
    theirs = ("c", "a", "b")
    split = in_class_order(Split(np.zeros((3, 48, 48), np.uint8), np.array([0, 1, 2]), theirs), ("a", "b", "c"), "it")
    assert [split.classes[label] for label in split.labels] == list(theirs)
    order = class_order(("a", "b", "c"), theirs, "it")
    assert [("a", "b", "c")[column] for column in order] == list(theirs)


@pytest.mark.parametrize("classes", [2, 100])
def test_a_network_has_an_output_for_each_class(classes: int) -> None:
    for name in ("mobilenet_v2_small", "vgg"):
        assert architectures.build(name, keras, 48, classes=classes).output_shape == (None, classes)


def test_loss_and_targets_have_the_number_of_the_data(tmp_path: Path) -> None:
    part = faces(9)
    ready = training_set(part, Recipe(), SoftTargets(teacher=np.eye(3, dtype=np.float32)[part.labels]))
    assert ready.targets.shape == (9, 7) and np.allclose(ready.targets[:, :3].sum(axis=1), 1)
    logits = 9 * np.eye(3, dtype=np.float32)
    right, wrong = (distillation_loss(Recipe(), True)(ready.targets[:3], each) for each in (logits, logits[[1, 2, 0]]))
    assert np.all(np.asarray(right) < np.asarray(wrong))
    batch = Batch(np.zeros((3, 4, 4, 3), np.float32), ready.targets[:3], ready.weights[:3])
    assert np.allclose(with_teacher(batch, logits, 1.0).targets[:, 3:6].argmax(axis=1), [0, 1, 2])


@pytest.mark.parametrize("kind", ["none", "sqrt", "balanced"])
@pytest.mark.parametrize("present", [[3], [0, 6], [0, 2, 3, 4, 5, 6]])
@pytest.mark.parametrize("conflicts", ["keep", "drop"])
def test_weights_have_the_mean_one_without_pictures_of_a_class(kind: str, present: list[int], conflicts: str) -> None:
    labels = np.random.default_rng(len(present)).choice(present, 60)
    pictures = np.random.default_rng(1).integers(0, 256, (60, 48, 48), np.uint8)
    split = Split(pictures, labels, tuple("abcdefg"))
    assert class_weights(split.counts(), kind)[labels].mean() == pytest.approx(1)
    weights = training_set(split, replace(Recipe(), class_weights=kind, conflicts=conflicts), SoftTargets()).weights
    assert weights.mean() == pytest.approx(1)


def test_teachers_logits_of_other_classes_are_refused(tmp_path: Path) -> None:
    part = faces(6)
    write_logits(tmp_path / "logits.npz", np.zeros((6, 3), np.float32), ["a"], part)
    assert read_logits(tmp_path / "logits.npz", part) is not None
    with pytest.raises(DataError, match="awake, drowsy, yawning; the data has a, b, c"):
        read_logits(tmp_path / "logits.npz", replace(part, classes=("a", "b", "c")))


def test_initial_weights_are_not_averaged_over_other_classes(tmp_path: Path) -> None:
    model = architectures.build("mobilenet_v2_small", keras, 32, classes=3)
    save_half(model, tmp_path / "float.npz", NAMES)
    recipe = make_recipe("robust", "mobilenet_v2_small", initial_share=0.5)
    data = Dataset(tmp_path, dict.fromkeys(("train", "val"), faces(12, ("a", "b", "c"))))
    with pytest.raises(ModelError, match=r"the data has a, b, c; .*--initial-share 0"):
        fit(TrainingRun("mobilenet_v2_small", recipe, str(tmp_path / "float.npz"), tmp_path / "run"), data)


def test_where_initial_weights_come_from(tmp_path: Path) -> None:
    """From the run beside them; shipped ones and those of before name no classes."""
    save_half(network(), tmp_path / "float.npz", NAMES)
    assert weights_data(str(tmp_path / "float.npz")) == "unknown"
    write_json(tmp_path / "metrics.json", {"data_name": "our gate"})
    assert weights_data(str(tmp_path / "float.npz")) == "our gate"
    assert weights_data(str(FOLDER / "float" / "mobilenet_v2_small.npz")) == "FER2013"
    assert weights_data("imagenet") is weights_data("none") is None
