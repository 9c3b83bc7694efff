"""What the package's loggers report, as a list that grows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class _Messages(logging.Handler):
    def __init__(self, take: Callable[[str], None]) -> None:
        super().__init__()
        self.take = take

    def emit(self, record: logging.LogRecord) -> None:
        self.take(record.getMessage())


@contextmanager
def logged(name: str = "fer_edge", also: Callable[[str], None] = lambda line: None) -> Iterator[list[str]]:
    """The messages of a logger at level INFO and above, while the block runs; `also` takes each as it comes."""
    messages: list[str] = []

    def take(line: str) -> None:
        messages.append(line)
        also(line)

    logger, handler = logging.getLogger(name), _Messages(take)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield messages
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
