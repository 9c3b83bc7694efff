"""systemd told that the program runs, and that it is alive: the protocol of sd_notify(3), without its library."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from time import monotonic

from fer_edge.edge.sinks.disconnect_monitor import DisconnectMonitor
from fer_edge.edge.types import Frame, Prediction

PINGS = 4
"""How often within the watchdog's time; sd_watchdog_enabled(3) asks for twice, and a slow frame must not be fatal."""

INTERVAL = 5.0
"""Seconds between two states where there is no watchdog."""


def notify(state: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Send lines such as READY=1 to the supervisor that NOTIFY_SOCKET names; False where nobody listens."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender, suppress(OSError):
        sender.settimeout(1.0)
        sender.sendto(state.encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)
        return True
    return False


def watchdog_seconds(environ: Mapping[str, str] = os.environ) -> float | None:
    """After how much silence the supervisor restarts this process; None where it does not watch."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None  # meant for the process that started this one
    limit = environ.get("WATCHDOG_USEC", "")
    return int(limit) / 1e6 if limit.isdigit() and int(limit) else None


class SystemdNotifySink:
    """READY=1 with the first frame, WATCHDOG=1 while frames come or their source is waited for, STOPPING=1 at the end.

    It is the last of the sinks: a loop that hangs anywhere sends nothing more, and is restarted. away: the source's
    seconds; a restart would not bring it back.
    """

    def __init__(self, disconnected: Callable[[], float], clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._interval = min(INTERVAL, (watchdog_seconds() or INTERVAL * PINGS) / PINGS)
        self._told = clock()
        self._frames = self._before = 0
        self._absence = DisconnectMonitor(disconnected, self._wait, self._interval)

    def _wait(self, seconds: float) -> None:
        notify(f"WATCHDOG=1\nSTATUS=the source has been away for {seconds:.0f} s")

    def show(self, frame: Frame, predictions: Sequence[Prediction]) -> None:
        self._frames += 1
        now = self._clock()
        if self._frames == 1:
            notify("READY=1\nWATCHDOG=1\nSTATUS=the first frame was processed")
            self._told = now
        elif now - self._told >= self._interval:
            rate = (self._frames - self._before) / (now - self._told)
            faces = "1 face" if len(predictions) == 1 else f"{len(predictions)} faces"
            notify(f"WATCHDOG=1\nSTATUS={rate:.1f} frames/s, {faces} in the last")
            self._told, self._before = now, self._frames

    def close(self) -> None:
        self._absence.close()
        notify("STOPPING=1")
