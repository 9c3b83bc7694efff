"""What is told on stderr while a command runs, how much of it, and the line that is overwritten in place."""

from __future__ import annotations

import os
import shutil
import sys
from typing import IO

import click

QUIET, NORMAL, VERBOSE = -1, 0, 1

ERASE = "\x1b[K"
"""ECMA-48's erase in line, from the cursor on: what is told starts with it, over a status line that may stand there."""

_verbosity = NORMAL


def set_verbosity(level: int) -> None:
    """QUIET, NORMAL or VERBOSE, for the whole process, as a logger's level is."""
    global _verbosity
    _verbosity = level


def say(line: str, level: int = NORMAL) -> None:
    """A line on stderr, where that much is wanted."""
    if level <= _verbosity:
        click.echo(f"{erase(sys.stderr)}{line}", err=True)


def erase(stream: IO[str]) -> str:
    """What removes a status line before a line is written to this stream; nothing where it is no terminal."""
    return ERASE if is_interactive(stream) else ""


def is_interactive(stream: IO[str]) -> bool:
    """Whether the stream is a terminal on which a line can be overwritten."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def status_wanted() -> bool:
    """Whether a status line has a terminal to stand on, and is not asked to keep quiet."""
    return _verbosity > QUIET and is_interactive(sys.stderr)


def overwrite(line: str) -> None:
    """Show a line on the terminal with the cursor left at its start, so that whatever comes next stands in its place.

    The line may hold colours, which are left out where NO_COLOR is set (https://no-color.org).
    """
    width = shutil.get_terminal_size().columns - 1  # a full row would scroll
    if len(click.unstyle(line)) > width:
        line = click.unstyle(line)[:width]
    sys.stderr.write(f"\r{ERASE}{line}\r")
    sys.stderr.flush()


def colorize(text: str, colour: str, stream: IO[str]) -> str:
    """The text in a colour of click's, where the stream is a terminal and NO_COLOR is not set."""
    plain = os.environ.get("NO_COLOR") or not is_interactive(stream)
    return text if plain else click.style(text, fg=colour)
