"""The log messages of the package, collected in a list."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class _Handler(logging.Handler):
    def __init__(self, take: Callable[[str], None]) -> None:
        super().__init__()
        self.take = take

    def emit(self, record: logging.LogRecord) -> None:
        self.take(record.getMessage())


@contextmanager
def logged(name: str = "fer_edge", also: Callable[[str], None] = lambda line: None) -> Iterator[list[str]]:
    """Collect a logger's messages of level INFO and above during the block; `also` is called with each."""
    messages: list[str] = []

    def take(line: str) -> None:
        messages.append(line)
        also(line)

    logger, handler = logging.getLogger(name), _Handler(take)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield messages
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
