"""A brake on guessing the token."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

ADDRESS_BURST, ADDRESS_INTERVAL = 30, 2.0
"""Wrong tokens that one address may send at once, and seconds for each further one."""

TOTAL_BURST, TOTAL_INTERVAL = 100, 0.5
"""The same for all addresses together."""

MAX_DELAY = 4.0
"""Seconds; attempts that would have to wait longer are refused."""


class GuessLimit:
    """Spaces wrong tokens, per address and in total (a leaky bucket each, as the generic cell rate algorithm has it).

    What is kept of an address is forgotten when its bucket is empty, and the total limits their number.

    Args:
        clock: Seconds.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._total = 0.0
        self._empty_at: dict[str, float] = {}
        """When the bucket of each address will be empty."""

    def take(self, network: str) -> float | None:
        """Count a token from an address.

        Args:
            network: The client, as `client_network` names it.

        Returns:
            Seconds to wait before the token is compared or the answer is sent; None if it is to be refused.
        """
        now = self._clock()
        self._empty_at = {each: time for each, time in self._empty_at.items() if time > now}
        own, total = max(now, self._empty_at.get(network, now)), max(now, self._total)
        early = (ADDRESS_BURST - 1) * ADDRESS_INTERVAL, (TOTAL_BURST - 1) * TOTAL_INTERVAL
        delay = max(0.0, own - now - early[0], total - now - early[1])
        if delay > MAX_DELAY:
            return None
        self._empty_at[network], self._total = own + ADDRESS_INTERVAL, total + TOTAL_INTERVAL
        return delay

    def give_back(self, network: str) -> None:
        """Count a token no longer: it was right."""
        self._total -= TOTAL_INTERVAL
        if network in self._empty_at:
            self._empty_at[network] -= ADDRESS_INTERVAL
