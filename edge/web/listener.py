"""The live page's listening socket, which leaves the recording enough file descriptors."""

from __future__ import annotations

import os
import resource
import socket
from math import inf
from typing import Any

from fer_edge.edge.web.connections import ConnectionLimits

RESERVED_DESCRIPTORS = 64
"""Left to the rest of the program: files, cameras, brokers, commands; a quarter of the limit where that is less."""

CHECKS = 100
"""Connections that are accepted with care after descriptors were short."""

QUEUE = 128
"""Connections that wait in the kernel to be accepted."""


class Listener(socket.socket):
    """A listening TCP socket that accepts connections only while there are file descriptors left for the recording.

    Attributes:
        limits: The connections, of which a pending one is closed where descriptors are short.
    """

    def __init__(self, family: int, limits: ConnectionLimits) -> None:
        # asyncio sets TCP_NODELAY only where the protocol is named; else small answers wait for acknowledgements
        super().__init__(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self.limits = limits
        self._checks = 0
        """Connections before which descriptors are counted, by system calls that may have to wait for other threads."""

    def listen(self, backlog: int = QUEUE, /) -> None:
        """Listen; asyncio's backlog is the number of connections that it accepts at once, not the kernel's queue."""
        super().listen(QUEUE)

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection.

        Raises:
            BlockingIOError: There is none, or it has to wait or was closed for want of descriptors.
        """
        most = _most_descriptors()
        if self._checks and _lowest_free(self.fileno()) >= most:
            self._checks = CHECKS
            if not self.limits.make_room():
                super().accept()[0].close()  # all others are viewers
            raise BlockingIOError
        connection, address = super().accept()
        self._checks = CHECKS if connection.fileno() >= most else max(0, self._checks - 1)
        return connection, address


def _most_descriptors() -> float:
    """The descriptor from which on all belong to the reserve."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return inf if limit == resource.RLIM_INFINITY else limit - min(RESERVED_DESCRIPTORS, limit // 4)


def _lowest_free(descriptor: int) -> int:
    """The lowest free descriptor, which a new connection would get."""
    free = os.dup(descriptor)
    os.close(free)
    return free
