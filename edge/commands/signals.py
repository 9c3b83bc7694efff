"""Ctrl-C, SIGTERM and SIGHUP as a wish to end a run, without breaking what is being written."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator
from time import sleep
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")


class GracefulShutdown:
    """SIGINT, SIGTERM and SIGHUP as a wish to end: at once while waiting for a result, else after this one.

    So no sink is interrupted in the middle of a line or a video frame. A third signal interrupts anything.
    """

    def __init__(self) -> None:
        self.requested = 0
        self._waiting = True  # nothing needs finishing before the first frame
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(number) is not signal.SIG_IGN:  # nohup's wish
                    self._before[number] = signal.signal(number, self._heard)
        return self

    def _heard(self, number: int, at: FrameType | None) -> None:
        self.requested += 1
        if self._waiting or self.requested >= 3:
            raise KeyboardInterrupt

    def waiting(self, results: Iterable[T]) -> Iterator[T]:
        """The results until they end or a signal comes."""
        coming = iter(results)
        while not self.requested:
            try:
                self._waiting = True
                result = next(coming)
            except (KeyboardInterrupt, StopIteration):
                return
            finally:
                self._waiting = False
            yield result

    def wait(self) -> None:
        """Until a signal comes."""
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
        for number, handler in self._before.items():
            signal.signal(number, handler)
        return kind is KeyboardInterrupt and self.requested < 3
