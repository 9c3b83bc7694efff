"""Model cards: what they record, and how a missing, malformed or foreign one is reported."""

from __future__ import annotations

import hashlib
import json
import resource
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from fer_edge.edge.cli import main
from fer_edge.edge.errors import ModelError, SinkError
from fer_edge.edge.expression.ensemble import open_classifier
from fer_edge.edge.expression.model_spec import shipped_models
from fer_edge.edge.tflite.card import ModelCard, card_path, checked_card, sha256, write_card, write_model
from fer_edge.models import FOLDER


@pytest.mark.parametrize("name", [model.text for model in shipped_models()])
def test_a_card_says_what_its_model_is_for_and_what_not(name: str) -> None:
    stored = json.loads(card_path(FOLDER / f"{name}_int8.tflite").read_text("utf-8"))
    assert stored["intended_use"] == ModelCard.intended_use
    card = json.loads(CliRunner().invoke(main, ["models", "show", name]).stdout)
    assert "Not for decisions about people" in card["intended_use"]
    assert all(each in card["limits"] for each in ("ethnic groups", "unmeasured", "2024/1689, Art. 5(1)(f)"))


def test_an_altered_file_is_reported_in_one_line(model_folder: Path) -> None:
    path = model_folder / "mobilenet_v2_int8.tflite"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    result = CliRunner().invoke(main, ["models", "verify", str(path)])
    assert result.exit_code == 2 and "not the file its card describes" in result.output
    with pytest.raises(ModelError, match="sha256"):
        open_classifier(str(model_folder / "ensemble.json"))


def test_model_needs_its_card(model_folder: Path) -> None:
    path = model_folder / "mobilenet_v2_int8.tflite"
    card = checked_card(path)
    write_card(path, replace(card, labels=tuple(reversed(card.labels))))
    with pytest.raises(ModelError, match="labels"):
        open_classifier(str(path))
    card_path(path).write_text("{")
    with pytest.raises(ModelError, match="cannot be read as a model card"):
        open_classifier(str(path))
    card_path(path).unlink()
    with pytest.raises(ModelError, match="no card"):
        open_classifier(str(path))


@pytest.mark.parametrize(
    "change",
    [
        {"labels": 5},
        {"labels": [1, 2]},
        {"pixel_range": None},
        {"pixel_range": [0, "1"]},
        {"pixel_range": [1, 1]},
        {"pixel_range": [[0, 1], [0, 1]]},
        {"pixel_range": [0, 1e300]},
        {"colour": "yuv"},
        {"output": "odds"},
        {"crop_margin": 0},
        {"crop_margin": True},
        {"sha256": None},
        {"accuracy": []},
    ],
)
def test_a_malformed_card_is_reported_in_one_line(model_folder: Path, change: dict[str, object]) -> None:
    path = card_path(model_folder / "mobilenet_v2_int8.tflite")
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ModelError, match=rf"is no model card; expected .*{next(iter(change))}"):
        checked_card(model_folder / "mobilenet_v2_int8.tflite")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"colour": "rgb"}, "no crop_margin with the colour rgb"),
        ({"pixel_range": [[0, 1], [0, 1], [0, 1]], "crop_margin": 1}, "three ranges .* with the colour gray"),
        ({"output": "sigmoid"}, "7 labels with the output sigmoid, expected two"),
    ],
)
def test_a_card_that_contradicts_itself_is_reported(
    model_folder: Path, change: dict[str, object], complaint: str
) -> None:
    path = model_folder / "mobilenet_v2_int8.tflite"
    card_path(path).write_text(json.dumps({**json.loads(card_path(path).read_text()), **change}))
    with pytest.raises(ModelError, match=complaint):
        checked_card(path)


@pytest.mark.parametrize("name", [model.text for model in shipped_models()])
def test_a_card_is_written_as_it_was_read(model_folder: Path, name: str) -> None:
    path = model_folder / f"{name}_int8.tflite"
    before = json.loads(card_path(path).read_text())
    write_card(path, checked_card(path))
    assert json.loads(card_path(path).read_text()) == before
    own = replace(checked_card(path), colour="bgr", pixel_range=((0.0, 1.0),) * 3, output="softmax", crop_margin=1.5)
    write_card(path, own)
    assert checked_card(path) == own


@pytest.mark.faults
@pytest.mark.parametrize(("size", "limit"), [(5000, 4000), (100, 500)])
def test_a_disk_that_is_full_for_model_or_card_leaves_the_old_pair(tmp_path: Path, size: int, limit: int) -> None:
    """A limit on the size of files stands for the full disk; a card has about 1,500 bytes."""
    path, old, new = tmp_path / "a.tflite", b"TFL3TFL3" * 10, bytes(size)
    write_model(path, old, ModelCard("a", "old", hashlib.sha256(old).hexdigest(), ("a", "b")))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(SinkError, match="cannot be written"):
            write_model(path, new, ModelCard("a", "new", hashlib.sha256(new).hexdigest(), ("a", "b")))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.json", "a.tflite"]
    assert checked_card(path).architecture == "old" and sha256(path) == checked_card(path).sha256
