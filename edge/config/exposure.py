"""A configuration file with a token or a password in it that other users of the machine can read."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from fer_edge.edge.config.click_options import Option
from fer_edge.edge.config.file import read
from fer_edge.edge.config.option_values import options
from fer_edge.edge.config.tables import find_command
from fer_edge.edge.errors import redact


def exposed_secret(path: Path, root: click.Context, command: str = "run") -> str | None:
    """Find out whether others can read a secret in a configuration file.

    Args:
        path: The file, checked.
        root: The context of the group of all commands.
        command: The command whose table is looked at.

    Returns:
        A warning in one line; None where the file is its owner's alone, or holds no secret.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) or not mode & (stat.S_IRGRP | stat.S_IROTH):
        return None
    known = options(find_command(root, [command]).command)
    table: dict[str, Any] = read(path).get(command, {})
    keys = [key for key, value in table.items() if _is_secret(known[key], value)]
    if not keys:
        return None
    return f"other users can read {' and '.join(keys)} in {path}, which holds a secret: chmod 600 {path}"


def _is_secret(option: click.Option, value: Any) -> bool:
    """Whether a value is a token, or an address with a password in it."""
    if isinstance(option, Option) and option.secret:
        return True
    return any("@" in text and redact(text) != text for text in _texts(value))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, str):
        yield value
