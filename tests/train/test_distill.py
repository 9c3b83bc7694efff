"""Soft targets: FER+ votes, teachers' logits with folds, mixup, and a student that learns from them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from predictions import CLASSES
from training import NETWORK, SHORT, write_ferplus

from fer_edge.edge.cli import main
from fer_edge.edge.errors import DataError
from fer_edge.edge.expression.scores import softmax
from fer_edge.edge.preprocess import network_input
from fer_edge.train import training_targets as targets
from fer_edge.train.averaging import final_weights
from fer_edge.train.data.loading import load
from fer_edge.train.networks import open_logits
from fer_edge.train.recipes import Recipe, make_recipe
from fer_edge.train.teachers import held_out_faces, open_teachers, read_logits, teacher_logits, write_logits
from fer_edge.train.training_targets import (
    Batch,
    SoftTargets,
    draw_mixing,
    mixup,
    target_rows,
    training_set,
    with_teacher,
)

pytestmark = pytest.mark.tensorflow


def test_loss_is_the_cross_entropy_and_the_divergence_from_the_teacher() -> None:
    rng = np.random.default_rng(0)
    logits, teacher = rng.normal(size=(2, 5, 7)).astype(np.float32)
    labels = rng.integers(0, 7, 5)
    plain = replace(Recipe(), label_smoothing=0.1, teacher_share=0.6, teacher_temperature=3.0)
    rows = target_rows(labels, 7, plain, teacher=teacher)
    smooth = 0.9 * np.eye(7)[labels] + 0.1 / 7
    own = -np.sum(smooth * np.log(softmax(logits)), axis=1)
    soft = np.sum(softmax(teacher / 3) * np.log(softmax(teacher / 3) / softmax(logits / 3)), axis=1)
    assert np.allclose(targets.distillation_loss(plain, False)(rows, logits), own, rtol=1e-4)
    assert np.allclose(targets.distillation_loss(plain, True)(rows, logits), 0.4 * own + 0.6 * 9 * soft, rtol=1e-4)
    assert np.allclose(targets.accuracy(rows, logits), logits.argmax(axis=1) == labels)


def test_mixup_keeps_the_sums_and_the_larger_parts_label() -> None:
    rng = np.random.default_rng(1)
    rows = target_rows(rng.integers(0, 7, 8), 7, Recipe())
    batch = Batch(rng.uniform(-1, 1, (8, 4, 4, 3)).astype(np.float32), rows, np.ones(8, np.float32))
    everyone = np.arange(8)
    mixture = mixup(batch, draw_mixing(8, 0.4, rng), everyone, everyone)
    assert np.allclose(mixture.targets[:, :7].sum(axis=1), 1) and np.array_equal(mixture.targets[:, -1], rows[:, -1])
    assert np.all(mixture.targets[:, :7].argmax(axis=1) == rows[:, -1])
    assert np.allclose(mixture.views.mean(), batch.views.mean(), atol=1e-6)


def test_a_held_out_fold_has_the_logits_of_the_run_that_held_it_out(synthetic_csv: Path, tmp_path: Path) -> None:
    train = load(synthetic_csv).split("train")
    runs = []
    for fold in (0, 1):
        recipe = make_recipe("best", "vgg", folds=2, fold=fold)
        assert len(training_set(train, recipe, SoftTargets())) == 70
        run = tmp_path / f"vgg{fold}"
        run.mkdir()
        (run / "recipe.json").write_text(json.dumps({"folds": 2, "fold": fold}))
        runs.append(run)
        write_logits(run / "float.npz", np.full((len(train), 7), fold, np.float32), [run.name], train)
    logits, names = teacher_logits([str(run / "float.npz") for run in runs], train)
    assert names == ["vgg0", "vgg1"] and np.allclose(logits, 0.5)
    first, second = (held_out_faces(run, len(train)) for run in runs)
    assert np.array_equal(first, ~second) and first.sum() == 70
    with pytest.raises(DataError, match="fold"):
        make_recipe("best", "vgg", folds=2, fold=2)


def test_logits_belong_to_their_faces(synthetic_csv: Path, tmp_path: Path) -> None:
    data = load(synthetic_csv)
    logits = np.random.default_rng(2).normal(size=(140, 7)).astype(np.float32)
    write_logits(tmp_path / "logits.npz", logits, ["a"], data.split("train"))
    stored = read_logits(tmp_path / "logits.npz", data.split("train"))
    assert (
        stored is not None and stored[1] == ["a"] and np.abs(stored[0] - logits).max() <= np.abs(logits).max() * 2**-11
    )
    with pytest.raises(DataError, match="another train split"):
        read_logits(tmp_path / "logits.npz", data.split("val"))


def test_a_student_learns_from_a_teacher_and_votes(finished_run: Path, synthetic_csv: Path, tmp_path: Path) -> None:
    votes = write_ferplus(tmp_path / "votes.csv", *["1,1,1,1,1,1,1,0,0,0"] * 140)
    words = ["train", NETWORK, "--data", str(synthetic_csv), *SHORT, "--small-epochs", "1", "--ema", "0.9"]
    words += ["--mixup", "0.2", "--gamma", "0.2", "--ferplus", str(votes)]
    first = CliRunner().invoke(main, [*words, "--runs", str(tmp_path / "1"), "--teacher", str(finished_run)])
    assert first.exit_code == 0, first.output
    run = tmp_path / "1" / NETWORK
    about = json.loads((run / "metrics.json").read_text())["recipe"]
    assert about["teachers"] == [NETWORK] and about["ferplus"] == "votes.csv"
    logits = str(run / "teacher_logits.npz")
    again = CliRunner().invoke(main, [*words, "--runs", str(tmp_path / "2"), "--teacher", logits])
    assert again.exit_code == 0, again.output
    other = CliRunner().invoke(main, [*words, "--runs", str(tmp_path / "2"), "--resume"])
    assert other.exit_code == 2 and "--teacher" in other.output
    assert "logits of 140 faces" in first.output and "logits of 140 faces" not in again.output


def test_teachers_can_run_on_every_view(finished_run: Path, synthetic_csv: Path, tmp_path: Path) -> None:
    teacher, names = open_teachers([str(finished_run), str(finished_run / "float.npz")], "float32", CLASSES)
    assert names == [NETWORK, NETWORK]
    faces = load(synthetic_csv).split("train").faces[:3]
    assert np.allclose(
        teacher(network_input(faces)), open_logits(str(finished_run), CLASSES)(faces), atol=1e-2
    )  # half precision
    larger = keras.ops.image.resize(network_input(faces), (128, 128))
    assert np.abs(teacher(np.asarray(larger)) - teacher(network_input(faces))).max() < 0.5

    words = ["train", NETWORK, "--data", str(synthetic_csv), *SHORT, "--teacher-views", "augmented"]
    words += ["--runs", str(tmp_path), "--mixup", "0.2"]
    done = CliRunner().invoke(main, [*words, "--teacher", str(finished_run / "float.npz")])
    assert done.exit_code == 0, done.output
    about = json.loads((tmp_path / NETWORK / "metrics.json").read_text())["recipe"]
    assert about["teachers"] == [NETWORK] and about["teacher_views"] == "augmented"
    bad = CliRunner().invoke(main, [*words, "--teacher", "nowhere.npz", "--resume"])
    assert bad.exit_code == 2 and "nowhere.npz" in bad.output


def test_a_teachers_logits_of_a_view_replace_those_in_the_rows() -> None:
    rng = np.random.default_rng(4)
    rows = target_rows(rng.integers(0, 7, 5), 7, Recipe())
    batch = Batch(np.zeros((5, 4, 4, 3), np.float32), rows, np.ones(5, np.float32))
    logits = rng.normal(size=(5, 7)).astype(np.float32)
    changed = with_teacher(batch, logits, 2.0).targets
    assert np.allclose(changed[:, 7:14], softmax(logits / 2)) and np.array_equal(changed[:, :7], rows[:, :7])
    assert np.array_equal(changed[:, 14], rows[:, 14])


def test_the_average_of_the_weights_is_validated() -> None:
    layers = keras.layers
    model = keras.Sequential([layers.Input((3,)), layers.Dense(2, use_bias=False), layers.BatchNormalization()])
    optimizer = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5)
    model.compile(optimizer, "mse")
    inputs = np.random.default_rng(1).normal(1, 1, (2, 8, 3)).astype(np.float32)
    outputs = np.random.default_rng(2).normal(0, 3, (8, 2)).astype(np.float32)
    mean = None
    for _ in range(4):
        model.train_on_batch(inputs[0], outputs)
        now = model.get_weights()[0]
        mean = now if mean is None else (mean + now) / 2
    before = model.get_weights()
    with final_weights(model, optimizer, inputs):
        assert np.allclose(model.get_weights()[0], mean, atol=1e-6)
        products = inputs @ mean  # (batches, faces, 2)
        statistics = [products.mean(axis=1).mean(axis=0), products.var(axis=1).mean(axis=0)]
        assert np.allclose(model.get_weights()[3:], statistics, atol=1e-5)
    assert all(np.array_equal(now, then) for now, then in zip(model.get_weights(), before, strict=True))
    assert not np.allclose(before[0], mean, atol=1e-3)
