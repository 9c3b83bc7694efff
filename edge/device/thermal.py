"""Less work before the board slows itself down.

A Raspberry Pi throttles from 80 °C, all of it and at once; a detector that looks less often and a cascade that stops
earlier cost little accuracy and no late frames.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fer_edge.edge.device.board import celsius, small, throttling

WARM, HOT = 75.0, 80.0
"""Degrees Celsius from which the first and the second level hold; the firmware's own limits are 80 and 85."""

COOLER = 5.0
"""Degrees below a level's threshold at which it ends, so that it does not come and go."""

INTERVAL = 2.0
"""Seconds from one reading to the next."""

LEVELS = 2


@dataclass(frozen=True)
class BoardCondition:
    """celsius: None where unknown. held: what the firmware holds back now, in words."""

    celsius: float | None
    held: tuple[str, ...]

    def __str__(self) -> str:
        degrees = f"{self.celsius:.0f} °C" if self.celsius is not None else ""
        return ", ".join(part for part in (degrees, *self.held) if part)


UNKNOWN = BoardCondition(None, ())


def reading(root: Path = Path("/")) -> BoardCondition:
    """The board's condition now; what held it back earlier does not count."""
    words = throttling(root) or []
    return BoardCondition(celsius(root), tuple(word for word in words if word.endswith(" now")))


def level(now: BoardCondition, before: int = 0) -> int:
    """0 for all is well, 1 for warm or a soft limit, 2 for hot or held back; it falls one step at a time.

    before: the level so far, which falls only where the temperature, if known, is below its threshold by a margin.
    """
    degrees = now.celsius if now.celsius is not None else -273.0
    hard = [word for word in now.held if not word.startswith("soft")]
    wanted = 2 if hard or degrees >= HOT else 1 if now.held or degrees >= WARM else 0
    if wanted >= before:
        return wanted
    return before - 1 if degrees < (WARM, HOT)[before - 1] - COOLER else before


class ThermalMonitor:
    """Reads the board's condition in a thread and calls `changed(level, reading)` when the level changes.

    now: the newest reading. level: 0 to LEVELS, always 0 where the limits are not the board's, as on a laptop.
    """

    def __init__(
        self, changed: Callable[[int, BoardCondition], None], root: Path = Path("/"), interval: float = INTERVAL
    ) -> None:
        self.level = 0
        self.now = UNKNOWN
        self._changed, self._root, self._interval = changed, root, interval
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="heat", daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        limited = small(self._root)
        while not self._ended.is_set():
            if (now := reading(self._root)) != UNKNOWN:  # what cannot be read once may be read the next time
                self.now, new = now, level(now, self.level) if limited else 0
                if new != self.level:
                    self.level = new
                    self._changed(new, now)
            self._ended.wait(self._interval)

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        self._thread.join(1.0)
