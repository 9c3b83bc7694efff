"""Where the live page listens: `[HOST:]PORT` to a bound socket and the link to it."""

from __future__ import annotations

import errno
import re
import socket
from ipaddress import ip_address

from fer_edge.edge.errors import SinkError

LOOPBACK = "127.0.0.1"

SEND_BUFFER = 128 << 10
"""Bytes the kernel keeps for a viewer: what waits there is old by the time it is seen, and costs memory."""


def parse(text: str) -> tuple[str, int]:
    """`8080`, `0.0.0.0:8080`, `name:8080` or `[::]:8080` as host and port; port 0 is any free one. SinkError."""
    found = re.fullmatch(r"(?:(\[[^\[\]\s]+\]|[^\[\]:\s]+):)?([0-9]{1,5})", text)
    if not found or int(found[2]) > 65535:
        raise SinkError(f"--web {text}: expected [HOST:]PORT, as in 8080, 0.0.0.0:8080 or [::]:8080")
    return (found[1] or LOOPBACK).strip("[]"), int(found[2])


def bound(host: str, port: int) -> socket.socket:
    """A TCP socket bound to the address; [::] takes IPv4 too. SinkError when that cannot be."""
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        family, _, _, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # a name with an empty or overlong part is no Unicode host name
        raise SinkError(f"--web {where}: {host} is no address of this machine ({error})") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)  # inherited by what it accepts
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(target)
    except OSError as error:
        listener.close()
        raise SinkError(f"--web {where}: {_trouble(error, host)}") from None
    return listener


def _trouble(error: OSError, host: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another program listens there; end it or give another port"
    if error.errno == errno.EACCES:
        return "ports below 1024 need root's rights; give a higher one"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine; 0.0.0.0 is all of them"
    return str(error.strerror)


def is_loopback(listener: socket.socket) -> bool:
    """Whether only this machine can reach it."""
    return ip_address(listener.getsockname()[0].split("%")[0]).is_loopback


def link(listener: socket.socket) -> str:
    """The address to open in a browser; for a socket on all addresses, this machine's in its network."""
    host, port = listener.getsockname()[:2]
    if ip_address(host.split("%")[0]).is_unspecified:
        host = _own_address()
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _own_address() -> str:
    """The address that packets to the network would come from; connecting a datagram socket sends none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address for documentation, RFC 5737
            return str(probe.getsockname()[0])
        except OSError:  # no network: its name may still lead to it
            return socket.gethostname()
