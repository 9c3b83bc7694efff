"""Work done in a thread ahead of whoever takes its results: inference goes on while a sink writes or draws."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, Full, Queue
from types import TracebackType
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

POLL = 0.05
"""Seconds after which a thread that waits for room looks whether it is still wanted."""


class Prefetch(Generic[Item, Result]):
    """Iterates over (item, work(item)) in order; nothing is lost, and the thread is at most `room` results ahead.

    An error in items or work is raised where the results are taken. Closing waits for the item in hand.
    stop: called on closing, ends a wait of the items for their next one.
    """

    def __init__(
        self,
        items: Iterable[Item],
        work: Callable[[Item], Result],
        room: int = 2,
        stop: Callable[[], None] = lambda: None,
    ) -> None:
        self._items, self._work, self._stop = items, work, stop
        self._done: Queue[tuple[Item, Result] | BaseException | None] = Queue(room)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._go, name="inference", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[tuple[Item, Result]]:
        while (done := self._done.get()) is not None:
            if isinstance(done, BaseException):
                raise done
            yield done

    def _go(self) -> None:
        try:
            for item in self._items:
                if self._closing.is_set() or not self._put((item, self._work(item))):
                    return
            self._put(None)
        except BaseException as error:  # it belongs to whoever takes the results
            self._put(error)

    def _put(self, done: tuple[Item, Result] | BaseException | None) -> bool:
        while not self._closing.is_set():
            try:
                self._done.put(done, timeout=POLL)
                return True
            except Full:
                continue
        return False

    def close(self, patience: float = 10.0) -> None:
        """End the thread after the item in hand; one that hangs is left behind, as a daemon, after `patience` s."""
        self._closing.set()
        self._stop()
        try:
            while True:
                self._done.get_nowait()
        except Empty:
            self._thread.join(patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
