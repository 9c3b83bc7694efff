"""Every command of `fer-edge`, for tests that hold for each of them."""

from __future__ import annotations

from collections.abc import Iterator

import click


def every_command(
    group: click.Group, context: click.Context | None = None, names: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command below a group, with the words that call it; the rooms' libraries must be installed."""
    context = context or click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        words = (*names, *name.split())
        if isinstance(command, click.Group):
            yield from every_command(command, click.Context(command, context), words)
        else:
            yield words, command
