"""Recipes of a user's own: TOML files with the fields that differ from a named recipe's."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from fer_edge.edge.config.click_options import info_of
from fer_edge.edge.errors import DataError, shortened
from fer_edge.edge.files.documents import read_toml
from fer_edge.edge.files.writing import write_bytes
from fer_edge.train.recipes import RECIPES, Recipe, make_recipe

SUFFIX = ".toml"

BASE = "base"
"""The key that names the recipe whose fields are the file's defaults."""

MAX_NAME = 64
"""Characters of a recipe's name, which stands in tables."""

_KINDS = {"int": "a whole number", "float": "a number", "str": "a text"}
FIELDS = {each.name: each for each in fields(Recipe)}
"""The fields of a recipe by name."""


def open_recipe(recipe: str, network: str, **overrides: object) -> Recipe:
    """The recipe of a name or a file, for a network.

    Args:
        recipe: A key of RECIPES, or a .toml file.
        network: The network: 'best' differs for some.
        **overrides: Values of fields that replace the recipe's.

    Raises:
        DataError: There is no such recipe, the file is damaged or has a key or value that no recipe has, or the fields
            contradict each other.
    """
    if not recipe.endswith(SUFFIX):
        if recipe not in RECIPES:
            names = ", ".join(RECIPES)
            raise DataError(f"unknown recipe '{shortened(recipe)}'; expected {names}, or a {SUFFIX} file")
        return make_recipe(recipe, network, **overrides)
    path = Path(recipe)
    base, values = _read(path)
    try:
        return make_recipe(base, network, **{**values, **overrides})
    except DataError as error:
        if any(f"field {key} " in str(error) for key in overrides):  # the command line's, not the file's
            raise
        raise DataError(f"{path}: {error}") from None


def base_of(recipe: str) -> str:
    """The named recipe that a name or a file stands for or starts from. Raises DataError."""
    return _read(Path(recipe))[0] if recipe.endswith(SUFFIX) else recipe


def write_recipe(path: Path, recipe: Recipe, base: str, network: str) -> None:
    """Write a file that `open_recipe` makes the same recipe of, completely or not at all.

    Args:
        path: The .toml file.
        recipe: The recipe.
        base: The named recipe that the file starts from.
        network: The network that it is for.

    Raises:
        SinkError: The file cannot be written.
    """
    start = replace(make_recipe(base, network), name="")
    values = {key: value for key, value in vars(recipe).items() if value != getattr(start, key)}
    lines = [f"{key} = {_toml(value)}" for key, value in {BASE: base, **values}.items()]
    write_bytes(path, ("\n".join(lines) + "\n").encode())


def _toml(value: Any) -> str:
    """A field's value in TOML, whose texts are those of JSON."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    """The named recipe that a file starts from, and its own values by field. Raises DataError."""
    try:
        table = read_toml(path)
    except OSError as error:
        raise DataError(f"--recipe {path} cannot be read: {error.strerror}; expected a {SUFFIX} file") from None
    except ValueError as error:
        raise DataError(f"--recipe {path} is no TOML: {error}") from None
    base = table.pop(BASE, "best")
    if base not in RECIPES:
        raise DataError(f"{path}, {BASE} = {quoted(base)}: expected {', '.join(RECIPES)}")
    for key, value in table.items():
        check_field(f"{path}, {shortened(key)}", key, value)
    return str(base), {"name": path.stem[:MAX_NAME], **{key: _value(key, value) for key, value in table.items()}}


def check_field(where: str, key: str, value: Any) -> None:
    """Check that a key is a recipe's field, and its value of the field's type.

    Args:
        where: What the value stands for, for error messages.
        key: The key.
        value: The value, as TOML has it.

    Raises:
        DataError: It is not.
    """
    if key not in FIELDS:
        near = get_close_matches(key.replace("-", "_"), [BASE, *FIELDS], 1)
        hint = f"did you mean {near[0]}?" if near else "'fer-edge train --help' lists them, with _ for -"
        raise DataError(f"{where} is no field of a recipe; {hint}")
    kind = str(FIELDS[key].type)
    accepted: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "str": (str,)}
    named = key != "name" or (isinstance(value, str) and value.isprintable() and 0 < len(value) <= MAX_NAME)
    if not isinstance(value, accepted[kind]) or isinstance(value, bool) or not named:
        choices = info_of(FIELDS[key]).choices
        expected = f"one of {', '.join(choices)}" if choices else _KINDS[kind]
        if key == "name":
            expected += f" of 1 to {MAX_NAME} characters"
        raise DataError(f"{where} = {quoted(value)}: expected {expected}")


def _value(key: str, value: Any) -> Any:
    """The value as the field has it: 1 is 1.0 for a number with a fraction."""
    return float(value) if FIELDS[key].type == "float" else value


def quoted(value: Any) -> str:
    """A value of a TOML file in an error message, short and in quotes where it is a text."""
    return f'"{shortened(value)}"' if isinstance(value, str) else shortened(value)
