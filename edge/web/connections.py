"""Limits of the live page's connections: a crowd of them neither ends the recording nor keeps the owner out."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv6Address, ip_address
from typing import Protocol

from fer_edge.edge.web.throttled_log import ThrottledLog

MAX_VIEWERS = 200
"""Connections with an authorized request; further requests are answered with 503. An open page has two or three."""

MAX_PENDING = 256
"""Connections without an authorized request so far."""

MAX_PENDING_PER_ADDRESS = 128
"""Those of one address: half of all, as everybody behind a proxy has the same; 50 pages open 100 at once."""


class Closable(Protocol):
    """A connection."""

    def abort(self) -> None:
        """Close it at once; what is not sent is lost."""


class ConnectionLimits:
    """All connections, and which of them are closed when there are too many; for the server's thread only.

    A connection is pending until its first authorized request. Pending ones have places of their own, and where these
    are all taken, the oldest gives way: whoever has the token, and sends it at once, gets in however many others hang.
    """

    def __init__(self) -> None:
        self._pending: dict[Closable, str] = {}
        """The network of each, the oldest first."""
        self._viewers: set[Closable] = set()
        self._log = ThrottledLog(__name__)

    def add(self, connection: Closable, host: str | None) -> None:
        """Count a new connection from an address, and close an older one where there are too many."""
        network = client_network(host)
        self._pending[connection] = network
        if len(self._pending) > MAX_PENDING:
            self._close_oldest()
        elif sum(each == network for each in self._pending.values()) > MAX_PENDING_PER_ADDRESS:
            self._close_oldest_of(network)

    def admit(self, connection: Closable) -> bool:
        """Give a connection with an authorized request a viewer's place; False where none is free."""
        if connection not in self._viewers:
            if len(self._viewers) >= MAX_VIEWERS:
                return False
            self._pending.pop(connection, None)
            self._viewers.add(connection)
        return True

    def remove(self, connection: Closable) -> None:
        """Forget a connection that is closed."""
        self._pending.pop(connection, None)
        self._viewers.discard(connection)

    def make_room(self) -> bool:
        """Close a quarter of the pending connections, as it takes a while; False where there is none."""
        if not self._pending:
            return False
        for _ in range(1 + len(self._pending) // 4):
            self._close_oldest()
        return True

    def _close_oldest(self) -> None:
        """Close the oldest pending connection of the network that has most of them."""
        [(network, _)] = Counter(self._pending.values()).most_common(1)
        self._close_oldest_of(network)

    def _close_oldest_of(self, network: str) -> None:
        oldest = next(each for each, its_network in self._pending.items() if its_network == network)
        del self._pending[oldest]
        oldest.abort()
        self._log.warning(f"live page: too many unauthorized connections, most from {network}; the oldest are closed")


def client_network(host: str | None) -> str:
    """What counts as one client: an IPv4 address, or an IPv6 network of 64 bits, whose addresses one host can all use.

    Args:
        host: The address, also one that a proxy reports and that may be anything.
    """
    try:
        address = ip_address((host or "").partition("%")[0])
    except ValueError:
        return "unknown"
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped:  # as a socket on [::] has it
        return str(address.ipv4_mapped)
    return f"{IPv6Address(int(address) >> 64 << 64)}/64"
