"""`fer-edge models export --keras`: the shipped float weights as a Keras model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from networks import coarse_faces

from fer_edge.edge.cli import main
from fer_edge.edge.tflite.card import read_card
from fer_edge.models import FOLDER
from fer_edge.train.networks import open_network, predict_logits

pytestmark = pytest.mark.tensorflow

SMALL = FOLDER / "mobilenet_v2_small_int8.tflite"


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_the_file_is_the_network_with_its_classes(suffix: str, tmp_path: Path) -> None:
    target = tmp_path / f"small.{suffix}"
    done = CliRunner().invoke(main, ["models", "export", "mobilenet_v2_small", "--keras", str(target)])
    assert done.exit_code == 0, done.stderr
    faces = coarse_faces(12)
    logits = predict_logits(keras.models.load_model(target, compile=False), faces)
    float_weights = open_network(FOLDER / "float" / "mobilenet_v2_small.npz")
    assert np.allclose(logits, float_weights.logits(faces), atol=1e-4)
    if suffix == "keras":
        assert open_network(target).classes == read_card(SMALL).labels


def test_what_cannot_be_written_is_one_line(tmp_path: Path, mistake: Callable[..., str]) -> None:
    assert "ends in .keras or .h5" in mistake("models", "export", "mobilenet_v2", "--keras", tmp_path / "x.onnx")
    assert "no such file" in mistake("models", "export", tmp_path / "x.npz", "--keras", tmp_path / "x.keras")


def test_a_damaged_file_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"PK")
    done = CliRunner().invoke(main, ["models", "export", str(tmp_path / "x.npz"), "--keras", str(tmp_path / "x.keras")])
    assert done.exit_code == 2 and [each.name for each in tmp_path.iterdir()] == ["x.npz"]
