"""Log lines and progress bars on stderr, and the status line that is overwritten in place."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import IO, Any, TextIO, TypeVar

import click

ERASE = "\x1b[K"
"""ECMA-48's erase in line, from the cursor on: a log line starts with it, over a status line that may stand there."""

LOGGER = "fer_edge"
"""The package's logger; each module has its own below it."""


SECONDS_BETWEEN_REPORTS = 60.0
"""How often long work logs its progress where stderr is no terminal."""

Item = TypeVar("Item")

_logger = logging.getLogger(__name__)


class _TerminalHandler(logging.StreamHandler[TextIO]):
    """Writes a record's message as one line to stderr, over a status line that may stand there.

    A stream handler, so that `logging_redirect_tqdm` finds it and takes its place while a progress bar is drawn.
    """

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]  # sys.stderr as it is now, as logging.lastResort has it
        """Standard error."""
        return sys.stderr

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


@contextmanager
def progress_bar(label: str, total: int) -> Iterator[Any]:
    """A progress bar on stderr; without a terminal, a log line a minute with the time left.

    Log lines that are written while the bar is drawn stand above it. The bar disappears when the block ends. Nothing is
    drawn or logged where the package's logger is silenced (-q).

    Args:
        label: What is being done, in front of the bar.
        total: The number of steps.

    Yields:
        The `tqdm.tqdm`: `update()` after a step, `set_description()` for another label.
    """
    from tqdm import tqdm  # here: it takes 50 ms, and `run` needs none
    from tqdm.contrib.logging import logging_redirect_tqdm

    interactive = is_interactive(sys.stderr)
    with (
        logging_redirect_tqdm([logging.getLogger(LOGGER)]) if interactive else nullcontext(),
        tqdm(
            total=total,
            desc=label,
            file=sys.stderr if interactive else _LogFile(),
            disable=not _logger.isEnabledFor(logging.INFO),
            leave=False,
            dynamic_ncols=interactive,
            miniters=1,
            mininterval=0.1 if interactive else SECONDS_BETWEEN_REPORTS,
            delay=0 if interactive else SECONDS_BETWEEN_REPORTS,
            bar_format=None if interactive else "{desc}: {n_fmt}/{total_fmt}{postfix}, {remaining} left",
        ) as bar,
    ):
        yield bar


def track(items: Iterable[Item], label: str, total: int) -> Iterator[Item]:
    """The items one by one, with a progress bar of that label and so many steps."""
    with progress_bar(label, total) as bar:
        for item in items:
            yield item
            bar.update()


class _LogFile:
    """What tqdm writes to where there is no terminal: a bar becomes a log line."""

    def write(self, text: str) -> None:
        line = text.strip()
        if line:
            _logger.info(line)

    def flush(self) -> None:
        pass
