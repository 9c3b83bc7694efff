"""Log lines on stderr, and the status line that is overwritten in place."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from typing import IO

import click

ERASE = "\x1b[K"
"""ECMA-48's erase in line, from the cursor on: a log line starts with it, over a status line that may stand there."""

LOGGER = "fer_edge"
"""The package's logger; each module has its own below it."""


class _TerminalHandler(logging.Handler):
    """Writes a record's message as one line to stderr, over a status line that may stand there."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(f"{erase(sys.stderr)}{record.getMessage()}", err=True)


def configure_logging(level: int = logging.INFO) -> None:
    """Log the package's records of this level and above to stderr; calling it again changes the level."""
    logger = logging.getLogger(LOGGER)
    logger.setLevel(level)
    if not any(isinstance(handler, _TerminalHandler) for handler in logger.handlers):
        logger.addHandler(_TerminalHandler())


def erase(stream: IO[str]) -> str:
    """What removes a status line before a line is written to this stream; nothing where it is no terminal."""
    return ERASE if is_interactive(stream) else ""


def is_interactive(stream: IO[str]) -> bool:
    """Whether the stream is a terminal on which a line can be overwritten."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def shows_status_line() -> bool:
    """Whether stderr is a terminal that can hold a status line, and progress is not silenced (-q)."""
    return logging.getLogger(LOGGER).isEnabledFor(logging.INFO) and is_interactive(sys.stderr)


def overwrite(line: str) -> None:
    """Show a status line on the terminal; the cursor stays at its start, so that the next line replaces it.

    The line may hold colours, which are left out where NO_COLOR is set (https://no-color.org).
    """
    width = shutil.get_terminal_size().columns - 1  # a full row would scroll
    if len(click.unstyle(line)) > width:
        line = click.unstyle(line)[:width]
    sys.stderr.write(f"\r{ERASE}{line}\r")
    sys.stderr.flush()


def colorize(text: str, colour: str, stream: IO[str]) -> str:
    """The text in one of click's colours, where the stream is a terminal and NO_COLOR is not set."""
    plain = os.environ.get("NO_COLOR") or not is_interactive(stream)
    return text if plain else click.style(text, fg=colour)
