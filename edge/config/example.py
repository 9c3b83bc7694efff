"""An example of `fer-edge.toml`: every option with its help, all of them in comments."""

from __future__ import annotations

import secrets
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import click

from fer_edge.edge.config.click_options import Option
from fer_edge.edge.config.click_types import is_unlimited
from fer_edge.edge.config.file import NAME
from fer_edge.edge.config.option_values import as_toml, default, options
from fer_edge.edge.config.tables import find_command

WIDTH = 100
"""Columns that comments are folded to."""

DEVICE_COMMANDS = ("run", "predict", "cameras", "models", "service")
"""Commands that need the device's runtime alone; an example without a command's name has their tables."""


def example_file(root: click.Context, words: Sequence[str] = ()) -> str:
    """An example file that sets nothing.

    Args:
        root: The context of the group of all commands.
        words: A command's name; those of the device where empty.

    Returns:
        The file's text.

    Raises:
        ConfigError: There is no such command, or it is a group.
    """
    head = f"# {NAME}: the command line and the environment go before it. Remove a # to set a value.\n"
    head += "# Looked for in the working folder, in ~/.config/fer-edge/ and in /etc/fer-edge/, or named by --config.\n"
    if words:
        return head + "".join(_table(".".join(words), find_command(root, words).command))
    assert isinstance(root.command, click.Group)
    commands = [(name, root.command.get_command(root, name)) for name in DEVICE_COMMANDS]
    return head + "".join(line for name, command in commands if command for line in _table(name, command))


def sample(key: str, option: click.Option) -> Any:
    """A value for an option that has no default.

    Args:
        key: The option's key.
        option: The option.

    Returns:
        Its example, or where it has none the first value that it allows, or its name.
    """
    if isinstance(option, Option) and option.secret:
        return secrets.token_urlsafe(24)  # a constant here would be everybody's token
    if isinstance(option, Option) and option.example is not None:
        return option.example
    if option.multiple:
        return []
    kind = option.type
    if isinstance(kind, click.Choice):
        return str(kind.choices[0])
    if isinstance(kind, click.IntRange | click.FloatRange):
        return _smallest(kind)
    if isinstance(kind, click.types.BoolParamType):
        return False
    return 0 if isinstance(kind, click.types.IntParamType | click.types.FloatParamType) else key.upper()


def _table(name: str, command: click.Command) -> Iterator[str]:
    """The table of a command, or of each command of a group, but for those that another room provides."""
    if isinstance(command, click.Group):
        for inner_name, inner in command.commands.items():
            yield from _table(f"{name}.{inner_name}", inner)
        return
    known = options(command)
    if not known:
        return
    yield f"\n[{name}]\n"
    for key, option in known.items():
        text = " ".join(part for part in ((option.help or "").strip(), _limits(option)) if part)
        yield "".join(f"# {line}\n" for line in textwrap.wrap(text, WIDTH))
        value = default(option)
        yield f"#{key} = {as_toml(sample(key, option) if value is None or value == () else value)}\n"


def _limits(option: click.Option) -> str:
    """A sentence with what a value must be, beyond its kind."""
    if isinstance(option.type, click.Choice):
        names = ", ".join(map(str, option.type.choices))
        return "" if names in (option.help or "") else f"One of {names}."
    if isinstance(option.type, click.IntRange | click.FloatRange):
        kind = option.type
        low = "" if is_unlimited(kind.min) else f"{'more than' if kind.min_open else 'at least'} {kind.min:.10g}"
        high = "" if is_unlimited(kind.max) else f"{'less than' if kind.max_open else 'at most'} {kind.max:.10g}"
        limits = " and ".join(filter(None, (low, high)))
        return f"{limits.capitalize()}." if limits else ""
    return ""


def _smallest(kind: click.IntRange | click.FloatRange) -> float:
    """The least number of a range, 0 where there is none; where it is left out, halfway to the greatest, or 1 more."""
    low = 0 if is_unlimited(kind.min) else kind.min or 0
    if not kind.min_open:
        return low
    return low + 1 if is_unlimited(kind.max) or isinstance(kind, click.IntRange) else (low + (kind.max or 0)) / 2
