"""Sockets whose reads together end at a deadline: a server that sends a byte now and then cannot hold a reader."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from contextlib import suppress
from ipaddress import ip_address
from queue import Empty, Queue
from typing import Any


class Deadline:
    """A moment by which all reads must be done, which its user moves on."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def restart(self) -> None:
        """Allow the same time again, from now on."""
        self._end = time.monotonic() + self.seconds

    def remaining(self) -> float:
        """Seconds left; TimeoutError where there are none."""
        remaining = self._end - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("timed out")
        return remaining


class _Timed:
    deadline: Deadline | None = None

    def recv_into(self, *arguments: Any) -> int:
        """Read, which file objects of the socket do, too."""
        if self.deadline is not None:
            self.settimeout(self.deadline.remaining())  # type: ignore[attr-defined]
        count: int = super().recv_into(*arguments)  # type: ignore[misc]
        return count


class TimedSocket(_Timed, socket.socket):
    """A TCP socket with a deadline."""


class TimedTlsSocket(_Timed, ssl.SSLSocket):
    """A TLS socket with a deadline."""


def connect(host: str, port: int, deadline: Deadline) -> TimedSocket:
    """Connect to a host.

    Args:
        host: Name or IP address.
        port: Its port.
        deadline: Ends the search for its address, connecting and all reads.

    Returns:
        The connected socket.

    Raises:
        OSError: It cannot be reached.
    """
    plain = _connect_any(_resolve(host, port, deadline), port, deadline)
    timed = TimedSocket(plain.family, plain.type, plain.proto, fileno=plain.detach())
    timed.deadline = deadline
    timed.settimeout(deadline.remaining())
    return timed


def _resolve(host: str, port: int, deadline: Deadline) -> list[str]:
    """The host's addresses.

    Name servers that do not answer take longer than the deadline, and no signal interrupts the C library: it waits in
    a thread, which is left behind.
    """
    with suppress(ValueError):
        return [str(ip_address(host))]
    answer: Queue[list[str] | Exception] = Queue()

    def look_up() -> None:
        try:
            answer.put([str(each[4][0]) for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)])
        except (OSError, UnicodeError) as error:
            answer.put(error)

    threading.Thread(target=look_up, name=f"resolve {host}", daemon=True).start()
    try:
        found = answer.get(timeout=deadline.remaining())
    except (Empty, TimeoutError):
        raise socket.gaierror(socket.EAI_AGAIN, "the name servers did not answer in time") from None
    if isinstance(found, Exception):
        raise found
    return found


def _connect_any(addresses: list[str], port: int, deadline: Deadline) -> socket.socket:
    """Connect to the first address that accepts; the last one's error where none does."""
    for address in addresses[:-1]:
        with suppress(OSError):
            return socket.create_connection((address, port), deadline.remaining())
    return socket.create_connection((addresses[-1], port), deadline.remaining())


def start_tls(plain: TimedSocket, context: ssl.SSLContext, host: str, deadline: Deadline) -> TimedTlsSocket:
    """Begin TLS on a connection.

    Args:
        plain: The connection, which the result takes over.
        context: What is verified.
        host: The name that the certificate must have.
        deadline: Ends the handshake and all reads.

    Returns:
        The encrypted connection.

    Raises:
        OSError: The handshake failed; an ssl.SSLError is one.
    """
    context.sslsocket_class = TimedTlsSocket
    plain.settimeout(deadline.remaining())
    timed = context.wrap_socket(plain, server_hostname=host)
    assert isinstance(timed, TimedTlsSocket)
    timed.deadline = deadline
    return timed
