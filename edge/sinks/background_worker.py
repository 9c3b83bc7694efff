"""Work done in a thread beside the loop, one piece at a time: what comes meanwhile is refused, never waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

Item = TypeVar("Item")


class BackgroundWorker(Generic[Item]):
    """Does `work(item)` for items that it accepts. An error in it is raised by the next `offer` or `close`."""

    def __init__(self, work: Callable[[Item], None], name: str) -> None:
        self._work = work
        self._items: SimpleQueue[tuple[Item] | None] = SimpleQueue()
        self._free = threading.Semaphore()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._go, name=name, daemon=True)
        self._thread.start()

    def offer(self, item: Item) -> bool:
        """Whether the item will be worked on: no while another one is. Returns at once."""
        self._raise()
        if not self._free.acquire(blocking=False):
            return False
        self._items.put((item,))
        return True

    def _go(self) -> None:
        while (item := self._items.get()) is not None:
            try:
                self._work(*item)
            except BaseException as error:  # it belongs to the loop
                self._error = error
            finally:
                self._free.release()

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def close(self, patience: float = 10.0) -> None:
        """End after the item in hand; a thread that hangs is left behind, as a daemon, after `patience` seconds."""
        self._items.put(None)
        self._thread.join(patience)
        self._raise()
