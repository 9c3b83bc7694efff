"""Keras callbacks in the training loop, TensorBoard's event files by its own reader, and a user's own callbacks."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import pytest
from click.testing import CliRunner
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fer_edge.edge.cli import main
from fer_edge.train import architectures, loop
from fer_edge.train.checkpoint import TrainingState
from fer_edge.train.data.loading import load
from fer_edge.train.data.splits import Dataset
from fer_edge.train.recipes import Recipe
from fer_edge.train.tracking import TensorBoardTracker, trackers
from fer_edge.train.training_run import TrainingRun

pytestmark = pytest.mark.tensorflow

SIZE = 24
QUICK = replace(Recipe(), batch_size=70, warmup_epochs=0, top_epochs=0, full_epochs=2, small_epochs=1, small_size=16)
OWN = """
import keras

class Stop(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = epoch == 1

def callbacks(run):
    return [keras.callbacks.CSVLogger(str(run.folder / "mine.csv")), Stop()]
"""


def build(keras: Any, size: int, classes: int) -> Any:
    layers = keras.layers
    inputs = layers.Input((size, size, 3), name="image")
    x = layers.ReLU()(layers.Conv2D(6, 3, strides=2)(inputs))
    x = layers.GlobalAveragePooling2D(name="head_pool")(x)
    return keras.Model(inputs, layers.Dense(classes, name="head_logits")(x), name="vgg")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network of one convolution in the place of one that the command knows."""
    defined = SimpleNamespace(NAME="vgg", SIZE=SIZE, SIZES=(8, 48), TOP_FROM="head_pool", build=build)
    monkeypatch.setitem(architectures.ARCHITECTURES, "vgg", defined)


@pytest.fixture(scope="module")
def data(synthetic_csv: Path) -> Dataset:
    return load(synthetic_csv)


def run_in(folder: Path, recipe: Recipe = QUICK) -> TrainingRun:
    folder.mkdir(parents=True, exist_ok=True)
    return TrainingRun("vgg", recipe, "none", folder)


def fit(data: Dataset, run: TrainingRun, *callbacks: Any, resume: bool = False) -> TrainingState:
    return loop.fit(run, data, resume=resume, callbacks=callbacks)[1]


def train(synthetic_csv: Path, runs: Path, *words: object) -> Any:
    fields = ["--weights", "none", "--warmup-epochs", 0, "--top-epochs", 0, "--full-epochs", 3, "--batch-size", 70]
    every = ["train", "vgg", "--data", synthetic_csv, "--runs", runs, *fields, *words]
    return CliRunner().invoke(main, [str(word) for word in every])


class Recorder(keras.callbacks.Callback):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.sizes: list[int] = []

    def on_train_begin(self, logs: Any = None) -> None:
        self.calls.append(f"begin {self.params['epochs']}x{self.params['steps']}")

    def on_train_end(self, logs: Any = None) -> None:
        self.calls.append("end")

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.calls.append(f"[{epoch}")
        self.sizes.append(self.model.input_shape[1])

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        assert set(logs) == {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"}
        self.calls.append(f"{epoch}]")

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.calls.append(f"{batch}")


def test_callbacks_are_called_as_by_keras(data: Dataset, tmp_path: Path) -> None:
    recorder = Recorder()
    fit(data, run_in(tmp_path), recorder)
    assert " ".join(recorder.calls) == "begin 3x2 [0 0 1 0] [1 0 1 1] [2 0 1 2] end"
    assert recorder.sizes == [16, SIZE, SIZE]


def test_a_resumed_run_goes_on_counting_and_a_stopped_one_is_finished(data: Dataset, tmp_path: Path) -> None:
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.stop_training = True

    class Fail(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            raise RuntimeError

    run = run_in(tmp_path)
    with pytest.raises(RuntimeError):
        fit(data, run, Fail())
    recorder = Recorder()
    state = fit(data, run, recorder, Stop(), resume=True)
    assert " ".join(recorder.calls) == "begin 3x2 [1 0 1 1] end"  # the failed callback has not cost its epoch
    assert [row["epoch"] for row in state.history] == [1, 2]
    recorder = Recorder()
    fit(data, run, recorder, resume=True)
    assert recorder.calls == ["begin 3x2", "end"]


def test_callbacks_change_nothing(data: Dataset, tmp_path: Path) -> None:
    alone, watched = fit(data, run_in(tmp_path / "a")), fit(data, run_in(tmp_path / "b"), Recorder())
    timeless = [[{**row, "seconds": 0} for row in state.history] for state in (alone, watched)]
    assert timeless[0] == timeless[1]


def test_keras_own_callbacks_work(data: Dataset, tmp_path: Path) -> None:
    events, best = tmp_path / "events", tmp_path / "best.weights.h5"
    callbacks = keras.callbacks
    own = [
        callbacks.TensorBoard(str(events)),
        callbacks.CSVLogger(str(tmp_path / "log.csv")),
        callbacks.ModelCheckpoint(str(best), save_weights_only=True, monitor="val_loss", save_best_only=True),
    ]
    state = fit(data, run_in(tmp_path), *own)
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert [float(row["val_loss"]) for row in rows] == [row["val_loss"] for row in state.history]
    assert best.is_file() and list(events.rglob("events.out.tfevents.*"))


def test_tensorboard_reads_figures_recipe_and_pictures(synthetic_csv: Path, tmp_path: Path) -> None:
    done = train(synthetic_csv, tmp_path, "--track", "tensorboard")
    assert done.exit_code == 0, done.stderr
    folder = tmp_path / "vgg"
    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    rows = list(csv.DictReader((folder / "history.csv").open()))
    for tag, column in (("loss/train", "loss"), ("loss/val", "val_loss"), ("accuracy/val", "val_accuracy")):
        scalars = events.Scalars(tag)
        assert [each.step for each in scalars] == [1, 2, 3]
        assert [each.value for each in scalars] == pytest.approx([float(row[column]) for row in rows])
    assert {"learning_rate", "saved/accuracy", "saved/balanced_accuracy"} <= set(events.Tags()["scalars"])
    (text,) = events.Tensors("recipe/text_summary")
    assert b'"full_epochs": 3' in text.tensor_proto.string_val[0]
    for name in ("training_curves", "confusion_matrix"):
        (picture,) = events.Images(name)
        assert picture.encoded_image_string == (folder / f"{name}.png").read_bytes()
        assert picture.width > 300 and picture.height > 300


def test_a_tracker_that_fails_does_not_cost_the_training(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, messages: list[str]
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    run = run_in(tmp_path)
    with trackers(["tensorboard"], run, {}) as tracked:
        monkeypatch.setattr(TensorBoardTracker, "_write", full)
        assert len(fit(data, run, *tracked).history) == 3
        tracked[0].finish()
    assert [line for line in messages if "No space left" in line] == [
        "TensorBoard failed (OSError: [Errno 28] No space left on device); the training goes on without it"
    ]


def test_own_callbacks_come_from_a_file(synthetic_csv: Path, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    done = train(synthetic_csv, tmp_path, "--callback", tmp_path / "own.py")
    assert done.exit_code == 0, done.stderr
    assert len((tmp_path / "vgg" / "mine.csv").read_text().splitlines()) == 3  # the head and two of three epochs
    assert sorted(each.name for each in tmp_path.iterdir()) == ["own.py", "vgg"]


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (None, "No such file or directory; expected a Python file with a function callbacks"),
        ("callbacks = [", "line 1, SyntaxError"),
        ("\nimport nothing_of_that_name", "line 2, ModuleNotFoundError"),
        ("raise SystemExit", "line 1, SystemExit"),
        ("callback = 1", "defines no function callbacks"),
        ("def callbacks(run):\n return [3]", "returned 3; expected keras.callbacks.Callback"),
        ("def callbacks(run):\n return 1 / 0", "line 2, ZeroDivisionError"),
        (OWN.replace("epoch == 1", "1 / 0"), "line 6, ZeroDivisionError: division by zero; finished epochs are kept"),
    ],
)
def test_a_file_of_callbacks_that_fails_is_one_line(
    source: str | None, line: str, synthetic_csv: Path, tmp_path: Path
) -> None:
    path = tmp_path / "own.py"
    if source is not None:
        path.write_text(source)
    done = train(synthetic_csv, tmp_path, "--callback", path)
    assert done.exit_code == 2 and str(path) in done.stderr and line in done.stderr.splitlines()[-1]


def test_a_tracker_that_is_not_installed_names_its_extra(
    synthetic_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mistake: Callable[..., str]
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    line = mistake(
        "train", "vgg", "--data", synthetic_csv, "--runs", tmp_path, "--weights", "none", "--track", "mlflow"
    )
    assert "MLflow" in line and "mlflow]" in line and not list(tmp_path.iterdir())
