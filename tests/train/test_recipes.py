"""Recipes: ranges and choices, which are checked before a run has a folder."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from fer_edge.edge.cli import main
from fer_edge.edge.config.click_options import flag, info_of
from fer_edge.edge.errors import DataError
from fer_edge.train.architectures import ARCHITECTURES
from fer_edge.train.data.loading import load
from fer_edge.train.recipes import RECIPES, Recipe, make_recipe
from fer_edge.train.training_targets import class_weights


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("field", "value"),
    [("batch_size", 0), ("seed", -1), ("seed", 5_000_000), ("folds", 1), ("folds", -2), ("mixup", -1.0),
     ("noise", -1.0), ("ema", 2.0), ("warmup_size", 0), ("gamma", float("nan")), ("full_rate", float("inf")),
     ("plateau_patience", 0), ("teacher_temperature", 0.0), ("warmup_epochs", -1)],
)  # fmt: skip
def test_a_number_out_of_range_is_refused(tmp_path: Path, field: str, value: float) -> None:
    with pytest.raises(DataError, match=f"recipe field {field} is "):
        make_recipe("best", "mobilenet_v2", **{field: value})
    words = [
        "train",
        "mobilenet_v2",
        "--data",
        "missing.csv",
        "--runs",
        str(tmp_path / "runs"),
        f"{flag(field)}={value}",
    ]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2 and re.search(
        rf"recipe field {field} is |Invalid value for '{flag(field)}'", done.stderr
    )
    assert not (tmp_path / "runs").exists()


def test_every_field_has_a_range_or_choices_and_every_recipe_keeps_them() -> None:
    for each in fields(Recipe):
        assert each.name == "name" or info_of(each).choices or info_of(each).minimum is not None
    for name in RECIPES:
        for network in ARCHITECTURES:
            make_recipe(name, network)


def test_help_describes_every_field_with_its_default_and_values() -> None:
    page = " ".join(CliRunner().invoke(main, ["train", "--help"], terminal_width=100).stdout.split())
    for each in fields(Recipe):
        if each.name != "name":
            _, _, text = page.partition(f"{flag(each.name)} ")
            assert re.match(r"([A-Z]+|\[[\w|]+\]) [A-Z][^\[]+\. \[default: ", text), each.name
    assert re.search(r"--rotation DEGREES [^\[]+\[default: \(12\.0\); 0<=x<=180\]", page)
    assert re.search(r"--optimizer \[adamw\|adam\|sgd\] [^\[]+\[default: \(adamw\)\]", page)


def test_a_fold_is_one_of_the_folds() -> None:
    assert replace(make_recipe("best", "vgg"), folds=2, fold=1) == make_recipe("best", "vgg", folds=2, fold=1)
    with pytest.raises(DataError, match="expected 0 to 1, with 2 folds"):
        make_recipe("best", "vgg", folds=2, fold=2)


def test_recipes_have_their_phases_and_refuse_unknown_values() -> None:
    assert next((p.name, p.epochs, p.rate) for p in RECIPES["seed"].phases()) == ("warmup", 20, 1e-3)
    assert RECIPES["seed"].phases()[-1].rate == 1e-5
    with pytest.raises(DataError, match="schedule"):
        make_recipe("best", "mobilenet_v2", schedule="sometimes")
    with pytest.raises(DataError, match="no epochs"):
        make_recipe("best", "mobilenet_v2", warmup_epochs=0, small_epochs=0, top_epochs=0, full_epochs=0)


@pytest.mark.parametrize(
    ("field", "value"), [("corruption", 0.0), ("corruption", 0.6), ("batch_size", 63), ("mixup", 0.2)]
)
def test_consistency_needs_two_views_of_each_face(field: str, value: float) -> None:
    make_recipe("robust", "mobilenet_v2", consistency=1.0)
    with pytest.raises(DataError, match=f"recipe field {field} is {value}; expected .* with consistency"):
        make_recipe("robust", "mobilenet_v2", **{"consistency": 1.0, field: value})


def test_class_weights_leave_the_mean_at_one(synthetic_csv: Path) -> None:
    train = load(synthetic_csv).split("train")
    for kind in ("none", "sqrt", "balanced"):
        assert class_weights(train.counts(), kind)[train.labels].mean() == pytest.approx(1)
