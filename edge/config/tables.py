"""The tables of `fer-edge.toml` against the commands that they are named after.

No command is imported but the one that is called: of the others the tables' names alone are looked at.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click

from fer_edge.edge.config.file import UNCONFIGURED, read
from fer_edge.edge.config.option_values import checked, options
from fer_edge.edge.errors import ConfigError


def settings(path: Path, root: click.Group, words: list[str]) -> dict[str, Any]:
    """The file's values for one command, checked, nested as click's default_map wants them, by parameter names.

    words: the command line from the command's name on; `bench latency …` is a command of a group. Other commands'
    tables are checked by their names alone, so that none of them is imported. Raises ConfigError.
    """
    return _table(f"{path}:", "", read(path), root, None, words)


def _table(
    where: str, name: str, table: dict[str, Any], command: click.Command, parent: click.Context | None, words: list[str]
) -> dict[str, Any]:
    """The table of a command, or of a group, which holds a table for each of its commands."""
    at = f"{where} [{name}]" if name else where
    context = click.Context(command, parent, command.name)
    if not isinstance(command, click.Group):
        known = options(command)
        for key in table:
            _check_name(key, known, f"{at} {key} is no option of 'fer-edge {name.replace('.', ' ')}'")
        given = [(key, known[key], value) for key, value in table.items()]
        return {str(option.name): checked(f"{at} {key}", option, value, context) for key, option, value in given}
    prefix = f"{name}." if name else ""
    names = [each for each in command.list_commands(context) if name or each not in UNCONFIGURED]
    for key, inner in table.items():
        if not isinstance(inner, dict):
            raise ConfigError(f"{at} {key} = …: stands in no command's table, as in [run]")
        _check_name(key, names, f"{where} [{prefix}{key}] is no command's table")
    called = next((word for word in words if not word.startswith("-")), "")
    inner_command = command.get_command(context, called) if called in table else None
    if inner_command is None:
        return {}
    rest = words[words.index(called) + 1 :]
    return {called: _table(where, prefix + called, table[called], inner_command, context, rest)}


def _check_name(name: str, known: Iterable[str], told: str) -> None:
    """ConfigError with the nearest name where this one is not known."""
    names = list(known)
    if name in names:
        return
    if name.startswith("no-") and name[3:] in names:
        raise ConfigError(f"{told}; say {name[3:]} = false")
    near = get_close_matches(name.replace("_", "-"), names, 1)
    raise ConfigError(f"{told}; did you mean {near[0]}?" if near else f"{told}; there are {', '.join(names)}")
