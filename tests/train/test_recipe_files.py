"""Recipes from TOML files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_edge.edge.errors import DataError
from fer_edge.train.recipe_files import open_recipe
from fer_edge.train.recipes import RECIPES, Recipe, make_recipe


def written(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text)
    return str(path)


def test_a_file_names_what_differs_and_the_command_line_goes_before_it(tmp_path: Path) -> None:
    path = written(tmp_path, 'base = "distill"\nfull_epochs = 60\nfull_rate = 1\nkeep = "loss"\n')
    recipe = open_recipe(path, "vgg", full_epochs=3)
    assert recipe == make_recipe("distill", "vgg", name="mine", full_epochs=3, full_rate=1.0, keep="loss")
    assert isinstance(recipe.full_rate, float)
    assert open_recipe(written(tmp_path, ""), "vgg") == make_recipe("best", "vgg", name="mine")
    assert open_recipe("seed", "vgg") == RECIPES["seed"]


def test_a_file_with_every_field_is_that_recipe(tmp_path: Path) -> None:
    lines = [f"{key} = {value!r}" for key, value in asdict(RECIPES["robust"]).items()]
    assert open_recipe(written(tmp_path, "\n".join(lines)), "mobilenet_v2") == RECIPES["robust"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("full_epoch = 3", "full_epoch is no field of a recipe; did you mean full_epochs?"),
        ("full-epochs = 3", "did you mean full_epochs?"),
        ("whatever = 3", "whatever is no field"),
        ("full_epochs = 3.5", "full_epochs = 3.5: expected a whole number"),
        ("full_epochs = true", "full_epochs = True: expected a whole number"),
        ('full_rate = "fast"', 'full_rate = "fast": expected a number'),
        ("schedule = 1", "schedule = 1: expected one of cosine, constant"),
        ('schedule = "step"', "recipe field schedule is 'step'; expected cosine, constant"),
        ("seed = -1", "recipe field seed is -1; expected a number from 0"),
        ("full_rate = inf", "recipe field full_rate is inf"),
        ('base = "bset"', 'base = "bset": expected best,'),
        ("base = 1", "base = 1: expected best,"),
        ('name = ""', 'name = "": expected a text of 1 to 64'),
        ("[recipe]\nseed = 1", "recipe is no field of a recipe"),
        ("seed = ", "is no TOML"),
    ],
)
def test_what_is_no_recipe_is_one_line_that_names_file_and_key(
    text: str, line: str, tmp_path: Path, mistake: Callable[..., str]
) -> None:
    path = written(tmp_path, text)
    message = mistake("train", "vgg", "--data", "missing.csv", "--recipe", path, "--runs", tmp_path / "runs")
    assert path in message and line in message
    assert not (tmp_path / "runs").exists()


def test_the_command_lines_own_mistake_does_not_name_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, "folds = 2")
    with pytest.raises(DataError, match=r"^recipe field fold is 5"):
        open_recipe(path, "vgg", fold=5)


def test_no_such_recipe_is_one_line(tmp_path: Path, mistake: Callable[..., str]) -> None:
    words = ("train", "vgg", "--data", "missing.csv", "--recipe")
    assert "expected best, seed," in mistake(*words, "bset")
    assert "cannot be read: No such file" in mistake(*words, tmp_path / "none.toml")


@given(
    key=st.sampled_from([each.name for each in fields(Recipe)]),
    value=st.sampled_from(["1", "-1", "0.5", "nan", "true", '"x"', "[]", "{}", "1979-05-27", "100000000000000000"]),
)
def test_any_value_is_a_recipe_or_an_error(tmp_path_factory: pytest.TempPathFactory, key: str, value: str) -> None:
    path = written(tmp_path_factory.mktemp("recipe"), f"{key} = {value}")
    try:
        found: object = getattr(open_recipe(path, "mobilenet_v2"), key)
    except DataError as error:
        found = str(error)
    assert isinstance(found, type(getattr(RECIPES["best"], key))) or (path in str(found) and "\n" not in str(found))
