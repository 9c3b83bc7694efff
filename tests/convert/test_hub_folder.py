"""`fer-edge models export --hf`: the folder's files, its metadata by a YAML parser, and the programs in its README."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from network_camera import PORTRAIT

from fer_edge.convert.hub_folder import hub_readme
from fer_edge.convert.hub_metadata import hub_metadata
from fer_edge.edge.cli import main
from fer_edge.edge.errors import printable
from fer_edge.edge.expression.classifier import open_member
from fer_edge.edge.expression.model_spec import shipped_models
from fer_edge.edge.expression.scores import softmax
from fer_edge.edge.tflite.card import card_path, read_card
from fer_edge.models import FOLDER

SMALL = FOLDER / "mobilenet_v2_small_int8.tflite"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hub") / "model"
    done = CliRunner().invoke(main, ["models", "export", "mobilenet_v2_small", "--hf", str(path)])
    assert done.exit_code == 0, done.stderr
    return path


def metadata(readme: str) -> dict[str, Any]:
    _, front, _ = readme.split("---\n", 2)
    parsed = yaml.safe_load(front)
    assert isinstance(parsed, dict)
    return parsed


def programs(folder: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)


def test_the_metadata_has_the_cards_figures(folder: Path) -> None:
    parsed, card = metadata((folder / "README.md").read_text()), json.loads(card_path(SMALL).read_text())
    assert (parsed["license"], parsed["library_name"], parsed["pipeline_tag"], parsed["datasets"]) == (
        "apache-2.0",
        "litert",
        "image-classification",
        ["fer2013"],
    )
    figures = next(iter(card["accuracy"]["runtimes"].values()))["rows"]
    (index,) = parsed["model-index"]
    assert len(index["results"]) == len(figures) == 3
    for result, each in zip(index["results"], figures.values(), strict=True):
        assert [metric["value"] for metric in result["metrics"]] == [each["accuracy"], each["balanced_accuracy"]]
        assert {metric["type"] for metric in result["metrics"]} == set(parsed["metrics"])


def test_the_folder_is_a_model_for_fer_edge(folder: Path) -> None:
    assert sorted(each.name for each in folder.iterdir()) == [
        "README.md",
        "labels.txt",
        "mobilenet_v2_small_int8.json",
        "mobilenet_v2_small_int8.tflite",
    ]
    assert (folder / "labels.txt").read_text().splitlines() == list(read_card(SMALL).labels)
    done = CliRunner().invoke(main, ["models", "verify", str(folder / SMALL.name)])
    assert done.exit_code == 0


def test_the_programs_in_the_readme_run(folder: Path) -> None:
    shutil.copy(PORTRAIT, folder / "photo.jpg")
    face = np.kron(np.random.default_rng(0).integers(0, 256, (6, 6), np.uint8), np.ones((8, 8), np.uint8))
    cv2.imwrite(str(folder / "face.png"), face)
    library, alone = (
        subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True).stdout
        for program in programs(folder)
    )
    assert re.match(r"\w+ \d+% Box\(", library)
    scores = softmax(open_member(SMALL)[0].logits(face[None]))[0]
    assert alone.split()[0] == read_card(SMALL).labels[scores.argmax()]
    printed = np.array(re.findall(r"\d\.\d*", alone), np.float64)
    assert np.abs(printed - scores).max() < 0.02  # of a logit's step of some hundredths


@given(
    labels=st.lists(st.text("abz :#'\"-[]{}&*!|>%@`é中", min_size=1, max_size=9), min_size=2, max_size=4, unique=True),
    licence=st.text(max_size=40),
    name=st.text(min_size=1, max_size=20),
    accuracy=st.floats(0, 1),
)
def test_any_card_becomes_yaml(labels: list[str], licence: str, name: str, accuracy: float) -> None:
    figures = {"runtimes": {"LiteRT": {"accuracy": accuracy}}}
    card = replace(read_card(SMALL), labels=tuple(labels), licence=licence, name=name, accuracy=figures, training={})
    parsed = metadata(hub_readme(SMALL, card))
    assert parsed["license"] and "datasets" not in parsed
    (index,) = parsed["model-index"]
    assert index["name"] == printable(name)
    assert index["results"][0]["metrics"][0]["value"] == pytest.approx(accuracy, abs=1e-12)


@pytest.mark.parametrize(
    ("licence", "expected"),
    [("MIT", "mit"), ("Apache-2.0. For makers", "apache-2.0"), ("unknown", "unknown"), ("", "unknown"),
     ("Mitre", "other"), ("ask me", "other")],
)  # fmt: skip
def test_a_licence_is_the_hubs_or_another(licence: str, expected: str) -> None:
    assert hub_metadata(replace(read_card(SMALL), licence=licence))["license"] == expected


def test_every_shipped_model_is_of_fer2013() -> None:
    for model in shipped_models():
        assert hub_metadata(read_card(model.path))["datasets"] == ["fer2013"]


@pytest.mark.parametrize(("name", "ids"), [("our gate, 2026", None), ("me/faces", ["me/faces"]), ("unknown", None)])
def test_a_data_set_is_the_one_that_the_card_names(name: str, ids: list[str] | None) -> None:
    found = hub_metadata(replace(read_card(SMALL), training={"data_name": name}))
    assert found.get("datasets") == ids and "facial-expression-recognition" not in found["tags"]
    (dataset, *_) = (result["dataset"]["name"] for result in found["model-index"][0]["results"])
    assert dataset.startswith("unnamed data" if name == "unknown" else name)


def test_an_unmeasured_card_has_no_figures() -> None:
    card = replace(read_card(SMALL), accuracy={})
    assert "model-index" not in hub_metadata(card) and "Not measured" in hub_readme(SMALL, card)


def test_nothing_is_overwritten(tmp_path: Path, mistake: Callable[..., str]) -> None:
    (tmp_path / "mine").write_text("kept")
    assert "no empty folder" in mistake("models", "export", "mobilenet_v2_small", "--hf", tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["mine"]
    assert "expected --hf" in mistake("models", "export", "mobilenet_v2_small")


def test_neither_keras_nor_tensorflow_is_imported(tmp_path: Path) -> None:
    script = "import sys; from fer_edge.edge.cli import main; main(sys.argv[1:], standalone_mode=False); "
    script += "assert not {'keras', 'tensorflow', 'tf_keras'} & set(sys.modules)"
    words = ["models", "export", "mobilenet_v2_small", "--hf", str(tmp_path / "out")]
    subprocess.run([sys.executable, "-c", script, *words], check=True)
