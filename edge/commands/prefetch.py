"""Prefetch: work in a thread that runs ahead of the loop, so that inference goes on while a sink writes or draws."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, Full, Queue
from types import TracebackType
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

POLL = 0.05
"""Seconds between two checks of the thread whether it shall end, while it waits for room in the queue."""


class Prefetch(Generic[Item, Result]):
    """Iterates over (item, work(item)) in order, computed in a thread; no item is lost.

    An error in `items` or `work` is raised in the loop that takes the results. Closing waits for the current item.
    """

    def __init__(
        self,
        items: Iterable[Item],
        work: Callable[[Item], Result],
        depth: int = 2,
        stop: Callable[[], None] = lambda: None,
    ) -> None:
        """Start the thread.

        Args:
            items: What to work on.
            work: Called in the thread with each item.
            depth: Results that may wait to be taken.
            stop: Called on closing, to end a wait of `items` for the next one.
        """
        self._items, self._work, self._stop = items, work, stop
        self._results: Queue[tuple[Item, Result] | BaseException | None] = Queue(depth)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[tuple[Item, Result]]:
        while (result := self._results.get()) is not None:
            if isinstance(result, BaseException):
                raise result
            yield result

    def _run(self) -> None:
        try:
            for item in self._items:
                if self._closing.is_set() or not self._put((item, self._work(item))):
                    return
            self._put(None)
        except BaseException as error:  # raised again where the results are taken
            self._put(error)

    def _put(self, result: tuple[Item, Result] | BaseException | None) -> bool:
        """Queue a result; False where the queue was closed instead."""
        while not self._closing.is_set():
            try:
                self._results.put(result, timeout=POLL)
                return True
            except Full:
                continue
        return False

    def close(self, timeout: float = 10.0) -> None:
        """End the thread after the current item.

        Args:
            timeout: Seconds to wait for it; a thread that hangs is left behind, as a daemon.
        """
        self._closing.set()
        self._stop()
        try:
            while True:
                self._results.get_nowait()
        except Empty:
            self._thread.join(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
