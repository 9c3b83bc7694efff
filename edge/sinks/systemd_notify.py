"""State and watchdog messages to systemd: the protocol of sd_notify(3), without its library."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from time import monotonic

from fer_edge.edge.sinks.disconnect_monitor import DisconnectMonitor
from fer_edge.edge.types import Frame, Prediction

PINGS_PER_TIMEOUT = 4
"""Messages within the watchdog's timeout; sd_watchdog_enabled(3) asks for two, and one slow frame must not be fatal."""

DEFAULT_INTERVAL = 5.0
"""Seconds between two messages where there is no watchdog."""


def notify(state: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Send a message to the service manager that NOTIFY_SOCKET names.

    Args:
        state: Lines such as READY=1, sd_notify(3).
        environ: The environment.

    Returns:
        False where no service manager listens.
    """
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender, suppress(OSError):
        sender.settimeout(1.0)
        sender.sendto(state.encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)
        return True
    return False


def watchdog_timeout(environ: Mapping[str, str] = os.environ) -> float | None:
    """Seconds without a message after which systemd restarts this process; None without a watchdog."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None  # meant for the process that started this one
    limit = environ.get("WATCHDOG_USEC", "")
    return int(limit) / 1e6 if limit.isdigit() and int(limit) else None


class SystemdNotifySink:
    """Sends READY=1 with the first frame, WATCHDOG=1 while the run is alive, and STOPPING=1 at the end.

    It must be the last sink: a loop that hangs anywhere sends nothing more, and systemd restarts the program. While
    the source is disconnected the run counts as alive, as a restart would not bring the source back.

    Args:
        disconnected: Gives the seconds since the source was lost, 0 while it is connected.
        clock: Seconds, for tests.
    """

    def __init__(self, disconnected: Callable[[], float], clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        timeout = watchdog_timeout()
        self._interval = DEFAULT_INTERVAL if timeout is None else min(DEFAULT_INTERVAL, timeout / PINGS_PER_TIMEOUT)
        self._last_time, self._last_frames = clock(), 0
        self._frames = 0
        self._monitor = DisconnectMonitor(disconnected, self._notify_disconnected, self._interval)

    def _notify_disconnected(self, seconds: float) -> None:
        notify(f"WATCHDOG=1\nSTATUS=the source has been disconnected for {seconds:.0f} s")

    def show(self, frame: Frame, predictions: Sequence[Prediction]) -> None:
        self._frames += 1
        now = self._clock()
        if self._frames == 1:
            notify("READY=1\nWATCHDOG=1\nSTATUS=the first frame was processed")
            self._last_time = now
        elif now - self._last_time >= self._interval:
            rate = (self._frames - self._last_frames) / (now - self._last_time)
            faces = "1 face" if len(predictions) == 1 else f"{len(predictions)} faces"
            notify(f"WATCHDOG=1\nSTATUS={rate:.1f} frames/s, {faces} in the last")
            self._last_time, self._last_frames = now, self._frames

    def close(self) -> None:
        self._monitor.close()
        notify("STOPPING=1")
