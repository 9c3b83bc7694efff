"""Sockets of this process that others opened, found by what they are connected to."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress


def peer(end: socket.socket) -> socket.socket | None:
    """The other end of a TCP connection within this process, as a duplicate to close; None while there is none."""
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # closed meanwhile, or not connected
            if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                continue
            with socket.socket(fileno=os.dup(int(name))) as found:
                internet = found.family in (socket.AF_INET, socket.AF_INET6)
                if internet and found.getpeername()[1] == end.getsockname()[1]:  # [::] has another address
                    return found.dup()
    return None


def sends_at_once(end: socket.socket) -> bool:
    """Whether a socket sends small packets without waiting for an acknowledgement (Nagle's algorithm off)."""
    return bool(end.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
