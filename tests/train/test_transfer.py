"""A few pictures of other classes, from the shipped weights: frozen features, a new last layer, the last blocks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from training import synthetic_rows

from fer_edge.edge.cli import main
from fer_edge.edge.errors import DataError
from fer_edge.edge.preprocess import network_input
from fer_edge.models import FOLDER
from fer_edge.train import architectures
from fer_edge.train.frozen_features import split_network
from fer_edge.train.recipes import make_recipe
from fer_edge.train.weights import initialize, read_half

pytestmark = pytest.mark.tensorflow

SMALL, THREE = "mobilenet_v2_small", ("low", "high", "none")
SHIPPED = FOLDER / "float" / f"{SMALL}.npz"
MERGED = "0=low,1=low,2=none,3=none,4=none,5=high,6=high"
FEW = ("--warmup-epochs", "2", "--top-epochs", "2", "--frozen-views", "3", "--batch-size", "16", "--class-weights")


@pytest.fixture(scope="module")
def csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Other rows in train and val: rows of the same photograph are not validated on."""
    path = tmp_path_factory.mktemp("data") / "faces.csv"
    rows = [*synthetic_rows(56, "Training", 1), *synthetic_rows(21, "PublicTest", 2)]
    path.write_text("\n".join(["emotion,pixels,Usage", *rows]) + "\n")
    return path


def transferred(csv: Path, runs: Path, *words: object) -> Any:
    options = ("--data", csv, "--classes", MERGED, "--weights", "fer2013", "--runs", runs, *FEW, "none", *words)
    return CliRunner().invoke(main, ["train", SMALL, *map(str, options)])


@pytest.fixture(scope="module")
def runs(csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    done = transferred(csv, folder)
    assert done.exit_code == 0, done.output
    return folder


def test_only_the_last_blocks_and_a_new_last_layer_are_trained(runs: Path) -> None:
    stored, shipped = read_half(runs / SMALL / "float.npz"), read_half(SHIPPED)
    assert set(stored.classes) == set(THREE)
    model = architectures.build(SMALL, keras, classes=3)
    trained = {id(value) for layer in architectures.last_layers(SMALL, model) for value in layer.weights}
    pairs = zip(model.weights, stored.values[:-2], shipped.values[:-2], strict=False)
    same = {id(weight): np.array_equal(mine, theirs) for weight, mine, theirs in pairs}
    below = [equal for weight, equal in same.items() if weight not in trained]
    assert len(below) > 50 and all(below) and not all(equal for weight, equal in same.items() if weight in trained)
    assert stored.values[-1].shape == (3,)


def test_history_has_both_phases_and_the_features_are_gone(runs: Path) -> None:
    history = (runs / SMALL / "history.csv").read_text().splitlines()
    assert [row.split(",")[1] for row in history[1:]] == ["warmup", "warmup", "top", "top"]
    assert not [name for name in os.listdir(runs / SMALL) if name.startswith(".")]


def test_a_full_disk_is_one_line(csv: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands for it."""
    code = (
        "import resource, signal, sys; from fer_edge.edge.cli import main\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from fer_edge.train import frozen_features as features; compute = features._plain_features\n"
        "def limited(*given):\n    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, -1))\n    return compute(*given)\n"
        "features._plain_features = limited\nmain(sys.argv[1:])"
    )
    options = ("--data", csv, "--classes", MERGED, "--weights", "fer2013", "--runs", tmp_path, *FEW, "none")
    words = [sys.executable, "-c", code, "train", SMALL, *map(str, options)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 2 and "frozen features cannot be stored" in done.stderr.splitlines()[-1], done.stderr
    assert not (tmp_path / SMALL / "float.npz").exists()


def test_a_resumed_run_ends_as_an_uninterrupted_one(csv: Path, runs: Path, tmp_path: Path) -> None:
    """Interrupted in the first phase."""
    code = (
        "import fer_edge.train.loop as loop, sys; from fer_edge.edge.cli import main; write = loop.write_checkpoint\n"
        "def stop(*given):\n    write(*given)\n    raise KeyboardInterrupt\n"
        "loop.write_checkpoint = stop\nmain(sys.argv[1:])"
    )
    options = ("--data", csv, "--classes", MERGED, "--weights", "fer2013", "--runs", tmp_path, *FEW, "none")
    done = subprocess.run([sys.executable, "-c", code, "train", SMALL, *map(str, options)], capture_output=True)
    assert done.returncode != 0 and (tmp_path / SMALL / "checkpoint.npz").is_file(), done.stderr
    resumed = transferred(csv, tmp_path, "--resume")
    assert resumed.exit_code == 0, resumed.output
    whole, parts = (read_half(folder / SMALL / "float.npz").values for folder in (runs, tmp_path))
    assert all(np.allclose(one, other, atol=1e-3) for one, other in zip(whole, parts, strict=True))


@pytest.mark.parametrize("name", ["mobilenet_v2_small", "efficientnet_b0"])
def test_a_split_network_computes_what_the_whole_does(name: str) -> None:
    model = architectures.build(name, keras, classes=3)
    views = network_input(np.random.default_rng(0).integers(0, 256, (2, 48, 48), np.uint8))
    whole = np.asarray(model(views))
    for trained in (architectures.head_layers(model), architectures.last_layers(name, model)):
        network = split_network(model, trained)
        assert np.allclose(np.asarray(network.above(network.below(views))), whole, atol=1e-5)
        assert network.below.output.shape[1:] != model.input.shape[1:]


def test_the_same_classes_in_another_order_keep_their_outputs() -> None:
    shipped = read_half(SHIPPED)
    model = architectures.build(SMALL, keras, classes=7)
    faces = np.zeros((1, 48, 48), np.uint8)
    initialize(SMALL, model, str(SHIPPED), keras, faces, shipped.classes[::-1])
    assert np.array_equal(model.get_weights()[-1], shipped.values[-1][::-1])
    assert np.array_equal(model.get_weights()[-2], shipped.values[-2][:, ::-1])


def test_what_frozen_features_cannot_have_is_refused() -> None:
    for fields in ({"mixup": 0.2}, {"ema": 0.99}, {"batch_norm": "clean"}, {"teacher_views": "augmented"}):
        with pytest.raises(DataError, match=next(iter(fields))):
            make_recipe("transfer", SMALL, **fields)


def test_a_network_without_shipped_weights_is_one_line(csv: Path, tmp_path: Path) -> None:
    words = ("train", "vgg", "--data", str(csv), "--weights", "fer2013", "--runs", str(tmp_path / "runs"))
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2 and len(done.stderr.splitlines()) == 1
    assert "fer2013" in done.stderr and SMALL in done.stderr and not (tmp_path / "runs").exists()
