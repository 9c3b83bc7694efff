"""Networks made with Keras as other people make them, through the commands, beside a plain interpreter's outputs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from click.testing import CliRunner
from dense_networks import plain_answers
from sklearn.metrics import accuracy_score

from fer_edge.edge.cli import main
from fer_edge.edge.tflite.card import read_card
from fer_edge.train.data.loading import load
from fer_edge.train.data.splits import Split

pytestmark = pytest.mark.tensorflow

CLASSES = 7
SHAPES = {
    "mobilenet": (96, 96, 3),
    "float": (224, 224, 3),
    "edge_impulse": (96, 96, 1),
    "oblong": (64, 48, 3),
    "rescaling": (64, 64, 3),
}


def keras_network(name: str) -> Any:
    """A network with random weights and a softmax."""
    tf_keras.utils.set_random_seed(1)
    layers, shape = tf_keras.layers, SHAPES[name]
    if name == "mobilenet":
        return tf_keras.applications.MobileNetV2(shape, alpha=0.35, weights=None, classes=CLASSES)
    x = inputs = layers.Input(shape)
    if name == "rescaling":
        x = layers.Rescaling(1 / 127.5, offset=-1)(x)
    x = layers.Conv2D(8, 5, strides=max(2, shape[0] // 24), padding="same", activation="relu")(x)
    x = layers.Conv2D(16, 3, strides=2, activation="relu")(x)
    x = layers.Flatten()(layers.AveragePooling2D(3)(x))
    return tf_keras.Model(inputs, layers.Dense(CLASSES, activation="softmax")(x))


def fit(name: str, network: Any, part: Split) -> None:
    """Fit the normalizations and, by least squares, the last layer to the pictures."""
    pixels = reals_of(name, part.faces)
    for layer in network.layers:
        if isinstance(layer, tf_keras.layers.BatchNormalization):
            layer.momentum = 0.0
    network(pixels, training=True)
    features = tf_keras.Model(network.input, network.layers[-2].output)(pixels).numpy()
    centred = features - features.mean(axis=0)
    square = centred.T @ centred
    ridge = 0.1 * np.trace(square) / len(square) * np.eye(len(square))
    kernel = np.linalg.solve(square + ridge, centred.T @ (8 * np.eye(CLASSES)[part.labels]))
    network.layers[-1].set_weights([kernel, -features.mean(axis=0) @ kernel])


def converted(name: str, part: Split) -> bytes:
    """The file as its maker's tools convert it: two in integers, the oblong one with weights in float16."""
    network = keras_network(name)
    fit(name, network, part)
    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    if name in ("mobilenet", "edge_impulse"):
        integers = tf.uint8 if name == "mobilenet" else tf.int8

        def samples() -> Iterator[list[np.ndarray]]:
            for face in (*part.faces[:40], np.zeros((48, 48), np.uint8), np.full((48, 48), 255, np.uint8)):
                yield [reals_of(name, face[None])]

        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = samples
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = integers
    if name == "oblong":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    return bytes(converter.convert())


def pictures(count: int) -> np.ndarray:
    """(count, 48, 48) uint8 gray patterns."""
    coarse = np.random.default_rng(0).integers(0, 256, (count, 6, 6), np.uint8)
    return np.kron(coarse, np.ones((8, 8), np.uint8))


def pixels_of(name: str, faces: np.ndarray) -> np.ndarray:
    """Gray faces at the size of a network's input, the same in each channel."""
    height, width, channels = SHAPES[name]
    resized = np.stack([cv2.resize(face, (width, height), interpolation=cv2.INTER_LINEAR) for face in faces])
    return np.repeat(resized[..., None], channels, axis=3)


def reals_of(name: str, faces: np.ndarray) -> np.ndarray:
    """What the network was trained on: pixels from 0 to 1 in Edge Impulse, from -1 to 1 in Keras, or as they are."""
    pixels = pixels_of(name, faces).astype(np.float32)
    if name == "rescaling":
        return pixels
    return pixels / 255 if name == "edge_impulse" else pixels / 127.5 - 1


def inputs_of(name: str, faces: np.ndarray) -> np.ndarray:
    """What a program of its maker's feeds the file: integer networks take the pixels as they are."""
    if name == "mobilenet":
        return pixels_of(name, faces)
    return pixels_of(name, faces).astype(np.int16) - 128 if name == "edge_impulse" else reals_of(name, faces)


@pytest.fixture(scope="module", params=SHAPES)
def network(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, synthetic_csv: Path) -> Path:
    """The file of a network, after `models add` in its shortest form."""
    path = tmp_path_factory.mktemp("own") / f"{request.param}.tflite"
    part = load(synthetic_csv).split("train")
    path.write_bytes(converted(request.param, part))
    path.with_name("labels.txt").write_text("\n".join(part.classes))
    words = ["--range", "-1..1"] if request.param in ("float", "oblong") else []
    fer_edge("models", "add", path, *words)
    return path


@pytest.fixture(scope="module")
def classes(synthetic_csv: Path) -> tuple[str, ...]:
    return load(synthetic_csv).classes


def fer_edge(*words: object) -> str:
    done = CliRunner().invoke(main, [*map(str, words)])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_cards_say_what_the_files_show(network: Path, classes: tuple[str, ...]) -> None:
    card = read_card(network)
    ranges = {"edge_impulse": (0, 1), "rescaling": (0, 255)}
    kinds = {"mobilenet": "int8", "edge_impulse": "int8", "oblong": "float16 weights"}
    assert (card.output, card.labels) == ("softmax", classes)
    assert card.quantization == kinds.get(network.stem, "float32")
    assert card.colour == ("gray" if network.stem == "edge_impulse" else "rgb")
    assert card.pixel_range == ranges.get(network.stem, (-1, 1))


def test_accuracy_is_that_of_a_plain_interpreter(network: Path, synthetic_csv: Path, tmp_path: Path) -> None:
    part = load(synthetic_csv).split("val")
    out = tmp_path / "accuracy.json"
    fer_edge("bench", "accuracy", network, "--data", synthetic_csv, "--out", out)
    (row, *_) = json.loads(out.read_text())["rows"]
    answers = plain_answers(network, inputs_of(network.stem, part.faces)).argmax(axis=1)
    assert row["predictions"] == "".join(map(str, answers)) and len(set(answers)) > 2
    assert row["accuracy"] == round(accuracy_score(part.labels, answers), 5)


def test_scores_of_a_cropped_face_are_the_files_own(network: Path, classes: tuple[str, ...], tmp_path: Path) -> None:
    (face,) = pictures(1)
    cv2.imwrite(str(tmp_path / "face.png"), face)
    line = fer_edge("predict", tmp_path / "face.png", "--faces-cropped", "--model", network, "--jsonl", "-")
    (found,) = json.loads(line)["faces"]
    (expected,) = plain_answers(network, inputs_of(network.stem, face[None]))
    assert found["scores"] == pytest.approx(dict(zip(classes, expected / expected.sum(), strict=True)), abs=1e-4)


def test_run_scores_every_face_with_the_network(network: Path, classes: tuple[str, ...], clip: Path) -> None:
    lines = fer_edge("run", "--source", clip, "--model", network, "--jsonl", "-", "--show", "none").splitlines()
    scores = [face["scores"] for line in lines for face in json.loads(line).get("faces", [])]
    assert len(scores) > 10 and all(tuple(each) == classes for each in scores)
    assert all(abs(sum(each.values()) - 1) < 1e-3 for each in scores)


def test_other_commands_take_the_network(network: Path, synthetic_csv: Path, tmp_path: Path) -> None:
    out = ["--out", tmp_path / "result.json"]
    fer_edge("models", "verify", network)
    fer_edge("bench", "latency", network, "--runs", "10", *out)
    fer_edge("bench", "batching", network, "--faces", "2", "--runs", "10", *out)
    fer_edge("bench", "robustness", network, "--data", synthetic_csv, "--limit", "8", *out)
    fer_edge("evaluate", network, "--data", synthetic_csv)
