"""`fer-edge config`: which file is in use, where each value comes from, and a file to start from."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from fer_edge.edge.cli import COMMANDS
from fer_edge.edge.config.click_options import Option
from fer_edge.edge.config.example import sample
from fer_edge.edge.config.file import NAME, UNCONFIGURED, find, places, read
from fer_edge.edge.config.option_values import as_toml, default, options
from fer_edge.edge.config.tables import settings
from fer_edge.edge.errors import ConfigError, redact

WIDTH = 100
"""Columns that the example's comments are folded to."""


@click.command()
@click.argument("words", metavar="[COMMAND]...", nargs=-1)
@click.option("--example", is_flag=True, help="Print a file made from the options, all of them in comments.")
@click.pass_context
def config(context: click.Context, words: tuple[str, ...], example: bool) -> None:
    """Show which file is in use and check all of it; with a COMMAND, the values that it would run with.

    `fer-edge config run`, `fer-edge config bench latency`; `fer-edge config --example > fer-edge.toml`. Without a
    COMMAND the example holds those that need nothing but the device's runtime.
    """
    root = context.find_root()
    if example:
        click.echo(example_file(root, list(words)), nl=False)
        return
    path = find(root.params["config"])
    if not words:
        _tell_file(path, root)
        return
    command, name = _command(root.command, words)
    set_there = settings(path, _group(root.command), list(words)) if path else {}
    for word in words:
        set_there = set_there.get(word, {})
    click.echo(f"# {path}" if path else "# no configuration file")
    click.echo(f"[{name}]")
    called = _context(root, list(words))
    for key, option in options(command).items():
        click.echo(_line(key, option, _effective(option, called, set_there, path)))


def example_file(root: click.Context, words: list[str]) -> str:
    """A file that sets nothing, with every option of a command, or of every command of the device's, in comments."""
    head = f"# {NAME}: what the command line says wins. Take away a # to set a value.\n"
    head += "# Looked for in the working folder, in ~/.config/fer-edge/ and in /etc/fer-edge/, or named by --config.\n"
    if words:
        command, name = _command(root.command, words)
        return head + "".join(_example_table(name, command))
    device = [
        name for name, (where, _) in COMMANDS.items() if where.startswith("fer_edge.edge.") and name not in UNCONFIGURED
    ]
    loaded = [(name, _group(root.command).get_command(root, name)) for name in device]
    return head + "".join(line for name, command in loaded if command for line in _example_table(name, command))


def _example_table(name: str, command: click.Command) -> Iterator[str]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            if found is not None:
                yield from _example_table(f"{name}.{inner}", found)
        return
    known = options(command)
    if not known:
        return
    yield f"\n[{name}]\n"
    for key, option in known.items():
        text = " ".join(part for part in ((option.help or "").strip(), _range(option)) if part)
        yield "".join(f"# {line}\n" for line in textwrap.wrap(text, WIDTH))
        yield f"#{key} = {_sample(key, option)}\n"


def _range(option: click.Option) -> str:
    """What a value must be, beyond its kind."""
    if isinstance(option.type, click.Choice):
        return f"One of {', '.join(map(str, option.type.choices))}."
    if isinstance(option.type, click.IntRange | click.FloatRange):
        kind = option.type
        least = "" if kind.min is None else f"{'more than' if kind.min_open else 'at least'} {kind.min:g}"
        most = "" if kind.max is None else f"{'less than' if kind.max_open else 'at most'} {kind.max:g}"
        limits = " and ".join(filter(None, (least, most)))
        return f"{limits.capitalize()}." if limits else ""
    return ""


def _sample(key: str, option: click.Option) -> str:
    """The built-in value, or where there is none one that the option takes."""
    value = default(option)
    return as_toml(sample(key, option) if value is None or value == () else value)


def _context(root: click.Context, words: list[str]) -> click.Context:
    """The context that the command named by the words would run in, which knows its environment variables' prefix."""
    context, command = root, root.command
    for word in words:
        found = _group(command).get_command(context, word)
        assert found is not None
        command = found
        context = click.Context(command, context, word)
    return context


def _effective(
    option: click.Option, context: click.Context, in_file: dict[str, Any], path: Path | None
) -> tuple[Any, str]:
    """An option's value without a command line, and where it comes from; ConfigError for a bad environment variable."""
    if option.resolve_envvar_value(context) is not None:
        name = _variable(option, context)
        try:
            return option.process_value(context, option.value_from_envvar(context)), name
        except click.BadParameter as error:
            raise ConfigError(f"{name}: {error.message.rstrip('.')}") from None
    if str(option.name) in in_file:
        return in_file[str(option.name)], str(path)
    return default(option), "default"


def _variable(option: click.Option, context: click.Context) -> str:
    """The name of the environment variable that gives the option its value."""
    own = [option.envvar] if isinstance(option.envvar, str) else list(option.envvar or ())
    return next((name for name in own if os.environ.get(name)), f"{context.auto_envvar_prefix}_{option.name}".upper())


def _line(key: str, option: click.Option, found: tuple[Any, str]) -> str:
    """A key with its effective value and where that comes from; one without a value is a comment."""
    value, origin = found
    if value is None or value == ():
        return f"#{key} is not set"
    if isinstance(option, Option) and option.secret:
        return f'{key} = "…"  # {origin}'
    return f"{key} = {redact(as_toml(value))}  # {origin}"


def _tell_file(path: Path | None, root: click.Context) -> None:
    if path is None:
        click.echo(f"no file: {', '.join(map(str, places()))} are looked for in this order")
        return
    tables = _checked_tables(path, root)
    click.echo(f"{path}: {', '.join(f'[{name}]' for name in tables) or 'sets nothing'}")


def _checked_tables(path: Path, root: click.Context) -> list[str]:
    """Check every table that the file has, importing the commands they belong to. Raises ConfigError."""
    group, tables = _group(root.command), read(path)
    settings(path, group, [])
    checked = []
    for name, table in tables.items():
        inner = group.get_command(root, name)
        if not isinstance(inner, click.Group):
            settings(path, group, [name])
            checked.append(name)
            continue
        for word in table:
            settings(path, group, [name, word])
            checked.append(f"{name}.{word}")
    return checked


def _command(command: click.Command, words: list[str] | tuple[str, ...]) -> tuple[click.Command, str]:
    """The command that the words name, and its table's name."""
    for word in words:
        found = command.get_command(click.Context(command), word) if isinstance(command, click.Group) else None
        if found is None:
            raise ConfigError(f"'{' '.join(words)}' is no command; 'fer-edge --help' lists them")
        command = found
    if isinstance(command, click.Group):
        inner = ", ".join(command.list_commands(click.Context(command)))
        raise ConfigError(f"'{' '.join(words)}' is a group; name one of its commands: {inner}")
    return command, ".".join(words)


def _group(command: click.Command) -> click.Group:
    assert isinstance(command, click.Group)
    return command
