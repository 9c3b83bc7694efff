"""Sweeps from TOML files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_edge.edge.errors import DataError
from fer_edge.train.recipe_files import FIELDS, open_recipe, write_recipe
from fer_edge.train.recipes import RECIPES, Recipe, checked, make_recipe
from fer_edge.train.sweep.definition import Choices, PrunerSettings, Range, Sweep, read_sweep

RATE = "full_rate = { low = 1e-4, high = 1e-2, log = true }"


def written(folder: Path, text: str, name: str = "mine.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_file_names_what_varies_and_how_it_is_searched(tmp_path: Path) -> None:
    assert read_sweep(written(tmp_path, f"[fields]\n{RATE}")) == Sweep(
        "mine", {"full_rate": Range(1e-4, 1e-2, None, True)}
    )
    text = """
    trials = 7
    objective = "val_accuracy"
    seed = 3
    storage = "postgresql://host/name"
    heartbeat = 5
    [pruner]
    kind = "hyperband"
    warmup = 2
    [fields]
    full_epochs = { low = 2, high = 8, step = 3 }
    label_smoothing = { low = 0, high = 0.3, step = 0.1 }
    optimizer = { choices = ["adamw", "sgd"] }
    mixup = { choices = [0, 0.2] }
    """
    fields = {
        "full_epochs": Range(2, 8, 3),
        "label_smoothing": Range(0.0, 0.3, 0.1),
        "optimizer": Choices(("adamw", "sgd")),
        "mixup": Choices((0.0, 0.2)),
    }
    expected = Sweep(
        "mine", fields, 7, "val_accuracy", 3, "postgresql://host/name", 5, PrunerSettings("hyperband", 5, 2)
    )
    assert read_sweep(written(tmp_path, text)) == expected


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "mine.toml varies nothing; expected a table [fields]"),
        ("[fields]", "varies nothing"),
        ("fields = 3", "fields = 3: expected a table"),
        ("trials = ", "is no TOML"),
        (f"trails = 5\n[fields]\n{RATE}", "trails is no key of a sweep; did you mean trials?"),
        (f"full_epochs = 5\n[fields]\n{RATE}", "a recipe's field belongs below [fields]"),
        (f"trials = 0\n[fields]\n{RATE}", "trials = 0: expected a whole number from 1"),
        (f"trials = true\n[fields]\n{RATE}", "trials = True: expected a whole number"),
        (f'objective = "loss"\n[fields]\n{RATE}', 'objective = "loss": expected val_loss, val_accuracy'),
        (f"storage = 5\n[fields]\n{RATE}", "storage: expected a SQLite file, or a database's URL"),
        (f'[pruner]\nkind = "mean"\n[fields]\n{RATE}', '[pruner] kind = "mean": expected median, hyperband, none'),
        (f'[pruner]\nkind = "none"\nwarmup = 2\n[fields]\n{RATE}', 'warmup = 2: kind = "none" has none'),
        (f"[pruner]\nstart = 2\n[fields]\n{RATE}", "start is no key of a sweep; did you mean startup?"),
        (
            "[fields]\nfull_rat = { low = 0.1, high = 1 }",
            "[fields] full_rat is no field of a recipe; did you mean full_rate?",
        ),
        (
            "[fields]\nkeep = { choices = ['loss', 'accuracy'] }",
            "keep cannot be varied: the objective selects the epoch",
        ),
        ("[fields]\nname = { choices = ['a', 'b'] }", "name cannot be varied"),
        ("[fields]\nfull_rate = 1e-3", "[fields] full_rate = 0.001: expected { low = …, high = … } or { choices"),
        ("[fields]\nfull_rate = {}", "full_rate = {}: expected"),
        ("[fields]\nfull_rate = { low = 1e-3 }", "full_rate: high is missing"),
        ("[fields]\nfull_rate = { low = 1, high = 0.1 }", "low = 1, high = 0.1; expected low below high"),
        ("[fields]\nfull_rate = { low = 0, high = 0.1, log = true }", "low = 0 has no logarithm"),
        ("[fields]\nfull_rate = { low = 1, high = 2, step = 1, log = true }", "step and log exclude each other"),
        ("[fields]\nfull_rate = { low = 0, high = 1, step = 0.3 }", "expected high a number of steps above low"),
        ("[fields]\nfull_rate = { low = 0, high = 1, step = nan }", "expected high a number of steps above low"),
        (
            "[fields]\nfull_rate = { low = -1, high = 0.1 }",
            "full_rate: recipe field full_rate is -1; expected a number from 0",
        ),
        ("[fields]\nerase = { low = 0, high = 2 }", "recipe field erase is 2; expected a number from 0 to 1"),
        ("[fields]\nfull_rate = { low = 0, high = inf }", "recipe field full_rate is inf"),
        ("[fields]\nfull_rate = { low = 0, high = 1, logs = true }", "logs is no key of a sweep; did you mean log?"),
        ("[fields]\nfull_rate = { low = 0, high = 1, log = 1 }", "log = 1: expected true or false"),
        ("[fields]\nfull_epochs = { low = 1.5, high = 3 }", "full_epochs low = 1.5: expected a whole number"),
        ("[fields]\nschedule = { low = 1, high = 3 }", "schedule is no number: expected { choices = […] }"),
        (
            "[fields]\nschedule = { choices = ['cosine', 'step'] }",
            "recipe field schedule is 'step'; expected cosine, constant",
        ),
        ("[fields]\nschedule = { choices = ['cosine'] }", "expected two or more different values"),
        ("[fields]\nmixup = { choices = [1, 1.0] }", "expected two or more different values"),
        ("[fields]\nmixup = { choices = 1 }", "choices = 1: expected a list"),
        ("[fields]\nmixup = { choices = [[1], 2] }", "mixup = [1]: expected a number"),
        ("[fields]\nmixup = { choices = [0, 1], low = 0 }", "low beside choices"),
        ("[fields]\nfull_epochs = { low = 1, high = 0x7fffffffffffffff }", "is no TOML"),
    ],
)
def test_what_is_no_sweep_is_one_line_that_names_file_and_key(
    text: str, line: str, tmp_path: Path, mistake: Callable[..., str]
) -> None:
    path = written(tmp_path, text)
    error = mistake("train", "mobilenet_v2", "--data", "none.csv", "--runs", tmp_path / "runs", "--sweep", path)
    assert line in error and "mine.toml" in error
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("all",), "--sweep with all"),
        (("vgg", "--resume"), "--sweep and --resume exclude each other"),
        (("vgg", "--full-rate", "0.1"), "--full-rate and [fields] full_rate"),
        (("vgg", "--keep", "accuracy"), "--keep accuracy: the objective"),
        (("vgg", "--recipe", "none.toml"), "none.toml cannot be read"),
        (("vgg", "--full-epochs", "0"), "the recipe has no epochs"),
    ],
)
def test_options_that_contradict_a_sweep_are_one_line(
    words: tuple[str, ...], line: str, tmp_path: Path, mistake: Callable[..., str]
) -> None:
    path = written(tmp_path, f"[fields]\n{RATE}")
    assert line in mistake("train", *words, "--data", "none.csv", "--runs", tmp_path / "runs", "--sweep", path)
    assert not (tmp_path / "runs").exists()


def test_a_missing_file_and_a_name_that_is_no_folder_are_one_line(tmp_path: Path, mistake: Callable[..., str]) -> None:
    words = ("train", "vgg", "--data", "none.csv", "--sweep")
    assert "none.toml cannot be read" in mistake(*words, tmp_path / "none.toml")
    assert "at most 64 characters" in mistake(*words, written(tmp_path, f"[fields]\n{RATE}", "a" * 65 + ".toml"))


def test_combinations_are_tried_until_one_makes_a_recipe() -> None:
    """With consistency, some faces have to be corrupted: no value of one field alone says so."""

    def make(**values: object) -> Recipe:
        return make_recipe("best", "vgg", **values)

    fields: dict[str, Range | Choices] = {"consistency": Choices((0.5, 1.0)), "corruption": Range(0.0, 0.5)}
    recipes = Sweep("a", fields).recipes(make)
    assert [each.corruption for each in recipes] == [0.5, 0.5]
    with pytest.raises(DataError, match=r"corruption is 0\.0; expected above 0"):
        Sweep("a", {"consistency": Choices((0.5, 1.0))}).recipes(make)


@given(
    base=st.sampled_from(sorted(RECIPES)),
    network=st.sampled_from(["mobilenet_v2", "vgg", "own"]),
    rate=st.floats(0, 1e6),
    epochs=st.integers(1, 10**6),
    name=st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=40),
)
def test_a_recipe_that_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, base: str, network: str, rate: float, epochs: int, name: str
) -> None:
    recipe = checked(
        replace(make_recipe(base, network), name=name, full_rate=rate, full_epochs=epochs, schedule="constant")
    )
    path = tmp_path_factory.getbasetemp() / "again.toml"
    write_recipe(path, recipe, base, network)
    assert open_recipe(str(path), network) == recipe
    assert set(FIELDS) >= {line.partition(" =")[0] for line in path.read_text().splitlines()[1:]}
