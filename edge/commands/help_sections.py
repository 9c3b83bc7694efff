"""A command with many options: in its help they stand under headings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

COLUMN = 30
"""Characters of the options' column that click's help allows."""


class SectionedCommand(click.Command):
    """headings: by the name of the parameter that comes first under each, in the order of the parameters."""

    def __init__(self, *args: Any, headings: Mapping[str, str], **extra: Any) -> None:
        super().__init__(*args, **extra)
        self.headings = headings

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One column for all sections; what comes before the first heading is under click's own."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        for parameter in self.get_params(ctx):
            record = None if isinstance(parameter, click.Argument) else parameter.get_help_record(ctx)
            if parameter.name in self.headings:
                sections[self.headings[parameter.name]] = []
            if record is not None:
                sections[next(reversed(sections))].append(record)
        widest = max((len(option) for lines in sections.values() for option, _ in lines), default=0)
        for heading, lines in sections.items():
            if lines:
                with formatter.section(heading):
                    formatter.write_dl([(option.ljust(min(widest, COLUMN)), text) for option, text in lines], COLUMN)
