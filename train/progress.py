"""How far long work has come, with the time left: a bar on a terminal, a line a minute elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Self

import click

SECONDS_BETWEEN_LINES = 60.0


def say(text: str) -> None:
    """Progress goes to stderr, results to stdout."""
    click.echo(text, err=True)


class Progress:
    """Called with (label, steps done, steps in all); `say` writes a line without tearing the bar."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._done = 0
        self._began = self._told = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._finish()

    def __call__(self, label: str, done: int, total: int) -> None:
        if done == 1 or done < self._done:
            self._finish()
            self._began = self._told = time.monotonic()
        if sys.stderr.isatty():
            self._draw(label, done, total)
        elif time.monotonic() - self._told >= SECONDS_BETWEEN_LINES:
            self._told = time.monotonic()
            left = (self._told - self._began) / done * (total - done)
            say(f"  {label}: {done}/{total}, about {left / 60:.0f} min left")
        self._done = done

    def say(self, line: str) -> None:
        """A line of its own, such as a finished epoch's."""
        self._finish()
        say(line)

    def _draw(self, label: str, done: int, total: int) -> None:
        if self._bar is None:
            self._bar = click.progressbar(length=total, file=sys.stderr, show_pos=True)
            self._bar.__enter__()
            self._done = 0
        self._bar.label = label
        self._bar.update(done - self._done)

    def _finish(self) -> None:
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
            self._bar = None
        self._done = 0
