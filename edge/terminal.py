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
"""ECMA-48's "erase in line" from the cursor on: with it a log line replaces a status line."""

LOGGER = "fer_edge"
"""The package's logger; each module has its own below it."""

REPORT_INTERVAL = 60.0
"""Seconds between two log lines of a long job's progress where stderr is not a terminal."""

MAX_LINE = 900
"""Characters of a line on stderr; a value that somebody else has written may have any number."""

Item = TypeVar("Item")

_logger = logging.getLogger(__name__)


class _TerminalHandler(logging.StreamHandler[TextIO]):
    """Writes a record's message as one line to stderr, over the status line.

    A stream handler, so that `logging_redirect_tqdm` finds it and takes its place while a progress bar is drawn.
    """

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self.setFormatter(_OneLineFormatter())

    @property
    def stream(self) -> TextIO:  # type: ignore[override]  # sys.stderr as it is now, as logging.lastResort has it
        """Standard error."""
        return sys.stderr

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(f"{erase(sys.stderr)}{self.format(record)}", err=True)


class _OneLineFormatter(logging.Formatter):
    """A record's message as one line."""

    def format(self, record: logging.LogRecord) -> str:
        return one_line(record.getMessage())


def configure_logging(level: int = logging.INFO) -> None:
    """Log the package's records to stderr; calling it again changes the level.

    Args:
        level: Least level that is logged, as in `logging`.
    """
    logger = logging.getLogger(LOGGER)
    logger.setLevel(level)
    if not any(isinstance(handler, _TerminalHandler) for handler in logger.handlers):
        logger.addHandler(_TerminalHandler())
    logger.propagate = False  # absl gives the root logger a handler, with which each line would be there twice


def one_line(text: str) -> str:
    """A text with names of files or devices in it as one line that a terminal shows and does not obey.

    Args:
        text: The text; line ends, escape sequences and bytes that are no UTF-8 may be in it.

    Returns:
        The text with \\x1b, \\x0a and the like for what cannot be printed, without its middle if it is very long.
    """
    if len(text) > MAX_LINE:
        text = f"{text[: MAX_LINE * 2 // 3]} … {text[-MAX_LINE // 3 :]}"
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    """A character as an escape sequence; a byte that is no UTF-8, which Python has as U+DC80 and up, as its value."""
    code = ord(character) - (0xDC00 if "\udc80" <= character <= "\udcff" else 0)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def erase(stream: IO[str]) -> str:
    """The control sequence to write before a line, so that it replaces the status line; '' without a terminal."""
    return ERASE if is_interactive(stream) else ""


def is_interactive(stream: IO[str]) -> bool:
    """Whether the stream is a terminal that can overwrite a line."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def shows_status_line() -> bool:
    """Whether stderr can show a status line, and progress is not silenced (-q)."""
    return logging.getLogger(LOGGER).isEnabledFor(logging.INFO) and is_interactive(sys.stderr)


def overwrite(line: str) -> None:
    """Show a status line on stderr; the cursor stays at its start, so that the next line replaces it.

    Args:
        line: The line, with colours or without; it is cut, and loses its colours, where the terminal is narrower.
    """
    width = shutil.get_terminal_size().columns - 1  # a full row would scroll
    if len(click.unstyle(line)) > width:
        line = click.unstyle(line)[:width]
    sys.stderr.write(f"\r{ERASE}{line}\r")
    sys.stderr.flush()


def colorize(text: str, colour: str, stream: IO[str]) -> str:
    """Colour a text, unless the stream is not a terminal or NO_COLOR is set (https://no-color.org).

    Args:
        text: The text.
        colour: One of click's colours, `red` for example.
        stream: Where it will be written.
    """
    plain = os.environ.get("NO_COLOR") or not is_interactive(stream)
    return text if plain else click.style(text, fg=colour)


@contextmanager
def progress_bar(label: str, total: int) -> Iterator[Any]:
    """A progress bar on stderr; without a terminal, a log line a minute with the time left.

    Log lines that are written while the bar is drawn stand above it. The bar disappears when the block ends. Nothing is
    drawn or logged where the package's logger is silenced (-q).

    Args:
        label: Name of the job, in front of the bar.
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
            mininterval=0.1 if interactive else REPORT_INTERVAL,
            delay=0 if interactive else REPORT_INTERVAL,
            bar_format=None if interactive else "{desc}: {n_fmt}/{total_fmt}{postfix}, {remaining} left",
        ) as bar,
    ):
        yield bar


def track(items: Iterable[Item], label: str, total: int) -> Iterator[Item]:
    """Iterate over items with a progress bar; `total` is their number."""
    with progress_bar(label, total) as bar:
        for item in items:
            yield item
            bar.update()


class _LogFile:
    """A file for tqdm where there is no terminal: each bar becomes a log line."""

    def write(self, text: str) -> None:
        line = text.strip()
        if line:
            _logger.info(line)

    def flush(self) -> None:
        pass
