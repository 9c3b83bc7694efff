"""Training that several processes share: the same as one process's, and one line where a process is lost."""

from __future__ import annotations

import csv
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from random_faces import random_faces
from training import command, synthetic_rows

from fer_edge.edge.cli import main
from fer_edge.edge.errors import ConfigError
from fer_edge.train.batches import augmented_batches, steps_per_epoch
from fer_edge.train.distributed.group import ProcessGroup
from fer_edge.train.distributed.options import DistributionOptions, Launch, launch_of
from fer_edge.train.recipes import Recipe
from fer_edge.train.training_targets import TrainingSet, target_rows

pytestmark = pytest.mark.tensorflow

NETWORK = """
NAME, SIZE, SIZES = "tiny", 24, (8, 48)

def build(keras, size, classes):
    layers = keras.layers
    x = image = layers.Input((size, size, 3))
    for filters in (4, 8):
        x = layers.Conv2D(filters, 3, strides=2, use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.8)(x))
    x = layers.Dropout(0.3)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, layers.Dense(classes)(x))
"""

KILLER = """
import os
import keras

class Killer(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == 3 and batch == 1:
            os.kill(int(open("victim").read()), 9)

def callbacks(run):
    return [Killer()]
"""

Start = Callable[..., "subprocess.Popen[str]"]

LIMIT = 900.0
"""Seconds; the processes need a few, but a busy machine may take as long as this."""

TRAIN = ["train", "--architecture", "net.py", "--data", "data.csv", "--full-epochs", 5, "--full-rate", 0.05,
         "--batch-size", 28, "--mixup", 0.2]  # fmt: skip

ALL_OF_SLURM = {
    "SLURM_STEP_NODELIST": "gpu[07-09,12],other",
    "SLURM_JOB_ID": "5000",
    "SLURM_NTASKS": "4",
    "SLURM_PROCID": "2",
}
TORCHRUN = {"MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500", "WORLD_SIZE": "4", "RANK": "3"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a network, data and a callback; JAX alone, as TensorFlow takes seconds to import."""
    monkeypatch.chdir(tmp_path)
    rows = synthetic_rows(112, "Training") + synthetic_rows(28, "PublicTest", 1)
    Path("data.csv").write_text("\n".join(["emotion,pixels,Usage", *rows]))
    Path("net.py").write_text(NETWORK)
    Path("killer.py").write_text(KILLER)
    Path("hidden").mkdir()
    Path("hidden/tensorflow.py").write_text("raise ImportError")
    for name in (*ALL_OF_SLURM, *TORCHRUN):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "hidden"))
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    return tmp_path


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Starts a training in the folder; what still runs at the end of the test is killed."""
    with ExitStack() as closing:

        def begin(*words: object) -> subprocess.Popen[str]:
            pipe = subprocess.PIPE
            process = subprocess.Popen(command(*TRAIN, *words), stdout=pipe, stderr=pipe, text=True)
            closing.callback(process.kill)
            return process

        yield begin


def start_two(start: Start, *words: object) -> list[subprocess.Popen[str]]:
    shared = ["--distributed", "--coordinator", f"127.0.0.1:{free_port()}", "--processes", 2]
    return [start(*words, *shared, "--process-id", 1), start(*words, *shared, "--process-id", 0)]


def history(runs: Path) -> list[dict[str, float]]:
    with (runs / "tiny/history.csv").open() as file:
        return [
            {key: float(row[key]) for key in row if key not in ("phase", "seconds")} for row in csv.DictReader(file)
        ]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_processes_train_as_one_does_and_one_goes_on_where_they_were_killed(folder: Path, start: Start) -> None:
    """Batch norm, dropout and mixup; the process that is killed is so in the middle of the fourth epoch."""
    alone = start("--runs", "alone")
    other, first = start_two(start, "--runs", "shared", "--callback", "killer.py")
    Path("victim").write_text(str(other.pid))
    error = first.communicate(timeout=LIMIT)[1]
    assert first.returncode == 2 and "process 0 of 2" in error.splitlines()[-1] and "Traceback" not in error, error
    assert "epoch 3/5" in error and "epoch 4/5" not in error
    assert other.wait(LIMIT) == -signal.SIGKILL
    assert alone.wait(LIMIT) == 0, alone.stderr
    resumed = start("--runs", "shared", "--resume", "--distributed", "--devices", 1)
    assert resumed.wait(LIMIT) == 0, resumed.stderr
    rows = [history(folder / runs) for runs in ("alone", "shared")]
    assert [row["epoch"] for row in rows[1]] == [1, 2, 3, 4, 5]
    for one, two in zip(*rows, strict=True):
        assert one == pytest.approx(two, abs=1e-4)
    assert rows[0][0]["loss"] - rows[0][-1]["loss"] > 0.01  # it learns


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_process_whose_coordinator_dies_ends_with_one_line(start: Start) -> None:
    other, first = start_two(start, "--runs", "runs")
    assert first.stderr and other.stderr
    for line in first.stderr:
        if line.startswith("distributed training with JAX on 2 cpu devices"):
            break
    first.kill()
    error = other.communicate(timeout=LIMIT)[1]
    assert other.returncode == 2
    assert [line for line in error.splitlines() if "process 1 of 2 ends" in line] == error.splitlines()[-1:]
    first.wait(LIMIT)


@pytest.mark.parametrize(
    ("words", "environment", "message"),
    [
        (["--devices", 2], {}, "--devices without --distributed"),
        (["--processes", 2, "--distributed"], {}, "--processes without --coordinator, --process-id"),
        (["--distributed", "--coordinator", "a:1", "--processes", 2, "--process-id", 2], {}, "expected 0 to 1"),
        (["--distributed", "--coordinator", "a", "--processes", 2, "--process-id", 1], {}, "expected HOST:PORT"),
        (["--distributed"], {"WORLD_SIZE": "2", "RANK": "0"}, "without MASTER_ADDR, MASTER_PORT"),
        (["--distributed"], TORCHRUN | {"RANK": "x"}, "RANK = x is no number"),
        (["--distributed"], {"KERAS_BACKEND": "tensorflow"}, "needs jax: set KERAS_BACKEND=jax or unset it"),
        (["--distributed", "--sweep", "sweep.toml"], {}, "exclude each other"),
    ],
)
def test_what_contradicts_itself_is_one_line(words: list[object], environment: dict[str, str], message: str) -> None:
    clean = dict.fromkeys((*ALL_OF_SLURM, *TORCHRUN, "KERAS_BACKEND"))
    words = ["train", "vgg", "--data", "missing.csv", *words]
    refused = CliRunner(env=clean | environment).invoke(main, [str(word) for word in words])
    assert refused.exit_code == 2 and message in refused.stderr, refused.stderr
    assert len(refused.stderr.splitlines()) == 1


ON = DistributionOptions(distributed=True)


@pytest.mark.parametrize(
    ("options", "environment", "expected"),
    [
        (DistributionOptions(), TORCHRUN, None),
        (ON, {}, Launch()),
        (replace(ON, devices=4), {}, Launch(4)),
        (ON, TORCHRUN, Launch(None, 4, 3, "10.0.0.1:29500")),
        (
            ON,
            TORCHRUN | {"LOCAL_WORLD_SIZE": "2", "LOCAL_RANK": "1", "TORCHELASTIC_USE_AGENT_STORE": "True"},
            Launch(None, 4, 3, "10.0.0.1:29501", 1),
        ),
        (ON, ALL_OF_SLURM, Launch(None, 4, 2, "gpu07:62344", 0)),
        (ON, ALL_OF_SLURM | {"SLURM_STEP_NUM_NODES": "4"}, Launch(None, 4, 2, "gpu07:62344")),
        (ON, ALL_OF_SLURM | {"SLURM_NTASKS": "1"}, Launch()),
        (replace(ON, coordinator="h:1"), ALL_OF_SLURM, Launch(None, 4, 2, "h:1", 0)),
        (replace(ON, coordinator="[::1]:9", processes=2, process_id=1), {}, Launch(None, 2, 1, "[::1]:9")),
    ],
)
def test_a_launch_comes_from_options_torchrun_or_slurm(
    options: DistributionOptions, environment: dict[str, str], expected: Launch | None
) -> None:
    assert launch_of(options, environment) == expected


@given(st.dictionaries(st.sampled_from([*ALL_OF_SLURM, *TORCHRUN, "LOCAL_RANK"]), st.text(max_size=12)), st.text())
def test_whatever_is_in_the_environment_is_a_launch_or_one_line(environment: dict[str, str], address: str) -> None:
    for options in (ON, replace(ON, coordinator=address, processes=2, process_id=0)):
        with suppress(ConfigError):
            launch = launch_of(options, environment)
            assert launch and launch.process < launch.processes


@pytest.mark.parametrize(
    "changes", [{}, {"mixup": 0.4}, {"noise": 5.0, "erase": 0.5}, {"corruption": 0.5, "consistency": 1.0}]
)
def test_shares_of_a_batch_make_up_the_batch_of_one_process(changes: dict[str, Any]) -> None:
    recipe = replace(Recipe(), batch_size=12, **changes)
    training_set = TrainingSet(random_faces(24), target_rows(np.arange(24) % 7, 7, recipe), np.arange(24.0), False)
    whole = list(augmented_batches(training_set, 32, recipe, 1))
    parts = [
        list(augmented_batches(training_set, 32, recipe, 1, ProcessGroup(3, process).share(12))) for process in range(3)
    ]
    assert len(whole) == steps_per_epoch(training_set, recipe)
    for step, batch in enumerate(whole):
        for name in ("views", "targets", "weights"):
            shares = [getattr(part[step], name) for part in parts]
            assert len(shares[0]) == 4
            assert np.array_equal(np.concatenate(shares), getattr(batch, name))
