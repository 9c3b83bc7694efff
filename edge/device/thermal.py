"""Thermal throttling: the pipeline does less work before the board slows itself down.

A Raspberry Pi throttles from 80 °C, abruptly and as a whole; a longer detector interval and fewer models per face cost
little accuracy and no late frames.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fer_edge.edge.device.board import is_small_board, read_celsius, read_throttling

THROTTLE_CELSIUS = (75.0, 80.0)
"""Degrees Celsius from which load levels 1 and 2 apply; the firmware's own limits are 80 and 85."""

MAX_LOAD_LEVEL = len(THROTTLE_CELSIUS)
"""Load levels count from 0, for full work, to this one, for the least."""

HYSTERESIS = 5.0
"""Degrees below a load level's threshold at which the level ends, so that it does not flutter."""

READ_INTERVAL = 2.0
"""Seconds between two readings."""


@dataclass(frozen=True)
class BoardCondition:
    """A board's condition at one moment.

    Attributes:
        celsius: Temperature in degrees Celsius, None where it is unknown.
        limits: What the firmware limits now, in words, such as "throttled now".
    """

    celsius: float | None
    limits: tuple[str, ...]

    def __str__(self) -> str:
        degrees = f"{self.celsius:.0f} °C" if self.celsius is not None else ""
        return ", ".join(part for part in (degrees, *self.limits) if part)


UNKNOWN = BoardCondition(None, ())
"""The condition of a board that has no sensors, or where none can be read."""


def read_condition(root: Path = Path("/")) -> BoardCondition:
    """Read the board's condition now; limits that applied earlier do not count."""
    limits = read_throttling(root) or []
    return BoardCondition(read_celsius(root), tuple(limit for limit in limits if limit.endswith(" now")))


def choose_load_level(condition: BoardCondition, level: int = 0) -> int:
    """Choose the next load level, which rises at once and falls by one step at a time.

    Args:
        condition: The board's condition now.
        level: The load level so far.

    Returns:
        0 while all is well; 1 from the first threshold on, or at the firmware's soft limit; 2 from the second threshold
        on, or at any other limit. A level falls only where the temperature, if it is known, is below its threshold by
        HYSTERESIS.
    """
    degrees = condition.celsius if condition.celsius is not None else -273.0
    hard_limits = [limit for limit in condition.limits if not limit.startswith("soft")]
    warm, hot = THROTTLE_CELSIUS
    target = 2 if hard_limits or degrees >= hot else 1 if condition.limits or degrees >= warm else 0
    if target >= level:
        return target
    return level - 1 if degrees < THROTTLE_CELSIUS[level - 1] - HYSTERESIS else level


class ThermalMonitor:
    """Reads the board's condition in a thread, and reports when the load level changes.

    Attributes:
        condition: The newest reading.
        level: The load level, 0 to MAX_LOAD_LEVEL; always 0 on machines with other limits, such as laptops.
    """

    def __init__(
        self,
        on_change: Callable[[int, BoardCondition], None],
        root: Path = Path("/"),
        interval: float = READ_INTERVAL,
    ) -> None:
        """Start the thread.

        Args:
            on_change: Called in the thread with the new load level and the condition.
            root: The folder that has /sys.
            interval: Seconds between two readings.
        """
        self.level = 0
        self.condition = UNKNOWN
        self._on_change, self._root, self._interval = on_change, root, interval
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="thermal monitor", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        throttles = is_small_board(self._root)
        while not self._stopped.is_set():
            if (condition := read_condition(self._root)) != UNKNOWN:  # a failed reading may succeed the next time
                self.condition = condition
                level = choose_load_level(condition, self.level) if throttles else 0
                if level != self.level:
                    self.level = level
                    self._on_change(level, condition)
            self._stopped.wait(self._interval)

    def close(self) -> None:
        """Stop the thread."""
        self._stopped.set()
        self._thread.join(1.0)
