"""Networks of a user's own: an architecture in a file, or a Keras model, trained, converted and evaluated."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner, Result

from fer_edge.edge.cli import main
from fer_edge.edge.tflite.card import read_card
from fer_edge.models import FOLDER
from fer_edge.train.networks import open_network
from fer_edge.train.own_architectures import open_keras, remembered
from fer_edge.train.run_records import read_run

pytestmark = pytest.mark.tensorflow

MY_NET = '''"""A network of three convolutions."""

SIZE = 48


def build(keras, size, classes):
    layers = keras.layers
    x = image = layers.Input((size, size, 3))
    for filters in (16, 32, 64):
        x = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.8)(x))
    return keras.Model(image, layers.Dense(classes)(layers.GlobalAveragePooling2D()(x)))
'''
NORMED = MY_NET.replace("layers.BatchNormalization(momentum=0.8)", "layers.LayerNormalization()")
GELU = MY_NET.replace("layers.ReLU()", "layers.Activation('gelu')").replace("size, 3)", "size, 1)")
CUSTOM = MY_NET.replace("layers.ReLU()", "Swish()").replace(
    "SIZE = 48", "import keras\n\n\n@keras.saving.register_keras_serializable('mine')\n"
    "class Swish(keras.layers.Layer):\n"
    "    def call(self, x):\n        return x * keras.ops.sigmoid(x)\n\n\nSIZE = 48",
)  # fmt: skip


def test_the_page_shows_this_network() -> None:
    assert f"```python\n{MY_NET}```" in (FOLDER.parent / "docs" / "training.md").read_text()


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def train(data: Path, folder: Path, *words: object, epochs: int = 2) -> Result:
    fields = ["--warmup-epochs", 0, "--top-epochs", 0, "--full-epochs", epochs, "--batch-size", 28]
    return call("train", "--data", data, "--runs", folder / "runs", *fields, "--full-rate", 3e-3, *words)


def convert(data: Path, folder: Path, name: str) -> Result:
    limits = ["--max-drop", 100, "--min-agreement", 0.5]
    return call("convert", name, "--data", data, "--runs", folder / "runs", "--out", folder / "int8", *limits)


@pytest.fixture(scope="module")
def my_net(synthetic_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training of MY_NET."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "my_net.py").write_text(MY_NET)
    done = train(synthetic_csv, folder, "--architecture", folder / "my_net.py", epochs=25)
    assert done.exit_code == 0, done.output
    return folder


def test_an_architecture_of_ones_own_is_trained_and_remembered(my_net: Path, synthetic_csv: Path) -> None:
    run = my_net / "runs" / "my_net"
    record = json.loads((run / "metrics.json").read_text())["architecture"]
    assert (run / "architecture.py").read_text() == MY_NET
    assert record["name"] == "my_net" and len(record["sha256"]) == 64
    assert (read_run(run).network, read_run(run).state) == ("my_net", "finished")
    done = call(
        "evaluate", run, run / "float.npz", run / "float.h5", "--data", synthetic_csv, "--split", "val", "--json"
    )
    accuracies = [json.loads(line)["accuracy"] for line in done.stdout.splitlines()]
    assert len(set(accuracies[:3])) == 1 and accuracies[0] > 0.3  # chance is a seventh


def test_it_is_fine_tuned_in_int8_like_the_packages(my_net: Path, synthetic_csv: Path) -> None:
    done = convert(synthetic_csv, my_net, "my_net")
    assert done.exit_code == 0, done.output
    card = read_card(my_net / "int8" / "my_net_int8.tflite")
    assert (card.quantization, card.colour, len(card.labels)) == ("int8", "gray", 7)
    assert card.training["architecture"]["name"] == "my_net" and "history" in card.conversion
    model, out = my_net / "int8" / "my_net_int8.tflite", my_net / "accuracy.json"
    done = call("bench", "accuracy", model, "--data", synthetic_csv, "--split", "val", "--out", out)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("source", "layer"),
    [(NORMED, "LayerNormalization"), (GELU, "gelu"), (CUSTOM, "Swish")],
    ids=["norm", "gelu", "own"],
)
def test_what_cannot_be_fine_tuned_is_quantized_after_training(
    source: str, layer: str, synthetic_csv: Path, tmp_path: Path
) -> None:
    (tmp_path / "net.py").write_text(source)
    done = train(synthetic_csv, tmp_path, "--architecture", tmp_path / "net.py")
    assert done.exit_code == 0, done.output
    done = convert(synthetic_csv, tmp_path, "net")
    assert done.exit_code == 0, done.output
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("no quantization-aware fine-tuning")]
    assert layer in line and line.endswith("quantizing after training instead (PTQ)")
    card = read_card(tmp_path / "int8" / "net_ptq.tflite")
    assert layer in card.conversion["not_fine_tuned"]
    assert (
        call("run", "--source", "benchmarks/astronaut.jpg", "--model", tmp_path / "int8" / "net_ptq.tflite").exit_code
        == 0
    )


def test_frozen_features_are_of_its_own_layers_and_channels(synthetic_csv: Path, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(GELU)
    words = ["--recipe", "transfer", "--warmup-epochs", 2, "--top-epochs", 2, "--full-epochs", 0]
    assert train(synthetic_csv, tmp_path, "--architecture", tmp_path / "net.py", *words).exit_code == 0
    assert read_run(tmp_path / "runs" / "net").epochs == 4


def test_a_changed_file_neither_resumes_nor_opens_a_run(my_net: Path, synthetic_csv: Path, tmp_path: Path) -> None:
    other = tmp_path / "my_net.py"
    other.write_text(MY_NET.replace("64", "65"))
    done = train(synthetic_csv, my_net, "--architecture", other, "--resume", epochs=25)
    assert done.exit_code == 2 and "another architecture of that name" in done.stderr
    copy = my_net / "runs" / "my_net" / "architecture.py"
    copy.write_text(MY_NET + "\n")
    try:
        done = call("evaluate", my_net / "runs" / "my_net", "--data", synthetic_csv, "--split", "val")
        assert done.exit_code == 2 and "has changed since the training" in done.stderr
    finally:
        copy.write_text(MY_NET)


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (None, "No such file"),
        ("SIZE = 48", "defines no function build"),
        (MY_NET.replace("layers.ReLU", "layers.RELU"), "line 11, AttributeError"),
        (MY_NET.replace("Dense(classes)", "Dense(3)"), "to (None, 3); expected pictures of 48 px to 7"),
        (MY_NET.replace("Dense(classes)", "Dense(classes, activation='softmax')"), "ends in softmax; expected logits"),
        (MY_NET.replace("return keras.Model", "return str"), "failed: line 12, TypeError"),
        (MY_NET + "    \nNAME = 'vgg'", "NAME = 'vgg' is a network of fer-edge's"),
        (MY_NET + "    \nNAME = '../x'", "NAME = '../x' is no name"),
        (MY_NET + "    \nSIZE = 'x'", "SIZE = 'x'; expected pixels"),
        (MY_NET + "    \nTOP_FROM = 'x'", "TOP_FROM = 'x' is no layer"),
    ],
)  # fmt: skip
def test_an_architecture_that_is_none_is_one_line(
    source: str | None, line: str, synthetic_csv: Path, tmp_path: Path
) -> None:
    path = tmp_path / "my_net.py"
    if source is not None:
        path.write_text(source)
    done = train(synthetic_csv, tmp_path, "--architecture", path)
    last = done.stderr.splitlines()[-1]
    assert done.exit_code == 2 and str(path) in last and line in last
    assert not (tmp_path / "runs").exists()


def test_other_weights_at_another_size_are_refused_before_training(synthetic_csv: Path, tmp_path: Path) -> None:
    (tmp_path / "flat.py").write_text(MY_NET.replace("GlobalAveragePooling2D", "Flatten"))
    done = train(synthetic_csv, tmp_path, "--architecture", tmp_path / "flat.py", "--warmup-epochs", 1)
    assert done.exit_code == 2 and "other weights for pictures of 64 px" in done.stderr
    assert train(synthetic_csv, tmp_path, "--architecture", tmp_path / "flat.py").exit_code == 0


def test_one_network_is_named(synthetic_csv: Path, mistake: Callable[..., str]) -> None:
    assert "no network is named" in mistake("train", "--data", synthetic_csv)
    line = mistake("train", "vgg", "--architecture", "x.py", "--data", synthetic_csv)
    assert "NAME and --architecture exclude each other" in line


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Keras model as people have them: pictures of 0..255, a model inside, four classes, softmax."""
    layers = keras.layers
    base = keras.Sequential(
        [keras.Input((40, 40, 3)), layers.Conv2D(8, 3, strides=2), layers.BatchNormalization(), layers.ReLU()]
    )
    x = image = keras.Input((40, 40, 3))
    x = layers.GlobalAveragePooling2D()(base(layers.Rescaling(1 / 127.5, offset=-1)(x), training=False))
    path = tmp_path_factory.mktemp("keras") / "classifier.keras"
    keras.Model(image, layers.Dense(4, activation="softmax")(x)).save(path)
    return path


def test_a_keras_model_gets_a_new_head_and_keeps_its_weights(classifier: Path) -> None:
    own = open_keras(classifier)
    model = own.build(keras, 40, 7)
    own.initialize(model)
    original = keras.models.load_model(classifier)
    assert (model.input_shape, model.output_shape) == ((None, 40, 40, 3), (None, 7))
    assert [layer.__class__.__name__ for layer in model.layers].count("Rescaling") == 0
    same = own.build(keras, 40, 4)
    own.initialize(same)
    pixels = np.random.default_rng(0).uniform(0, 255, (3, 40, 40, 3)).astype(np.float32)
    expected, logits = original.predict(pixels, verbose=0), same.predict(pixels / 127.5 - 1, verbose=0)
    assert np.allclose(keras.ops.softmax(logits), expected, atol=1e-5)


def test_a_keras_model_is_trained_and_fine_tuned(classifier: Path, synthetic_csv: Path, tmp_path: Path) -> None:
    done = train(synthetic_csv, tmp_path, "--from-keras", classifier, "--warmup-epochs", 1)
    assert done.exit_code == 0, done.output
    run = tmp_path / "runs" / "classifier"
    assert json.loads((run / "recipe.json").read_text())["warmup_size"] == 40
    assert json.loads((run / "metrics.json").read_text())["weights_data"] == "unknown"
    with remembered(run):
        assert open_network(run / "float.npz").model.output_shape == (None, 7)
    assert convert(synthetic_csv, tmp_path, "classifier").exit_code == 0
    assert read_card(tmp_path / "int8" / "classifier_int8.tflite").quantization == "int8"
    assert train(synthetic_csv, tmp_path, "--from-keras", classifier, "--warmup-epochs", 1, "--resume").exit_code == 0


def test_a_run_that_rescales_is_opened_as_it_was_trained(synthetic_csv: Path, tmp_path: Path) -> None:
    layers, path = keras.layers, tmp_path / "sequential.h5"
    middle = [layers.Rescaling(1 / 255), layers.Conv2D(8, 3, strides=3, activation="relu"), layers.Flatten()]
    keras.Sequential([keras.Input((32, 32, 1)), *middle, layers.Dense(7), layers.Softmax()]).save(path)
    assert train(synthetic_csv, tmp_path, "--from-keras", path, epochs=8).exit_code == 0
    run = tmp_path / "runs" / "sequential"
    trained = json.loads((run / "metrics.json").read_text())
    files = [run / "float.keras", run / "float.h5", run / "float.npz"]
    done = call("evaluate", *files, "--data", synthetic_csv, "--split", "val", "--json")
    for line in done.stdout.splitlines()[:2]:
        assert json.loads(line)["nll"] == pytest.approx(trained["nll"], abs=1e-5)
    assert train(synthetic_csv, tmp_path / "again", "--from-keras", run / "float.keras", epochs=1).exit_code == 0


def test_what_is_no_keras_classifier_is_one_line(tmp_path: Path, synthetic_csv: Path) -> None:
    layers, wrong = keras.layers, tmp_path / "wrong.keras"
    keras.Sequential([keras.Input((40, 30, 3)), layers.Flatten(), layers.Dense(7)]).save(wrong)
    (tmp_path / "text.keras").write_text("x")
    lines = {
        "wrong.keras": "maps (None, 40, 30, 3)",
        "text.keras": "cannot be loaded",
        "none.h5": "no such file",
        "x.onnx": "expected a .keras or .h5",
    }
    for name, line in lines.items():
        done = train(synthetic_csv, tmp_path, "--from-keras", tmp_path / name)
        assert done.exit_code == 2 and line in done.stderr.splitlines()[-1], done.stderr


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_evaluate_does_not_take_a_softmax_twice(suffix: str, synthetic_csv: Path, tmp_path: Path) -> None:
    layers = keras.layers
    image = keras.Input((32, 32, 1))
    logits = layers.Dense(7)(layers.Flatten()(layers.Conv2D(4, 3, strides=4)(image)))
    keras.Model(image, logits).save(tmp_path / f"plain.{suffix}")
    keras.Model(image, layers.Softmax()(logits)).save(tmp_path / f"soft.{suffix}")
    files = [tmp_path / f"{name}.{suffix}" for name in ("plain", "soft")]
    done = call("evaluate", *files, "--data", synthetic_csv, "--split", "val", "--json")
    plain, soft, _ = (json.loads(line) for line in done.stdout.splitlines())
    assert plain["nll"] == pytest.approx(soft["nll"], abs=1e-4)
    assert f"{files[1]} ends in softmax" in done.stderr and f"{files[0]} ends" not in done.stderr
    assert "does not name its classes" in done.stderr
