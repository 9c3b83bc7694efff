"""Sweeps of a tiny network: by one process, by two of which one is killed, and what may go wrong meanwhile."""

from __future__ import annotations

import errno
import gc
import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import optuna
import pytest
from click.testing import CliRunner, Result
from optuna.trial import TrialState
from training import command
from waiting import until

from fer_edge.edge.cli import main
from fer_edge.train.backend import forget_networks
from fer_edge.train.run_records import read_run

pytestmark = pytest.mark.tensorflow

NET = """
SIZE = 32


def build(keras, size, classes):
    image = keras.layers.Input((size, size, 3))
    x = keras.layers.Conv2D(8, 5, strides=4, activation="relu")(image)
    return keras.Model(image, keras.layers.Dense(classes)(keras.layers.Flatten()(x)))
"""
FIELDS = """
[fields]
full_rate = { low = 1e-4, high = 1e-2, log = true }
full_epochs = { choices = [2, 3] }
"""
HANG_OR_WAIT = """
import os
import time
from pathlib import Path

import keras


class Role(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        marker = Path(os.environ["MARKER"])
        if os.environ["ROLE"] == "hang":
            marker.touch()
            time.sleep(600)
        while not marker.exists():
            time.sleep(0.1)


def callbacks(run):
    return [Role()]
"""


def words(folder: Path, data: Path, text: str, *more: object) -> list[object]:
    (folder / "net.py").write_text(NET)
    (folder / "mine.toml").write_text(text)
    given = ["--architecture", folder / "net.py", "--data", data, "--runs", folder / "runs", "--batch-size", 28]
    return ["train", *given, "--sweep", folder / "mine.toml", *more]


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def trials(folder: Path) -> list[optuna.trial.FrozenTrial]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.load_study(study_name="mine", storage=f"sqlite:///{folder}/runs/mine/study.db").trials


@pytest.fixture(scope="module")
def swept(synthetic_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[object], Result]:
    """The folder, the command and the end of a sweep."""
    folder = tmp_path_factory.mktemp("swept")
    given = words(folder, synthetic_csv, f"trials = 3\n{FIELDS}")
    done = call(*given)
    assert done.exit_code == 0, done.output
    return folder, given, done


def test_trials_are_run_folders_and_the_best_is_a_recipe(swept: tuple[Path, list[object], Result]) -> None:
    folder, _, done = swept
    made = trials(folder)
    assert [each.state for each in made] == [TrialState.COMPLETE] * 3
    best = min(made, key=lambda each: each.value or 0)
    assert f"best val_loss: trial-{best.number:04d} (val_loss {best.value:.4f}" in done.stdout
    listed = json.loads(call("runs", "list", "--runs", folder / "runs", "--json").stdout)
    assert [(Path(each["folder"]).name, each["state"]) for each in listed] == [
        (f"trial-{number:04d}", "finished") for number in range(3)
    ]
    for record, trial in zip(listed, made, strict=True):
        assert trial.params.items() <= record["recipe"].items() and record["recipe"]["keep"] == "loss"
        assert trial.value == record["best_loss"]  # of the saved network, measured again


def test_the_command_that_it_prints_trains_the_best_trial_again(swept: tuple[Path, list[object], Result]) -> None:
    folder, _, done = swept
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("to train it again: fer-edge ")]
    again = call(*line.partition("fer-edge ")[2].split())
    assert again.exit_code == 0, again.output
    best = min(trials(folder), key=lambda each: each.value or 0)
    records = [read_run(folder / "runs" / "mine" / name) for name in (f"trial-{best.number:04d}", "best/net")]
    assert records[0].best_loss == records[1].best_loss and records[0].metrics == records[1].metrics


def test_the_same_command_goes_on_and_another_one_is_refused(
    swept: tuple[Path, list[object], Result], mistake: Callable[..., str]
) -> None:
    folder, given, done = swept
    assert call(*given).stdout == done.stdout and len(trials(folder)) == 3
    assert "began with another recipe; give the same" in mistake(*given, "--label-smoothing", 0.3)
    (folder / "mine.toml").write_text(f"trials = 3\n{FIELDS}erase = {{ low = 0, high = 1 }}")
    assert "began with another recipe and fields" in mistake(*given)
    (folder / "mine.toml").write_text(f"trials = 4\n{FIELDS}")
    assert call(*given).exit_code == 0 and len(trials(folder)) == 4
    (folder / "runs" / "mine" / "study.db").unlink()
    assert "has trials of another study" in mistake(*given)


def test_trials_end_early_and_the_sweep_goes_on(synthetic_csv: Path, tmp_path: Path) -> None:
    """A rate that diverges counts as a trial, and one that learns nothing is pruned."""
    text = """
    trials = 4
    [pruner]
    startup = 1
    warmup = 0
    [fields]
    full_rate = { choices = [0, 3e-3, 1e30] }
    """
    done = call(*words(tmp_path, synthetic_csv, text, "--optimizer", "sgd", "--full-epochs", 3))
    assert done.exit_code == 0, done.output
    rates = [each.params["full_rate"] for each in trials(tmp_path)]
    runs = [read_run(tmp_path / "runs" / "mine" / f"trial-{number:04d}") for number in range(len(rates))]
    assert rates[0] == 3e-3 and len(rates) == 4  # by the seed; what comes later is compared with it
    expected = {3e-3: ("finished", 3), 0: ("pruned", 1), 1e30: ("diverged", 0)}
    assert set(rates) == set(expected)
    assert [(each.state, each.epochs) for each in runs] == [expected[rate] for rate in rates]
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("sweep mine: ")]
    assert {"1 finished", "1 pruned", "2 diverged"} == set(line.partition(": ")[2].split(", "))


def test_no_finished_trial_is_one_line(synthetic_csv: Path, tmp_path: Path) -> None:
    text = "trials = 2\n[fields]\nfull_rate = { low = 1e29, high = 1e30 }"
    done = call(*words(tmp_path, synthetic_csv, text, "--optimizer", "sgd", "--full-epochs", 2))
    assert done.exit_code == 2 and done.stdout == ""
    assert "fer-edge: sweep mine: no trial is finished (2 diverged)" in done.stderr


def test_a_killed_process_loses_no_trial(synthetic_csv: Path, tmp_path: Path) -> None:
    """Two processes share a study; one is killed in a trial, which the other trains to its end from the checkpoint."""
    (tmp_path / "roles.py").write_text(HANG_OR_WAIT)
    given = command(
        *words(tmp_path, synthetic_csv, f"trials = 3\nheartbeat = 2\n{FIELDS}", "--callback", tmp_path / "roles.py")
    )
    shared = {**os.environ, "MARKER": str(tmp_path / "marker"), "TF_CPP_MIN_LOG_LEVEL": "3"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with (
        subprocess.Popen(given, env={**shared, "ROLE": "hang"}, **pipes) as killed,
        subprocess.Popen(given, env={**shared, "ROLE": "wait"}, **pipes) as other,
    ):
        until((tmp_path / "marker").exists, 60)
        killed.send_signal(signal.SIGKILL)
        out, err = other.communicate(timeout=120)
    assert other.returncode == 0, err
    made = trials(tmp_path)
    (lost,) = [each for each in made if each.state == TrialState.FAIL]
    assert [each.state for each in made if each is not lost] == [TrialState.COMPLETE] * 3
    again = next(each for each in made if each.params == lost.params and each is not lost)
    folder = tmp_path / "runs" / "mine" / f"trial-{lost.number:04d}"
    assert f"{folder.name}: " in err and "resumed" in err and "sweep mine: 3 finished" in out
    record = read_run(folder)
    assert record.state == "finished" and record.epochs == record.planned and record.best_loss == again.value


def test_a_trial_that_is_interrupted_goes_on(
    synthetic_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in a trial, then a disk that is full: the same command continues that trial."""
    given = words(tmp_path, synthetic_csv, f"trials = 1\n{FIELDS}")
    for error, code in ((KeyboardInterrupt(), 130), (OSError(errno.ENOSPC, "No space left on device", "x"), 2)):

        def fail(path: Path, *_: object, error: BaseException = error) -> None:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr("fer_edge.train.run_folder.save_half", fail)  # when all epochs are finished
            assert call(*given).exit_code == code
    done = call(*given)
    assert done.exit_code == 0 and "trial-0000" in done.stdout, done.output
    assert [each.state for each in trials(tmp_path)] == [TrialState.FAIL, TrialState.FAIL, TrialState.COMPLETE]
    assert [path.name for path in (tmp_path / "runs" / "mine").glob("trial-*")] == ["trial-0000"]


@pytest.mark.parametrize(
    ("storage", "line"),
    [
        ("none/study.db", "storage none/study.db: unable to open database file"),
        ("text.db", "storage text.db: file is not a database"),
        ("nonsense://user:secret@host/name", "its driver is not installed"),
        ("sqlite://:::", "is no URL of a database"),
        ("postgresql://{", "is no URL of a database"),
    ],
)
def test_a_storage_that_is_none_is_one_line(
    storage: str, line: str, synthetic_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.db").write_text("no database, but a text that is long enough\n" * 99)
    done = call(*words(tmp_path, synthetic_csv, f"storage = '{storage}'\n{FIELDS}"))
    errors = [each for each in done.stderr.splitlines() if each.startswith("fer-edge: ")]
    assert done.exit_code == 2 and line in errors[0] and "secret" not in errors[0], done.output


def test_the_folder_of_another_run_is_refused(synthetic_csv: Path, tmp_path: Path) -> None:
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / "recipe.json").write_text("{}")
    done = call(*words(tmp_path, synthetic_csv, FIELDS))
    assert done.exit_code == 2 and "is the folder of a run; rename the sweep's file" in done.stderr


def test_networks_of_earlier_trials_are_released() -> None:
    def graphs() -> int:
        gc.collect()
        return sum(type(each).__name__ == "FuncGraph" for each in gc.get_objects())

    forget_networks()
    before = graphs()
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    model.train_on_batch(np.zeros((4, 3)), np.zeros((4, 2)))
    assert graphs() > before
    del model
    forget_networks()
    assert graphs() == before
