"""The live page's address: `[HOST:]PORT` to a bound socket, and the link to it."""

from __future__ import annotations

import errno
import re
import socket
from ipaddress import ip_address

from fer_edge.edge.errors import SinkError, redact
from fer_edge.edge.web.connections import ConnectionLimits
from fer_edge.edge.web.listener import Listener

LOOPBACK = "127.0.0.1"

SEND_BUFFER = 128 << 10
"""Bytes that the kernel buffers per connection: pictures that wait there get old, and cost memory."""


RECEIVE_BUFFER = 64 << 10
"""Bytes of requests that the kernel keeps per connection; megabytes, else, of clients that send without end."""


def parse_listen_address(text: str) -> tuple[str, int]:
    """Parse `8080`, `0.0.0.0:8080`, `name:8080` or `[::]:8080`.

    Returns:
        Host, loopback by default, and port; port 0 stands for any free one.

    Raises:
        SinkError: The text is no such address.
    """
    match = re.fullmatch(r"(?:(\[[^\[\]\s]+\]|[^\[\]:\s]+):)?([0-9]{1,5})", text)
    if not match or int(match[2]) > 65535:
        raise SinkError(f"--web {redact(text)}: expected [HOST:]PORT, for example 8080, 0.0.0.0:8080 or [::]:8080")
    return (match[1] or LOOPBACK).strip("[]"), int(match[2])


def listen(host: str, port: int, limits: ConnectionLimits) -> Listener:
    """A TCP socket bound to the address; `::` accepts IPv4, too.

    Args:
        host: Name or address of this machine.
        port: Its port, or 0 for any free one.
        limits: The connections that it will accept.

    Raises:
        SinkError: The address is not this machine's, is in use, or needs root.
    """
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        family, _, _, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = Listener(family, limits)
    except (OSError, UnicodeError) as error:  # a name with an empty or overlong part is no Unicode host name
        raise SinkError(f"--web {where}: {host} is not an address of this machine ({error})") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)  # inherited by what it accepts
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(target)
    except OSError as error:
        listener.close()
        raise SinkError(f"--web {where}: {_reason(error, host)}") from None
    return listener


def _reason(error: OSError, host: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the port is in use by another program; stop it, or give another port"
    if error.errno == errno.EACCES:
        return "ports below 1024 need root; give a higher one"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is not an address of this machine; 0.0.0.0 stands for all of them"
    return str(error.strerror)


def is_loopback(listener: socket.socket) -> bool:
    """Whether only this machine can reach the socket."""
    return ip_address(listener.getsockname()[0].split("%")[0]).is_loopback


def page_link(listener: socket.socket) -> str:
    """The URL to open in a browser; for a socket on all addresses, with this machine's address in its network."""
    host, port = listener.getsockname()[:2]
    if ip_address(host.split("%")[0]).is_unspecified:
        host = _own_address()
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _own_address() -> str:
    """The source address of packets to the network; connecting a datagram socket sends none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address for documentation, RFC 5737
            return str(probe.getsockname()[0])
        except OSError:  # no network: the host name may still resolve
            return socket.gethostname()
