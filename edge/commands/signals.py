"""Graceful shutdown: Ctrl-C, SIGTERM and SIGHUP end a run without breaking what is being written."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator
from time import sleep
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

INTERRUPT_AT = 3
"""The number of signals from which even an output in progress is interrupted."""


class Interrupted(KeyboardInterrupt):
    """A signal that interrupts at once; of a class of its own for the reason that `program.interrupts` has one."""


class GracefulShutdown:
    """Turns signals into a request to end: at once while waiting for a result, else after the current one.

    No sink is interrupted in the middle of a line or a video frame; the third signal interrupts anything. The handlers
    hold within a `with` block, in the main thread alone, where Python runs them. Before the first wait for a result
    there is nothing to finish: the block then ends with SystemExit, and 128 and the signal's number as exit code.

    Attributes:
        requested: Signals so far.
    """

    def __init__(self) -> None:
        self.requested = 0
        self._last: int = signal.SIGINT
        self._waiting = True  # nothing needs finishing before the first frame
        self._started = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:  # ignored under nohup
                    self._previous[number] = signal.signal(number, self._handle)
        return self

    def _handle(self, number: int, at: FrameType | None) -> None:
        self.requested += 1
        self._last = number
        if self._waiting or self.requested >= INTERRUPT_AT:
            raise Interrupted

    def results_until_signal(self, results: Iterable[T]) -> Iterator[T]:
        """Iterate over results until they end or a signal comes.

        Args:
            results: What to iterate over; a signal interrupts the wait for the next one.

        Yields:
            The results.
        """
        iterator = iter(results)
        self._started = True
        while not self.requested:
            try:
                self._waiting = True
                result = next(iterator)
            except (KeyboardInterrupt, StopIteration):
                return
            finally:
                self._waiting = False
            yield result

    def wait(self) -> None:
        """Wait for a signal."""
        try:
            self._waiting = True
            while not self.requested:
                sleep(1.0)
        except KeyboardInterrupt:
            return
        finally:
            self._waiting = False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        if kind is not None and self.requested and not self._started:  # whatever an import made of the signal
            raise SystemExit(128 + self._last) from None
        return kind is not None and issubclass(kind, KeyboardInterrupt) and self.requested < INTERRUPT_AT
