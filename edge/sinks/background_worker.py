"""A worker thread beside the run's loop that handles one item at a time and never makes the loop wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

Item = TypeVar("Item")


class BackgroundWorker(Generic[Item]):
    """Calls `work(item)` in a thread for each item that it accepts.

    An error in `work` is raised by the next `submit` or `close`.

    Args:
        work: What is done with an item.
        name: The thread's name.
    """

    def __init__(self, work: Callable[[Item], None], name: str) -> None:
        self._work = work
        self._items: SimpleQueue[tuple[Item] | None] = SimpleQueue()
        self._busy = threading.Lock()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether an item is being handled."""
        return self._busy.locked()

    def submit(self, item: Item) -> bool:
        """Hand over an item, without waiting.

        Returns:
            False if the worker is busy; the item is dropped then.
        """
        self._raise_error()
        if not self._busy.acquire(blocking=False):
            return False
        self._items.put((item,))
        return True

    def _loop(self) -> None:
        while (item := self._items.get()) is not None:
            try:
                self._work(*item)
            except BaseException as error:  # raised in the loop's thread, by `submit` or `close`
                self._error = error
            finally:
                self._busy.release()

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def close(self, timeout: float = 10.0) -> None:
        """End the thread after the current item.

        Args:
            timeout: Seconds after which a thread that hangs is left behind, as a daemon.
        """
        self._items.put(None)
        self._thread.join(timeout)
        self._raise_error()
