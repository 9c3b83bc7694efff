"""`fer-edge models add`: what it finds in a network of another maker, what it asks for, and what it refuses."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from dense_networks import dense_network, plain_answers, stripes
from hypothesis import given
from hypothesis import strategies as st

from fer_edge.convert.metadata import add_metadata
from fer_edge.edge.cli import main
from fer_edge.edge.errors import ConfigError
from fer_edge.edge.expression.pixel_range import format_range, parse_range
from fer_edge.edge.tflite.card import card_path, read_card
from fer_edge.models import FOLDER

CLASSES = ("asleep", "awake", "away")
FILES = Path(__file__).parents[2] / "support" / "files" / "models"
PORTRAIT = FOLDER.parent / "benchmarks" / "astronaut.jpg"
Mistake = Callable[..., str]


def add(*words: object) -> str:
    done = CliRunner().invoke(main, ["models", "add", *map(str, words)])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
def colour(tmp_path: Path) -> Path:
    """A float32 network of colour pictures, which does not show its range; three classes in a softmax."""
    path = tmp_path / "colour.tflite"
    path.write_bytes(dense_network(stripes(3, (48, 40, 3))))
    return path


@pytest.fixture
def edge_impulse(tmp_path: Path) -> Path:
    """An int8 network as Edge Impulse exports it, with its labels beside it."""
    path = tmp_path / "trained.tflite"
    path.write_bytes(dense_network(stripes(3, (96, 96, 1)), "int8", 1 / 255, -128))
    (tmp_path / "labels.txt").write_text("asleep\nawake\naway\n")
    return path


def test_integer_network_needs_nothing_but_its_labels(edge_impulse: Path) -> None:
    lines = add(edge_impulse).splitlines()
    assert "input: 96x96 pixels, 1 channel, int8" in lines and "range: 0..1 (the input's quantization)" in lines
    card = read_card(edge_impulse)
    assert (card.labels, card.colour, card.pixel_range) == (CLASSES, "gray", (0, 1))
    assert (card.output, card.quantization, card.name) == ("softmax", "int8", "trained")
    unknown = card.architecture, card.licence, card.training["data"]
    assert unknown == ("unknown",) * 3 and "FER2013" not in json.dumps(json.loads(card_path(edge_impulse).read_text()))


def test_teachable_machines_numbers_are_no_part_of_the_names(tmp_path: Path) -> None:
    path = tmp_path / "model_unquant.tflite"
    path.write_bytes(dense_network(stripes(2, (224, 224, 3))))
    (tmp_path / "labels.txt").write_text("0 Class 1\r\n1 2 tired\r\n")
    assert "those of Teachable Machine" in add(path)
    assert (read_card(path).labels, read_card(path).pixel_range) == (("Class 1", "2 tired"), (-1, 1))


def test_labels_and_range_may_be_inside_the_file(tmp_path: Path, mistake: Mistake) -> None:
    path = tmp_path / "own.tflite"
    path.write_bytes(add_metadata(dense_network(stripes(3, (48, 40, 3))), "own", CLASSES, "CC0-1.0"))
    lines = add(path).splitlines()
    assert "range: -1..1 (the file's metadata)" in lines and "classes: asleep, awake, away (the file itself)" in lines
    assert read_card(path).licence == "CC0-1.0"
    assert "leave --labels out" in mistake("models", "add", path, "--labels", "a,b,c", "--force")


def test_what_a_user_says_goes_into_the_card(colour: Path) -> None:
    words = ["--labels", "asleep, awake,away", "--colour", "bgr", "--range", "104,117,124/1", "--crop-margin", "1.4"]
    add(colour, *words, "--license", "MIT", "--name", "desk")
    card = read_card(colour)
    assert (card.labels, card.colour, card.crop_margin, card.licence) == (CLASSES, "bgr", 1.4, "MIT")
    assert card.pixel_range == ((-104, 151), (-117, 138), (-124, 131)) and card.name == "desk"


def test_a_range_that_nothing_shows_is_asked_for(colour: Path, mistake: Mistake) -> None:
    line = mistake("models", "add", colour, "--labels", ",".join(CLASSES))
    assert "--range -1..1" in line and not card_path(colour).exists()


def test_one_channel_has_no_colours(edge_impulse: Path, mistake: Mistake) -> None:
    assert "takes one channel" in mistake("models", "add", edge_impulse, "--colour", "rgb")


def test_labels_that_nothing_shows_are_asked_for(colour: Path, mistake: Mistake) -> None:
    assert "expected --labels" in mistake("models", "add", colour, "--range", "0..1")
    assert "2 names (a, b)" in mistake("models", "add", colour, "--range", "0..1", "--labels", "a,b")
    assert "'a'" in mistake("models", "add", colour, "--range", "0..1", "--labels", "a,b,a")
    assert "No such file" in mistake("models", "add", colour, "--range", "0..1", "--labels", "none.txt")


def test_a_card_that_is_there_stays(edge_impulse: Path, mistake: Mistake, model_folder: Path) -> None:
    card_path(edge_impulse).write_text("mine")
    assert "exists; --force" in mistake("models", "add", edge_impulse)
    assert card_path(edge_impulse).read_text() == "mine"
    add(edge_impulse, "--force")
    assert read_card(edge_impulse).labels == CLASSES
    shipped = model_folder / "mobilenet_v2_int8.tflite"
    assert "comes with fer-edge" in mistake("models", "add", shipped, "--force")


@pytest.mark.parametrize(
    ("ending", "given", "complaint"),
    [
        ("softmax", "logits", "no logits, .* expected --output softmax"),
        ("softmax", "sigmoid", "no sigmoid"),
        ("logits", "softmax", "no softmax, .* expected --output logits"),
        ("sigmoid", None, "a sigmoid for each class"),
        ("sigmoid", "softmax", "no softmax"),
    ],
)
def test_outputs_must_be_what_they_are_said_to_be(
    tmp_path: Path, mistake: Mistake, ending: str, given: str | None, complaint: str
) -> None:
    path = tmp_path / "own.tflite"
    path.write_bytes(dense_network(stripes(3, (48, 48, 1)), ending=ending))
    words = ["models", "add", path, "--labels", ",".join(CLASSES), "--range", "0..1"]
    line = mistake(*words, *(["--output", given] if given else []))
    assert re.search(complaint, line), line
    assert not card_path(path).exists()


def test_networks_that_are_no_classifiers_are_refused(tmp_path: Path, mistake: Mistake) -> None:
    words = ["--labels", "a,b,c,d,e,f,g", "--range", "0..1"]
    for name in ("damaged", "nan"):
        path = Path(shutil.copy(FILES / f"{name}.tflite", tmp_path))
        mistake("models", "add", path, *words)
        assert not card_path(path).exists()
    same = tmp_path / "same.tflite"
    same.write_bytes(dense_network(np.zeros((3, 48, 48, 1))))
    assert "same outputs" in mistake("models", "add", same, "--labels", "a,b,c", "--range", "0..1")
    face = Path(shutil.copy(next((FOLDER / "face").glob("*.tflite")), tmp_path / "face.tflite"))
    face.write_bytes(face.read_bytes() + b"\0")  # another sha256 than the shipped one's
    assert "expected (1, H, W, 3) pixels" in mistake("models", "add", face, *words)


def test_a_network_with_the_channels_first_is_told_apart(tmp_path: Path, mistake: Mistake) -> None:
    path = tmp_path / "own.tflite"
    path.write_bytes(dense_network(stripes(3, (3, 48, 40))))
    assert "channels last" in mistake("models", "add", path, "--labels", "a,b,c", "--range", "0..1")


def test_one_output_names_two_classes(tmp_path: Path) -> None:
    for ending in ("sigmoid", "logits"):
        path = tmp_path / f"{ending}.tflite"
        path.write_bytes(dense_network(4 * stripes(1, (48, 48, 1)), ending=ending))
        add(path, "--labels", "frowning,smiling", "--range", "0..255")
        assert read_card(path).output == ending


def test_added_network_is_a_model_like_any_other(edge_impulse: Path, tmp_path: Path) -> None:
    add(edge_impulse)
    face = tmp_path / "face.png"
    gray = np.random.default_rng(0).integers(0, 256, (96, 96), np.uint8)
    cv2.imwrite(str(face), gray)
    (expected,) = plain_answers(edge_impulse, gray[None, :, :, None].astype(np.int16) - 128)
    words = ["predict", str(face), "--faces-cropped", "--model", str(edge_impulse), "--jsonl", "-"]
    (line,) = CliRunner().invoke(main, words).stdout.splitlines()
    (found,) = json.loads(line)["faces"]
    assert found["scores"] == pytest.approx(dict(zip(CLASSES, expected / expected.sum(), strict=True)), abs=1e-4)
    for command in (["models", "verify"], ["models", "show"]):
        assert CliRunner().invoke(main, [*command, str(edge_impulse)]).exit_code == 0


def test_a_network_that_was_made_anew_needs_a_new_card(edge_impulse: Path, mistake: Mistake) -> None:
    add(edge_impulse)
    edge_impulse.write_bytes(dense_network(stripes(3, (96, 96, 1), seed=1), "int8", 1 / 255, -128))
    assert "models add --force" in mistake("predict", PORTRAIT, "--model", edge_impulse)
    add(edge_impulse, "--force")
    assert CliRunner().invoke(main, ["models", "verify", str(edge_impulse)]).exit_code == 0


numbers = st.floats(-1e5, 1e5, allow_nan=False).map(lambda each: float(f"{each:.6g}"))


@given(low=numbers, high=numbers)
def test_a_range_is_read_as_it_is_written(low: float, high: float) -> None:
    if low != high:
        assert parse_range(format_range((low, high))) == (low, high)


@given(st.text("0123456789.,/-e ", max_size=12))
def test_any_text_is_a_range_or_an_error(text: str) -> None:
    with suppress(ConfigError):
        assert len(parse_range(text)) in (2, 3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.5/127.5", (-1, 1)),
        ("0/255", (0, 1)),
        ("0,0,0/1", (0, 255)),
        ("123,117,104/1", ((-123, 132), (-117, 138), (-104, 151))),
        ("255..0", (255, 0)),
    ],
)
def test_means_and_deviations(text: str, expected: tuple[object, ...]) -> None:
    assert parse_range(text) == expected


def test_means_of_pixels_from_0_to_1_are_converted_for_the_user() -> None:
    with pytest.raises(ConfigError, match=r"of pixels from 0 to 255 it is 123.675,116.28,103.53/58.395,57.12,57.375"):
        parse_range("0.485,0.456,0.406/0.229,0.224,0.225")
