"""A command group that imports a command only when it is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class LazyGroup(click.Group):
    """A click group with commands from other modules, which are listed and completed without importing them.

    Attributes:
        lazy: "module:attribute" and help line of each of these commands by name, in the order of the help text; they
            stand behind the group's own commands. A name of two words, such as "convert face-detector", goes before a
            command of the first word alone.
    """

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str]], **extra: Any) -> None:
        super().__init__(*args, **extra)
        self.lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command's name."""
        return [*super().list_commands(ctx), *self.lazy]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported where it is lazy; None where there is none of that name."""
        if cmd_name not in self.lazy:
            return super().get_command(ctx, cmd_name)
        module, attribute = self.lazy[cmd_name][0].split(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The name of the command that the words begin with, the command, and the other words."""
        return super().resolve_command(ctx, joined(self, args))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names with help lines; click's own would import every command for them."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        from click.shell_completion import CompletionItem

        lines = self._help_lines(ctx).items()
        return [
            CompletionItem(name, help=line) for name, line in lines if name.startswith(incomplete) and " " not in name
        ]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands in the help text."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._help_lines(ctx).items()))

    def _help_lines(self, ctx: click.Context) -> dict[str, str]:
        own = {name: self.commands[name].get_short_help_str(limit=100) for name in super().list_commands(ctx)}
        return own | {name: line for name, (_, line) in self.lazy.items()}


def joined(group: click.Command, words: Sequence[str]) -> list[str]:
    """Write the name of a command as one word.

    Args:
        group: The group of the command.
        words: A command line from the command's name on, such as ["convert", "face-detector", "--help"].

    Returns:
        The words, with the first two in one where they are the name of one of the group's commands.
    """
    name = " ".join(words[:2])
    return [name, *words[2:]] if isinstance(group, LazyGroup) and name in group.lazy else list(words)
