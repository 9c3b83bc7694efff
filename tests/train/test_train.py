"""The training loop on a synthetic data set: phases, checkpoints, kill -9 and resume, what a run leaves."""

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
from training import SHORT, command

from fer_edge.edge.cli import main
from fer_edge.edge.errors import DataError, FerEdgeError, ModelError
from fer_edge.edge.expression.model_spec import MODEL_NAMES
from fer_edge.edge.preprocess import network_input, upscale
from fer_edge.train import architectures, loop
from fer_edge.train.augment import augment
from fer_edge.train.data.loading import load
from fer_edge.train.fused_batch_norm import training_keras
from fer_edge.train.networks import open_network, predict_logits
from fer_edge.train.recipes import RECIPES, Recipe, make_recipe
from fer_edge.train.training_run import TrainingRun
from fer_edge.train.training_targets import class_weights
from fer_edge.train.weights import initialize, load_half, save_half

pytestmark = pytest.mark.tensorflow

FACES = np.random.default_rng(4).integers(0, 256, (8, 48, 48), np.uint8)
CALM = replace(Recipe(), flip=0.0, rotation=0.0, zoom=0.0, shift=0.0, contrast=0.0, brightness=0.0)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Weights are drawn as they were the last time."""
    keras.utils.set_random_seed(2)


def history(run: Path) -> list[dict[str, str]]:
    with (run / "history.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_a_run_leaves_everything(finished_run: Path) -> None:
    left = {path.name for path in finished_run.iterdir()}
    assert {"float.keras", "float.h5", "float.npz", "metrics.json", "history.csv", "recipe.json",
            "training_curves.png", "confusion_matrix.png", "checkpoint.npz"} <= left  # fmt: skip
    metrics = json.loads((finished_run / "metrics.json").read_text())
    assert set(metrics["per_class"]["fear"]) == {"precision", "recall", "f1", "support"}
    assert np.sum(metrics["confusion"]) == 42
    assert [row["phase"] for row in history(finished_run)] == ["warmup", "small", "small"]
    assert json.loads((finished_run / "recipe.json").read_text())["small_size"] == 32


def test_saved_models_agree(finished_run: Path, synthetic_csv: Path) -> None:
    faces = load(synthetic_csv).split("val").faces[:8]
    saved = keras.models.load_model(finished_run / "float.keras", compile=False)
    older = keras.models.load_model(finished_run / "float.h5", compile=False)
    half = architectures.build("mobilenet_v2", keras)
    load_half(half, finished_run / "float.npz")
    logits = predict_logits(saved, faces)
    assert np.allclose(predict_logits(older, faces), logits, atol=1e-5)
    assert np.allclose(predict_logits(half, faces), logits, atol=0.02 * (1 + np.abs(logits).max()))


def test_killed_run_resumes_with_the_same_history(synthetic_csv: Path, finished_run: Path, tmp_path: Path) -> None:
    words = command("train", "mobilenet_v2", "--data", synthetic_csv, "--runs", tmp_path, *SHORT)
    victim = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    checkpoint = tmp_path / "mobilenet_v2" / "checkpoint.npz"
    while not checkpoint.exists() and victim.poll() is None:
        time.sleep(0.05)
    victim.send_signal(signal.SIGKILL)
    assert victim.wait() == -signal.SIGKILL
    again = subprocess.run(words, capture_output=True, text=True)
    assert again.returncode == 2 and "--resume" in again.stderr
    resumed = subprocess.run([*words, "--resume"], capture_output=True, text=True)
    assert resumed.returncode == 0, resumed.stderr
    for one, other in zip(history(tmp_path / "mobilenet_v2"), history(finished_run), strict=True):
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


@pytest.mark.parametrize(
    ("name", "side", "expected"),
    [("vgg", 64, "48 px; given 64"), ("inception_resnet_v1", 64, "75 to 299 px; given 64")],
)
def test_a_size_that_a_network_cannot_take_is_one_line(name: str, side: int, expected: str) -> None:
    with pytest.raises(ModelError, match=expected):
        architectures.build(name, keras, side)


@pytest.mark.parametrize("shapes", [((48, 48, 3), 10), ((48,), 7)])
def test_what_is_no_network_of_ours_is_one_line(shapes: tuple[tuple[int, ...], int], tmp_path: Path) -> None:
    taken, given = shapes
    inputs = keras.layers.Input(taken)
    model = keras.Model(inputs, keras.layers.Dense(given)(keras.layers.Flatten()(inputs)), name="mobilenet_v2")
    model.save(tmp_path / "other.keras")
    with pytest.raises(ModelError, match=r"expected pictures .* to logits \(None, 7\)"):
        open_network(tmp_path / "other.keras")


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_network_learns_what_can_be_learnt(synthetic_csv: Path, tmp_path: Path, precision: str) -> None:
    steps = {"warmup_epochs": 0, "small_epochs": 6, "small_size": 32, "top_epochs": 0, "full_epochs": 0}
    recipe = replace(CALM, **steps, batch_size=14, precision=precision)
    model, state = loop.fit(TrainingRun("mobilenet_v2", recipe, "none", tmp_path), load(synthetic_csv))
    losses = [float(row["loss"]) for row in state.history]
    assert losses[-1] < losses[0] - 0.2
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}, "whatever it was trained in"


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_what_is_converted_is_flat_and_the_same_in_both_keras(name: str) -> None:
    import tf_keras

    ours, theirs = architectures.build(name, keras, 32), architectures.build(name, tf_keras, 32)
    assert not any(isinstance(layer, keras.Model) for layer in ours.layers)
    rng = np.random.default_rng(1)
    ours.set_weights([rng.uniform(0.1, 0.3, w.shape) if w.ndim == 1 else w for w in ours.get_weights()])
    theirs.set_weights(ours.get_weights())
    faces = rng.integers(0, 256, (3, 48, 48), np.uint8)
    inputs = network_input(faces, 32)
    expected = np.asarray(ours(inputs, training=False))
    assert expected.shape == (3, 7)
    assert np.allclose(expected, np.asarray(theirs(inputs, training=False)), atol=1e-4 * (1 + np.abs(expected).max()))


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_imagenet_layout_is_taken_over_exactly(name: str, tmp_path: Path) -> None:
    """Random weights in Keras Applications' own network, saved and started from, give the same features."""
    builder = keras.applications.EfficientNetB0 if name == "efficientnet_b0" else keras.applications.MobileNetV2
    reference = builder(include_top=False, weights=None, input_shape=(96, 96, 3))
    rng = np.random.default_rng(1)
    spans = ((0.5, 1.5), (0.0, 1.0), (-0.05, 0.05), (0.015, 0.045))  # of Keras' own start no picture comes through
    for layer in reference.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(*span, w.shape) for span, w in zip(spans, layer.get_weights(), strict=True)])
    path = tmp_path / "backbone.weights.h5"
    reference.save_weights(path)
    model = architectures.build(name, keras)
    initialize(name, model, str(path), keras, FACES)
    inputs = network_input(np.random.default_rng(2).integers(0, 256, (2, 48, 48), np.uint8))
    raw = (inputs + 1) * 127.5 if name == "efficientnet_b0" else inputs
    changed = ("rescaling", "normalization", "stem_conv", "stem_bn") if name == "efficientnet_b0" else ()
    stored = {layer.name: layer.get_weights() for layer in reference.layers if layer.name not in changed}
    assert sum(map(bool, stored.values())) > 100
    for layer, values in stored.items():
        assert not values or all(map(np.array_equal, model.get_layer(layer).get_weights(), values)), layer
    if name == "se_mobilenet_v2":  # its gates have no counterpart there: they start almost open
        gate = model.get_layer("out_se_expand")
        assert 0.97 < float(keras.ops.sigmoid(gate.bias[0])) < 1
        return
    # B0's input normalization is folded into its stem: exact but for the padded border, which spreads from there
    layer = "stem_bn" if name == "efficientnet_b0" else "out_relu"
    ours, theirs = (
        np.asarray(keras.Model(net.inputs, net.get_layer(layer).output)(pixels))
        for net, pixels in ((model, inputs), (reference, raw))
    )
    inner = (slice(None), slice(1, -1), slice(1, -1)) if name == "efficientnet_b0" else ...
    assert np.abs(theirs[0] - theirs[1]).mean() > 0.1
    assert np.allclose(ours[inner], theirs[inner], atol=1e-4 * np.abs(theirs).max())


def test_weights_that_do_not_fit_are_one_line(tmp_path: Path) -> None:
    model = architectures.build("mobilenet_v2", keras, 32)
    save_half(architectures.build("se_mobilenet_v2", keras, 32), tmp_path / "other.npz")
    (tmp_path / "damaged.weights.h5").write_bytes(b"nothing")
    for weights in ("missing.weights.h5", str(tmp_path / "other.npz"), str(tmp_path / "damaged.weights.h5")):
        with pytest.raises(FerEdgeError) as caught:
            initialize("mobilenet_v2", model, weights, keras, FACES)
        assert "\n" not in str(caught.value)


def test_augmentation_at_rest_is_the_device_path() -> None:
    faces = np.random.default_rng(3).integers(0, 256, (4, 48, 48), np.uint8)
    views = augment(faces, 96, CALM, np.random.default_rng(0))
    same = network_input(faces)
    assert views.shape == (4, 96, 96, 3) and np.ptp(views, axis=-1).max() == 0
    # the warp's weights have 5 bits: two roundings of up to 1/64 of the range each
    assert np.abs(views - same).max() <= 2 * (2 / 64) + 2 / 127.5
    assert np.array_equal(same[0, :, :, 0], upscale(faces[0]).astype(np.float32) / np.float32(127.5) - 1)


def test_augmentation_is_repeatable_and_in_range() -> None:
    faces = np.random.default_rng(3).integers(0, 256, (16, 48, 48), np.uint8)
    wild = replace(Recipe(), erase=1.0)
    one, two = (augment(faces, 64, wild, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one, two) and one.min() >= -1 and one.max() <= 1
    assert not np.array_equal(one, augment(faces, 64, wild, np.random.default_rng(6)))


def test_noise_is_as_strong_as_asked() -> None:
    """Each face's deviation is drawn evenly from 0 to 20: about 10 in the mean, over 200 faces to within 10 %."""
    gray = np.full((200, 48, 48), 128, np.uint8)
    views = augment(gray, 48, replace(CALM, noise=20.0), np.random.default_rng(2))
    deviations = views[..., 0].std(axis=(1, 2)) * 127.5
    assert (
        deviations.mean() == pytest.approx(10, rel=0.1) and deviations.max() <= 21
    )  # three and a half standard errors


def test_class_weights_leave_the_mean_at_one(synthetic_csv: Path) -> None:
    train = load(synthetic_csv).split("train")
    for kind in ("none", "sqrt", "balanced"):
        assert class_weights(train, kind)[train.labels].mean() == pytest.approx(1)


def test_recipes() -> None:
    assert next((p.name, p.epochs, p.rate) for p in RECIPES["seed"].phases()) == ("warmup", 20, 1e-3)
    assert RECIPES["seed"].phases()[-1].rate == 1e-5
    with pytest.raises(DataError, match="schedule"):
        make_recipe("best", "mobilenet_v2", schedule="sometimes")
    with pytest.raises(DataError, match="no epochs"):
        make_recipe("best", "mobilenet_v2", warmup_epochs=0, small_epochs=0, top_epochs=0, full_epochs=0)


def test_fused_batch_norm_is_keras_batch_norm() -> None:
    plain, fused = (k.layers.BatchNormalization(momentum=0.9) for k in (keras, training_keras()))
    x = np.random.default_rng(7).normal(3, 2, (16, 8, 8, 5)).astype(np.float32)
    count = 16 * 8 * 8  # the fused kernel's moving variance is the unbiased one
    for training in (True, False):
        assert np.allclose(plain(x, training=training), fused(x, training=training), rtol=2 / count, atol=1e-4)
    for one, other in zip(plain.get_weights(), fused.get_weights(), strict=True):
        assert np.allclose(one, other, rtol=2 / count, atol=1e-5)
    fused.trainable = False
    before = fused.get_weights()
    fused(x, training=True)
    assert all(np.array_equal(a, b) for a, b in zip(before, fused.get_weights(), strict=True))
