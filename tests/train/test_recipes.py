"""Numbers of a recipe that no run can have are refused before it has a folder."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from fer_edge.edge.cli import main
from fer_edge.edge.errors import DataError
from fer_edge.train.architectures import ARCHITECTURES
from fer_edge.train.recipes import _RANGES, RECIPES, Recipe, recipe


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("field", "value"),
    [("batch_size", 0), ("seed", -1), ("seed", 5_000_000), ("folds", 1), ("folds", -2), ("mixup", -1.0),
     ("noise", -1.0), ("ema", 2.0), ("warmup_size", 0), ("gamma", float("nan")), ("full_rate", float("inf")),
     ("plateau_patience", 0), ("teacher_temperature", 0.0), ("warmup_epochs", -1)],
)  # fmt: skip
def test_a_number_out_of_range_is_one_line(tmp_path: Path, field: str, value: float) -> None:
    option = f"--{field.replace('_', '-')}={value}"
    words = ["train", "mobilenet_v2", "--data", "missing.csv", "--runs", str(tmp_path / "runs"), option]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2 and f"recipe field {field} is " in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_every_number_has_a_range_and_every_recipe_keeps_it() -> None:
    assert set(_RANGES) == {each.name for each in fields(Recipe) if each.type in ("int", "float")}
    for name in RECIPES:
        for network in ARCHITECTURES:
            recipe(name, network)


def test_help_describes_every_field_with_its_values() -> None:
    told = " ".join(CliRunner().invoke(main, ["train", "--help"], terminal_width=100).stdout.split())
    for each in fields(Recipe):
        if each.name != "name":
            _, _, text = told.partition(f"--{each.name.replace('_', '-')} ")
            assert re.match(r"(INTEGER|FLOAT|TEXT) [A-Z][^\[]+\. \[default: ", text), each.name
    assert "Most degrees a face is turned, either way; from 0 to 180. [default: (12.0)]" in told
    assert "sgd has Nesterov's momentum of 0.9; adamw, adam or sgd. [default: (adamw)]" in told


def test_a_fold_is_one_of_the_folds() -> None:
    assert replace(recipe("best", "vgg"), folds=2, fold=1) == recipe("best", "vgg", folds=2, fold=1)
    with pytest.raises(DataError, match="expected 0 to 1, with 2 folds"):
        recipe("best", "vgg", folds=2, fold=2)
