"""`fer-edge runs`: run folders listed and compared, damaged ones too; without Keras."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from training import NETWORK

from fer_edge.edge.cli import main
from fer_edge.edge.sinks.locks import FolderLock
from fer_edge.train.recipes import RECIPES, Recipe
from fer_edge.train.run_records import find_runs, read_run

RECIPE = replace(RECIPES["best"], warmup_epochs=1, top_epochs=2, full_epochs=0)


def make_run(folder: Path, epochs: int = 3, recipe: Recipe = RECIPE, finished: bool = True) -> Path:
    """A run folder as training leaves it, without the weights."""
    folder.mkdir(parents=True)
    stored = {**asdict(recipe), "teachers": ["vgg"]}
    (folder / "recipe.json").write_text(json.dumps(stored))
    rows = [
        {"epoch": i + 1, "phase": "top", "loss": 2.0, "val_loss": 1 / (i + 1), "val_accuracy": 0.2 * i, "seconds": 30}
        for i in range(epochs)
    ]
    state = {"epoch": epochs, "history": rows}
    about = {"name": "mobilenet_v2", "recipe": asdict(recipe), "weights": "imagenet", "state": state}
    np.savez(folder / "checkpoint.npz", about=np.frombuffer(json.dumps(about).encode(), np.uint8), weights=np.zeros(9))
    if finished:
        per_class = {"awake": {"recall": 0.9}, "drowsy": {"recall": 0.8}}
        figures: dict[str, Any] = {"name": "mobilenet_v2", "accuracy": 0.85, "per_class": per_class, "recipe": stored}
        figures |= {"data": {"train": {"pictures": 400, "sha256": "a" * 64}}, "rows": {"clean": {"accuracy": 0.83}}}
        (folder / "metrics.json").write_text(json.dumps(figures))
    return folder


def runs(*words: object) -> Result:
    return CliRunner().invoke(main, ["runs", *map(str, words)])


def test_runs_are_listed_with_what_they_reached(tmp_path: Path) -> None:
    make_run(tmp_path / "first")
    make_run(tmp_path / "2" / "second", epochs=1, finished=False)
    (tmp_path / "notes").mkdir()
    done = runs("list", "--runs", tmp_path)
    (_, second, first) = done.stdout.splitlines()
    assert second.split()[:5] == ["2/second", "mobilenet_v2", "best", "–", "–"] and second.split()[-1] == "interrupted"
    assert first.split()[:8] == ["first", "mobilenet_v2", "best", "2", "400", "3/3", "0.4000", "0.3333"]
    rows = json.loads(runs("list", "--runs", tmp_path, "--json").stdout)
    assert [(row["state"], row["epochs"], row["planned"], row["classes"]) for row in rows] == [
        ("interrupted", 1, 3, []),
        ("finished", 3, 3, ["awake", "drowsy"]),
    ]


def test_early_stopping_finishes_a_run_and_a_new_one_in_its_folder_does_not(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    (folder / "checkpoint.npz").unlink()
    assert read_run(folder).state == "finished"
    other = make_run(tmp_path / "other", epochs=1)
    record = read_run(other)
    assert (record.state, record.metrics) == ("interrupted", {}) and "earlier run" in record.problems[0]


def test_a_run_that_trains_now_is_running(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", epochs=0, finished=False)
    assert read_run(folder).state == "no epoch finished"
    with FolderLock(folder):
        assert read_run(folder).state == "running"


def test_compare_shows_what_differs(tmp_path: Path) -> None:
    make_run(tmp_path / "a")
    make_run(tmp_path / "b", recipe=replace(RECIPE, seed=7, name="mine"))
    done = runs("compare", "a", tmp_path / "b", "--runs", tmp_path)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["seed", "1", "7"] in lines and ["name", "best", "mine"] in lines
    assert ["saved", "network:", "accuracy", "0.8500", "0.8500"] in lines
    assert json.loads(runs("compare", "a", "b", "--runs", tmp_path, "--json").stdout)["differences"] == {
        "seed": [1, 7],
        "name": ["best", "mine"],
    }
    assert "no field" in runs("compare", "a", "a", "--runs", tmp_path).stdout


@given(damage=st.sampled_from(["recipe.json", "metrics.json", "checkpoint.npz"]), content=st.binary(max_size=60))
def test_damage_is_reported_and_the_others_are_listed(
    tmp_path_factory: pytest.TempPathFactory, damage: str, content: bytes
) -> None:
    folder = tmp_path_factory.mktemp("runs")
    make_run(folder / "good")
    (make_run(folder / "damaged") / damage).write_bytes(content)
    done = runs("list", "--runs", folder)
    assert done.exit_code == 0 and len(done.stdout.splitlines()) == 3
    assert damage in done.stderr
    assert runs("compare", "good", "damaged", "--runs", folder).exit_code == 0


@pytest.mark.parametrize("value", [None, 3, [], "x", {"state": 1}, {"state": {"history": [1, {}], "epoch": "a"}}])
def test_json_of_another_shape_is_no_crash(tmp_path: Path, value: Any) -> None:
    folder = make_run(tmp_path / "run")
    content = json.dumps(value).encode()
    np.savez(folder / "checkpoint.npz", about=np.frombuffer(content, np.uint8))
    for name in ("recipe.json", "metrics.json"):
        (folder / name).write_bytes(json.dumps({"recipe": value, "rows": value, "data": value}).encode())
    (record,) = find_runs(tmp_path)
    assert runs("list", "--runs", tmp_path).exit_code == 0
    assert runs("compare", "run", "run", "--runs", tmp_path).exit_code == 0
    assert record.folder == folder


def test_what_is_no_run_is_one_line(tmp_path: Path, mistake: Callable[..., str]) -> None:
    assert "no such folder" in mistake("runs", "list", "--runs", tmp_path / "missing")
    make_run(tmp_path / "run")
    assert "expected two or more" in mistake("runs", "compare", "run", "--runs", tmp_path)
    assert "no run in" in mistake("runs", "compare", "run", "other", "--runs", tmp_path)
    (tmp_path / "empty").mkdir()
    assert "is no run folder" in mistake("runs", "compare", "run", "empty", "--runs", tmp_path)


def test_keras_is_not_imported(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    script = "import sys; from fer_edge.edge.cli import main; main(sys.argv[1:], standalone_mode=False); "
    script += "assert not {'keras', 'tensorflow', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script, "runs", "list", "--runs", tmp_path], check=True)


@pytest.mark.tensorflow
def test_a_real_run(finished_run: Path) -> None:
    record = read_run(finished_run)
    assert (record.state, record.network, record.epochs, record.problems) == ("finished", NETWORK, 3, ())
    assert len(record.classes) == 7 and record.metrics and record.data and record.weights == "none"
