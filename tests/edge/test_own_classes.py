"""A model with classes of its own, from its card through every output."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from other_classes import SMALL, with_classes

import fer_edge
from fer_edge.benchmarks.fixtures.clips import PORTRAIT
from fer_edge.edge.cli import main
from fer_edge.edge.errors import ModelError
from fer_edge.edge.expression.ensemble import open_classifier
from fer_edge.edge.expression.ensemble_config import EnsembleConfig, write_ensemble
from fer_edge.edge.sinks.colours import class_colours
from fer_edge.edge.sinks.mqtt.discovery import discovery_messages
from fer_edge.edge.sources.pictures import read_picture
from fer_edge.edge.tflite.card import read_card, write_card

CLASSES = ("drowsy", "awake", "yawning, loudly")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_classes(tmp_path_factory.mktemp("own"), CLASSES)


def test_pictures_and_the_library_have_the_models_classes(own: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["predict", str(PORTRAIT), "--model", str(own), "--jsonl", "-"])
    assert done.exit_code == 0, done.stderr
    (face,) = json.loads(done.stdout)["faces"]
    assert tuple(face["scores"]) == CLASSES and face["emotion"] in CLASSES
    assert sum(face["scores"].values()) == pytest.approx(1, abs=1e-5)
    pipeline = fer_edge.open_pipeline(model=own)
    (found,) = pipeline.process(frame := fer_edge.Frame(read_picture(PORTRAIT)))
    assert pipeline.classes == found.classes == CLASSES and found.emotion == face["emotion"]
    assert fer_edge.annotate(frame, [found]).shape == (512, 512, 3)


def test_a_run_writes_publishes_and_acts_by_the_models_classes(own: Path, clip: Path, tmp_path: Path) -> None:
    words = ["run", "--source", str(clip), "--model", str(own), "--show", "none", "--hold", "0"]
    words += ["--jsonl", str(tmp_path / "o.jsonl"), "--csv", str(tmp_path / "o.csv")]
    words += ["--snapshot-dir", str(tmp_path / "shots"), "--save-video", str(tmp_path / "o.mp4")]
    for name in CLASSES:
        words += ["--on", name, f"touch '{tmp_path / name}'"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.stderr
    rows = list(csv.DictReader((tmp_path / "o.csv").read_text().splitlines()))
    assert tuple(rows[0])[-3:] == CLASSES
    seen = {row["emotion"] for row in rows}
    lines = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert {face["emotion"] for line in lines for face in line["faces"]} == seen <= set(CLASSES)
    assert {name for name in CLASSES if (tmp_path / name).exists()} == seen
    pictures = {path.name.split("-", 3)[3].rsplit("-", 1)[0] for path in (tmp_path / "shots").glob("*.jpg")}
    assert pictures and pictures <= {name.replace(", ", "_") for name in seen}


def test_another_models_class_is_refused(own: Path, clip: Path, mistake: Callable[..., str]) -> None:
    line = mistake("run", "--source", clip, "--model", own, "--show", "none", "--on", "happy", "true")
    assert "--on" in line and "drowsy, awake, yawning" in line


def test_home_assistant_gets_the_models_classes() -> None:
    configs = discovery_messages("ha", "fer-edge/a", "a", "own", "1", CLASSES)
    (options,) = [each["options"] for each in configs.values() if "options" in each]
    assert options == list(CLASSES)


@pytest.mark.parametrize("count", [2, 3, 8, 100])
def test_any_number_of_classes_runs_and_is_drawn(tmp_path: Path, count: int) -> None:
    classes = tuple(f"class {index}" for index in range(count))
    pipeline = fer_edge.open_pipeline(model=with_classes(tmp_path, classes))
    frame = fer_edge.Frame(read_picture(PORTRAIT))
    (found,) = pipeline.process(frame)
    assert found.scores.shape == (count,) and found.scores.sum() == pytest.approx(1, abs=1e-5)
    assert (fer_edge.annotate(frame, [found]) != frame.pixels).any()
    colours = class_colours(classes)
    assert tuple(colours) == classes and len(set(colours.values())) == min(count, 10)


def test_known_expressions_keep_their_colours() -> None:
    seven = class_colours(read_card(SMALL).labels)
    mixed = class_colours(("contempt", "happy", "sad", "bored"))
    assert (mixed["happy"], mixed["sad"]) == (seven["happy"], seven["sad"])
    assert len(set(mixed.values())) == 4


def test_members_of_an_ensemble_agree_on_their_classes(own: Path, tmp_path: Path) -> None:
    for name, classes in {"a": CLASSES, "b": CLASSES[::-1], "c": ("drowsy", "awake", "away")}.items():
        with_classes(tmp_path, classes, name)

    def ensemble(*names: str, classes: tuple[str, ...] | None = CLASSES, offsets: int = 3) -> str:
        files, equal = tuple(f"{name}.tflite" for name in names), (1 / len(names),) * len(names)
        config = EnsembleConfig(files, equal, 1.0, (1.0,) * len(names), classes, (0.0,) * offsets)
        return str(write_ensemble(tmp_path / "ensemble.json", config))

    crop = np.random.default_rng(0).integers(0, 256, (2, 48, 48), np.uint8)
    mixed = open_classifier(ensemble("a", "b"))  # matched by name
    assert mixed.classes == CLASSES and mixed(crop).shape == (2, 3)
    for wrong in (("a", "c"), ("c", "c")):
        with pytest.raises(ModelError, match="away"):
            open_classifier(ensemble(*wrong))
    with pytest.raises(ModelError, match="4 offsets"):
        open_classifier(ensemble("a", "b", classes=None, offsets=4))


def test_labels_that_do_not_fit_the_file_are_refused(own: Path, tmp_path: Path) -> None:
    path = with_classes(tmp_path, CLASSES)
    card = read_card(path)
    for labels in (CLASSES[:2], CLASSES[::-1], ("a", "a", "b"), ("a", " b", "c"), ("a", "", "c"), ("a",)):
        write_card(path, replace(card, labels=labels))
        with pytest.raises(ModelError):
            open_classifier(str(path))
