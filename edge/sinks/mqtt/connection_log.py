"""What the log says of a connection to a broker: each change once, and why it is lost again and again."""

from __future__ import annotations

import logging
import time

log = logging.getLogger(__name__)

MIN_RECONNECT_DELAY, MAX_RECONNECT_DELAY = 1, 60
"""Seconds before the first attempt to reconnect, and between two at most; the delay doubles with each attempt."""

SHORT_CONNECTION = 2.5 * MAX_RECONNECT_DELAY
"""Seconds; two clients with one id, each of which waits up to MAX_RECONNECT_DELAY, end each other's sooner."""

MANY = 3
"""Short connections in a row from which they have a cause."""

REFUSED = "the broker refuses"


class ConnectionLog:
    """Logs changes of a connection only: connected, lost, refused.

    Connections that the broker ends soon after they began are what two clients with one id cause: MQTT 3.1.1 tells
    neither of them. From the third in a row on, one line says so and no other follows until a connection stays, and
    the pauses grow.
    """

    def __init__(self, name: str, client_id: str) -> None:
        """Begin without a connection.

        Args:
            name: The broker and the camera, for the log.
            client_id: The client's id at the broker.
        """
        self._name, self._client_id = name, client_id
        self._status = ""
        self._connected_at: float | None = None
        self._short = 0

    @property
    def reconnect_delay(self) -> int:
        """Seconds to wait before the next attempt: more, the more connections in a row were short."""
        doublings = min(max(0, self._short - 1), 10)
        return min(MIN_RECONNECT_DELAY * (1 << doublings), MAX_RECONNECT_DELAY)

    def connected(self) -> None:
        """The broker has accepted the connection."""
        self._connected_at = time.monotonic()
        if self._short < MANY:
            self._change("connected")

    def refused(self, reason: str) -> None:
        """The broker has answered that it does not accept the connection."""
        hint = ""
        if "identifier" in reason.lower():
            hint = f"; does it allow the id {self._client_id}?"
        elif "protocol" not in reason.lower() and "unavailable" not in reason.lower():
            hint = "; are user and password right?"
        self._change(f"{REFUSED} ({reason}){hint}")

    def unreachable(self, reason: str) -> None:
        """There was no connection at all."""
        self._change(f"cannot be reached ({reason})")

    def lost(self, reason: str) -> bool:
        """The connection has ended, and this program has not ended it; whether the broker had accepted it."""
        if reason == "Unspecified error":  # paho's name for a closed connection
            reason = "closed by the broker or the network"
        began, self._connected_at = self._connected_at, None
        if began is None:
            if not self._status.startswith(REFUSED):  # a refusal ends the connection, too
                hint = "is it the port of an MQTT broker, and mqtt:// or mqtts:// right?"
                self._change(f"no answer that is MQTT ({reason}); {hint}")
            return False
        self._short = self._short + 1 if time.monotonic() - began < SHORT_CONNECTION else 1
        if self._short < MANY:
            self._change(f"connection lost ({reason})")
        elif self._short == MANY:
            self._change(
                f"each connection ends soon after it began ({reason}); another client with the id {self._client_id} "
                "would cause that: give each camera its own --mqtt-id. Or does the broker refuse its messages?"
            )
        return True

    def warning(self, problem: str) -> None:
        """Log a problem of a connection that stays, once a connection."""
        log.warning("%s: %s", self._name, problem)

    def check(self) -> None:
        """Log that the connection stays, if it does; to be called now and then."""
        began = self._connected_at
        if self._short >= MANY and began is not None and time.monotonic() - began >= SHORT_CONNECTION:
            self._short = 0
            self._change("connected")

    def _change(self, status: str) -> None:
        if status != self._status:
            self._status = status
            log.info("%s: %s%s", self._name, status, "" if status == "connected" else "; reconnecting")
