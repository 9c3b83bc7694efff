"""The tables of `fer-edge.toml`, checked against the commands that they are named after.

Only the called command is imported; of the tables of other commands the names alone are checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click

from fer_edge.edge.config.file import UNCONFIGURED, read
from fer_edge.edge.config.lazy_group import joined
from fer_edge.edge.config.option_values import checked, options
from fer_edge.edge.errors import ConfigError, shortened


def settings(path: Path, root: click.Group, words: Sequence[str]) -> dict[str, Any]:
    """The file's values for one command, checked.

    Args:
        path: The file.
        root: The group of all commands.
        words: The command line from the command's name on; `bench latency …` is a command of a group.

    Returns:
        The values by parameter name, nested by command as click's default_map has them.

    Raises:
        ConfigError: The file cannot be read, a table or key is unknown, or an option does not take its value.
    """
    return _table(f"{path}:", "", _read_tables(path, root), root, None, joined(root, words))


def find_command(root: click.Context, words: Sequence[str]) -> click.Context:
    """The command that words name, such as ["bench", "latency"].

    Args:
        root: The context of the group of all commands.
        words: The command's name, after those of its groups.

    Returns:
        The context that it would run in, which knows the prefix of its environment variables.

    Raises:
        ConfigError: There is no such command, or it is a group.
    """
    context, command = root, root.command
    for word in joined(command, words):
        inner = command.get_command(context, word) if isinstance(command, click.Group) else None
        if inner is None:
            raise ConfigError(f"'{' '.join(words)}' is not a command; 'fer-edge --help' lists them")
        command, context = inner, click.Context(inner, context, word)
    if isinstance(command, click.Group):
        names = ", ".join(command.list_commands(context))
        raise ConfigError(f"'{' '.join(words)}' is a group of commands; name one of them: {names}")
    return context


def check_all(path: Path, root: click.Context) -> list[str]:
    """Check every table of the file, which imports the commands that they belong to.

    Args:
        path: The file.
        root: The context of the group of all commands.

    Returns:
        The tables' names, such as "run" and "bench.latency".

    Raises:
        ConfigError: As `settings`.
    """
    group, names = root.command, []
    assert isinstance(group, click.Group)
    tables = _read_tables(path, group)
    settings(path, group, [])
    for name, table in tables.items():
        is_group = isinstance(group.get_command(root, name), click.Group)
        for words in [[name, inner] for inner in table] if is_group else [[name]]:
            settings(path, group, words)
            names.append(".".join(words).replace(" ", "."))
    return names


def _read_tables(path: Path, root: click.Group) -> dict[str, Any]:
    """The file's tables by command: [convert.face-detector] is that of the command "convert face-detector"."""
    tables = read(path)
    for name in root.list_commands(click.Context(root)):
        first, _, second = name.partition(" ")
        outer = tables.get(first)
        if second and isinstance(outer, dict) and second in outer:
            tables[name] = outer.pop(second)
            if not outer:
                del tables[first]
    return tables


def _table(
    where: str,
    name: str,
    table: dict[str, Any],
    command: click.Command,
    parent: click.Context | None,
    words: Sequence[str],
) -> dict[str, Any]:
    """The table of a command, or of a group, which holds a table for each of its commands."""
    at = f"{where} [{name.replace(' ', '.')}]" if name else where
    context = click.Context(command, parent, command.name)
    if not isinstance(command, click.Group):
        known = options(command)
        for key in table:
            _check_name(key, known, f"{at} {shortened(key)} is not an option of 'fer-edge {name.replace('.', ' ')}'")
        rows = [(key, known[key], value) for key, value in table.items()]
        return {str(option.name): checked(f"{at} {key}", option, value, context) for key, option, value in rows}
    prefix = f"{name}." if name else ""
    names = [each for each in command.list_commands(context) if name or each not in UNCONFIGURED]
    for key, inner in table.items():
        if not isinstance(inner, dict):
            raise ConfigError(f"{at} {shortened(key)} = …: expected it in a command's table, such as [run]")
        _check_name(key, names, f"{where} [{prefix}{shortened(key)}] is not a command's table")
    called = next((word for word in words if not word.startswith("-")), "")
    inner_command = command.get_command(context, called) if called in table else None
    if inner_command is None:
        return {}
    rest = words[words.index(called) + 1 :]
    return {called: _table(where, prefix + called, table[called], inner_command, context, rest)}


def _check_name(name: str, known: Iterable[str], message: str) -> None:
    """ConfigError with the message and the nearest name where this one is not known."""
    names = list(known)
    if name in names:
        return
    if name.startswith("no-") and name[3:] in names:
        raise ConfigError(f"{message}; write {name[3:]} = false")
    near = get_close_matches(name.replace("_", "-"), names, 1)
    raise ConfigError(f"{message}; did you mean {near[0]}?" if near else f"{message}; expected {', '.join(names)}")
