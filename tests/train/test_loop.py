"""The training loop: how it resumes, which epoch it selects, and which layers it trains."""

from __future__ import annotations

import json
import resource
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from logs import logged

from fer_edge.edge.errors import DataError, ModelError, SinkError, TrainingError
from fer_edge.models import FOLDER
from fer_edge.train import architectures, loop, optimization
from fer_edge.train.averaging import update_batch_norm
from fer_edge.train.batches import plain_batches
from fer_edge.train.checkpoint import CHECKPOINT, TrainingState, read_checkpoint, run_identity
from fer_edge.train.data.loading import load
from fer_edge.train.data.splits import Dataset
from fer_edge.train.recipes import Recipe
from fer_edge.train.run_folder import check_run
from fer_edge.train.training_run import TrainingRun
from fer_edge.train.training_targets import SoftTargets, training_set
from fer_edge.train.weights import save_half

pytestmark = pytest.mark.tensorflow

SIZE = 24
QUICK = replace(Recipe(), batch_size=28, warmup_size=SIZE, warmup_epochs=0, top_epochs=0, full_epochs=0, small_size=16)

Weights = dict[str, list[np.ndarray]]


def build(keras: Any, size: int, classes: int) -> Any:
    """A network of two convolutions that takes any size."""
    layers = keras.layers
    x = inputs = layers.Input((size, size, 3), name="image")
    for name in ("low", "high"):
        x = layers.Conv2D(6, 3, strides=2, name=name)(x)
        x = layers.ReLU(name=f"{name}_relu")(layers.BatchNormalization(name=f"{name}_bn")(x))
    x = layers.Dropout(0.3, name="head_dropout")(layers.GlobalAveragePooling2D(name="head_pool")(x))
    return keras.Model(inputs, layers.Dense(classes, name="head_logits")(x), name="small")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    defined = SimpleNamespace(NAME="small", SIZE=SIZE, SIZES=(8, 48), TOP_FROM="high", build=build)
    monkeypatch.setitem(architectures.ARCHITECTURES, "small", defined)


@pytest.fixture
def data(synthetic_csv: Path) -> Dataset:
    return load(synthetic_csv)


def fit(data: Dataset, recipe: Recipe, out: Path, **more: Any) -> Any:
    out.mkdir(exist_ok=True)
    return loop.fit(TrainingRun("small", recipe, "none", out), data, **more)


class Killed(Exception):
    """Ends a run in the middle of a phase."""


def test_a_run_killed_within_a_phase_resumes_to_the_same_result(data: Dataset, tmp_path: Path) -> None:
    """Weights, optimizer moments, EMA, dropout and augmentation: to the last bit."""
    recipe = replace(QUICK, full_epochs=3, ema=0.9, mixup=0.2, noise=5.0)

    def kill(line: str) -> None:
        if line.startswith("epoch 3"):
            raise Killed

    whole, state = fit(data, recipe, tmp_path / "whole")
    with logged(also=kill), pytest.raises(Killed):
        fit(data, recipe, tmp_path / "killed")
    resumed, again = fit(data, recipe, tmp_path / "killed", resume=True)
    assert [row["loss"] for row in again.history] == [row["loss"] for row in state.history]
    assert all(np.array_equal(*pair) for pair in zip(whole.get_weights(), resumed.get_weights(), strict=True))


def test_a_run_with_consistency_resumes_and_has_twice_the_steps(data: Dataset, tmp_path: Path) -> None:
    recipe = replace(QUICK, full_epochs=2, corruption=0.5, consistency=1.0)

    def kill(line: str) -> None:
        if line.startswith("epoch 2"):
            raise Killed

    _, state = fit(data, recipe, tmp_path / "whole")
    with logged(also=kill), pytest.raises(Killed):
        fit(data, recipe, tmp_path / "killed")
    _, again = fit(data, recipe, tmp_path / "killed", resume=True)
    assert [row["loss"] for row in again.history] == [row["loss"] for row in state.history]
    assert state.step == 2 * 2 * len(data.split("train")) // recipe.batch_size


def test_batch_norm_of_clean_faces_is_saved_and_leaves_the_training_as_it_is(data: Dataset, tmp_path: Path) -> None:
    """Only the statistics differ; those saved are what clean faces give, to Bessel's correction of the fused kernel, of
    28 faces with 5x5 pixels each."""
    recipe = replace(QUICK, full_epochs=1, corruption=1.0)
    moving, state = fit(data, recipe, tmp_path / "moving")
    clean, other = fit(data, replace(recipe, batch_norm="clean"), tmp_path / "clean")
    assert [row["loss"] for row in other.history] == [row["loss"] for row in state.history]
    trained, statistics = "trainable_variables", "non_trainable_variables"
    assert all(np.array_equal(*pair) for pair in values(moving, clean, trained))
    assert not any(np.allclose(*pair, rtol=0.1) for pair in values(moving, clean, statistics))
    update_batch_norm(moving, plain_batches(training_set(data.split("train"), recipe, SoftTargets()), SIZE, recipe))
    assert all(np.allclose(*pair, rtol=2 / (28 * 5 * 5)) for pair in values(moving, clean, statistics))


def values(one: Any, other: Any, kind: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """The values of two networks' variables, but for random generators' states."""
    pairs = zip(getattr(one, kind), getattr(other, kind), strict=True)
    return [(first.numpy(), second.numpy()) for first, second in pairs if "seed" not in first.path]


@pytest.fixture
def epochs(monkeypatch: pytest.MonkeyPatch) -> list[Weights]:
    """Each epoch's weights by layer, as they are validated; the second epoch has the highest accuracy, the third the
    lowest loss."""
    weights: list[Weights] = []

    def validate(model: Any, val: object) -> dict[str, float]:
        weights.append({layer.name: layer.get_weights() for layer in model.layers})
        return {"val_loss": 0.5 if len(weights) == 3 else 1.0, "val_accuracy": 0.9 if len(weights) == 2 else 0.1}

    monkeypatch.setattr(loop, "validate", validate)
    return weights


def moved(before: Weights, after: Weights) -> set[str]:
    return {
        name
        for name, values in after.items()
        if not all(np.array_equal(*pair) for pair in zip(values, before[name], strict=True))
    }


def test_each_phase_trains_its_layers_and_the_best_epoch_is_selected(
    data: Dataset, tmp_path: Path, epochs: list[Weights]
) -> None:
    recipe = replace(QUICK, warmup_epochs=1, top_epochs=1, full_epochs=2)
    model, state = fit(data, recipe, tmp_path)
    with_weights = [layer.name for layer in model.layers if layer.weights]
    top = {layer.name for layer in architectures.top_layers("small", model)} & set(with_weights)
    keras.utils.set_random_seed(recipe.seed)
    fresh = architectures.build("small", loop.training_keras(), classes=7)
    first = {layer.name: layer.get_weights() for layer in fresh.layers}
    assert moved(first, epochs[0]) == {name for name in with_weights if name.startswith("head_")}
    assert moved(epochs[0], epochs[1]) == top != set(with_weights)
    assert moved(epochs[1], epochs[2]) == set(with_weights)
    assert not moved(epochs[1], {layer.name: layer.get_weights() for layer in model.layers})
    assert state.best_score == 0.9


def test_the_epoch_with_the_lowest_loss_is_selected_where_the_recipe_says_so(
    data: Dataset, tmp_path: Path, epochs: list[Weights]
) -> None:
    model, state = fit(data, replace(QUICK, full_epochs=4, keep="loss"), tmp_path)
    assert not moved(epochs[2], {layer.name: layer.get_weights() for layer in model.layers})
    assert moved(epochs[2], epochs[3])
    assert state.best_score == -0.5


def test_without_an_epoch_at_full_size_the_validated_weights_are_left(
    data: Dataset, tmp_path: Path, epochs: list[Weights]
) -> None:
    """The EMA of the weights, where the recipe has one, and not the last step's."""
    model, _ = fit(data, replace(QUICK, small_epochs=2, ema=0.9), tmp_path)
    assert not moved(epochs[-1], {layer.name: layer.get_weights() for layer in model.layers})


def test_the_rate_falls_on_a_plateau() -> None:
    state, recipe = TrainingState(), replace(Recipe(), plateau_patience=2, plateau_factor=0.3)
    scales = []
    for loss in (1.0, 1.0, 1.0, 1.0, 0.5, 0.5):
        optimization.update_plateau(state, recipe, loss)
        scales.append(round(state.rate_scale, 3))
    assert scales == [1.0, 1.0, 0.3, 0.3, 0.3, 0.3]


def test_a_plateau_ends_with_its_phase(data: Dataset, tmp_path: Path, epochs: list[Weights]) -> None:
    recipe = replace(QUICK, top_epochs=3, full_epochs=2, schedule="constant", plateau_patience=1, plateau_factor=0.1)
    _, state = fit(data, recipe, tmp_path)
    rates = [float(row["rate"]) for row in state.history]
    assert rates == pytest.approx([recipe.top_rate, recipe.top_rate, recipe.top_rate / 10] + 2 * [recipe.full_rate])


@pytest.mark.faults
@pytest.mark.parametrize(("change", "expected"), [({"full_rate": 1e30}, "loss is"), ({"ema": 0.5}, "validation loss")])
def test_a_loss_that_is_no_number_ends_the_run(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, float], expected: str
) -> None:
    """The checkpoint of the epoch before stays, and no weights of this one are the best."""
    recipe, validate = replace(QUICK, small_epochs=1, full_epochs=2, optimizer="sgd", **change), loop.validate
    if "full_rate" not in change:
        losses = iter([0.5, float("nan")])
        monkeypatch.setattr(loop, "validate", lambda *values: validate(*values) | {"val_loss": next(losses)})
    with pytest.raises(TrainingError, match=rf"^epoch 2 \(full\), .*{expected}.*--full-rate"):
        fit(data, recipe, tmp_path)
    run = TrainingRun("small", recipe, "none", tmp_path)
    state, arrays, best = read_checkpoint(
        tmp_path / CHECKPOINT, run_identity(run, data.split("train"), data.split("val"), None)
    )
    assert state.epoch == 1 and state.best_score == float("-inf")
    assert best is not None
    assert all(np.isfinite(each).all() for each in (*arrays["weights"], *best))


@pytest.mark.faults
def test_a_teacher_of_augmented_views_that_gives_no_numbers_ends_the_run(data: Dataset, tmp_path: Path) -> None:
    teacher = SoftTargets(teacher=lambda views: np.full((len(views), 7), np.nan, np.float32))
    with pytest.raises(TrainingError, match="epoch 1"):
        fit(data, replace(QUICK, full_epochs=1), tmp_path, soft_targets=teacher)


@pytest.mark.faults
def test_a_disk_that_is_full_leaves_the_last_checkpoint(data: Dataset, tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk; the run resumes to the same result."""
    recipe, before = replace(QUICK, full_epochs=3), resource.getrlimit(resource.RLIMIT_FSIZE)
    whole, _ = fit(data, recipe, tmp_path / "whole")

    def fill(line: str) -> None:
        if line.startswith("epoch 2"):
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))

    try:
        with logged(also=fill), pytest.raises(SinkError, match=r"checkpoint\.npz cannot be written"):
            fit(data, recipe, tmp_path / "full")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path.name for path in (tmp_path / "full").iterdir()] == [CHECKPOINT]
    resumed, state = fit(data, recipe, tmp_path / "full", resume=True)
    assert state.epoch == 3
    assert all(np.array_equal(*pair) for pair in zip(whole.get_weights(), resumed.get_weights(), strict=True))


@pytest.mark.faults
@pytest.mark.parametrize("change", ["shape", "missing", "other kind"])
def test_a_checkpoint_of_other_arrays_is_one_line(data: Dataset, tmp_path: Path, change: str) -> None:
    recipe = replace(QUICK, full_epochs=2)
    fit(data, replace(recipe), tmp_path)
    with np.load(tmp_path / CHECKPOINT) as stored:
        arrays = {name: stored[name] for name in stored.files}
    about = json.loads(arrays["about"].tobytes())
    about["state"]["epoch"] = 1
    name = "weights/00000"
    arrays |= {"about": np.frombuffer(json.dumps(about).encode(), np.uint8)}
    arrays |= {"shape": {name: arrays[name][..., :1]}, "other kind": {name: np.array("x")}}.get(change, {})
    np.savez(
        tmp_path / CHECKPOINT, **{key: value for key, value in arrays.items() if change != "missing" or key != name}
    )
    with pytest.raises((DataError, ModelError), match=r"checkpoint\.npz"):
        fit(data, recipe, tmp_path, resume=True)


def test_initial_weights_keep_their_share(data: Dataset, tmp_path: Path) -> None:
    """Kernels lie between those of the start and of the end; batch norm's statistics are those of the average."""
    first, _ = fit(data, replace(QUICK, full_epochs=1), tmp_path / "first")
    start = tmp_path / "start.npz"
    save_half(first, start, data.classes)
    recipe = replace(QUICK, full_epochs=1, full_rate=1e-2, corruption=0.5, keep="loss")
    shares = {0.0: [], 0.25: [], 1.0: []}
    for share in shares:
        out = tmp_path / str(share)
        out.mkdir()
        run = TrainingRun("small", replace(recipe, initial_share=share), str(start), out)
        check_run(run, resume=False)
        shares[share] = {weight.path: weight.numpy() for weight in loop.fit(run, data)[0].weights}
    for path, average in shares[0.25].items():
        if "moving" not in path:
            assert average == pytest.approx(0.25 * shares[1.0][path] + 0.75 * shares[0.0][path], abs=1e-5)
        else:
            assert not np.array_equal(average, shares[1.0][path])
    larger = str(FOLDER / "float" / "mobilenet_v2.npz")  # pruning starts from it; averaging cannot
    for network, weights in (("small", "imagenet"), ("mobilenet_v2_small", larger)):
        with pytest.raises(DataError, match=r"initial_share.*\.npz"):
            check_run(TrainingRun(network, replace(recipe, initial_share=0.3), weights, tmp_path), resume=False)
