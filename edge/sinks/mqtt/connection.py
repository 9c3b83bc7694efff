"""The connection to a broker, kept up by paho-mqtt's thread: nothing here waits for the network but `close`."""

from __future__ import annotations

import json
import logging
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from fer_edge.edge.errors import SinkError
from fer_edge.edge.sinks.mqtt.broker_url import Address

if TYPE_CHECKING:
    import ssl

log = logging.getLogger(__name__)

KEEPALIVE = 30
"""Seconds; a broker takes a device without power for gone after one and a half of it."""

SLOWEST = 60
"""Seconds between two attempts at most; the first comes after 1, each later one after twice as long."""

WAITING = 100
"""Messages that wait for the broker's word at most; further ones are lost."""

REFUSED = "the broker refuses"

UNTRUSTED = range(18, 22)
"""OpenSSL's X509_V_ERR_ codes for a certificate that nobody known has signed."""

FAREWELL = 2.0
"""Seconds for the last message, and for the thread's end."""


class Connection:
    """Publishes below prefix/name; `greeting` (topic to payload) is retained, and said anew with every connection.

    Logs what changes: connected, lost, refused (once, not with every attempt). What is
    published while there is no connection is lost, but for the newest state. Raises SinkError for a bad ca file.
    """

    def __init__(
        self,
        address: Address,
        name: str,
        greeting: dict[str, dict[str, Any]],
        ca: Path | None = None,
    ) -> None:
        self._name = f"{address}/{name}"
        self._base, self._greeting = f"{address.prefix}/{name}", greeting
        self._reported = ""
        self._state: str | None = None
        self._online = False  # said since the last connection
        self._turn = threading.Lock()  # the newest state is published last
        # MQTT 3.1.1, which every broker speaks; a constant id lets a broker drop this device's dead connection
        self._client = client = Client(CallbackAPIVersion.VERSION2, client_id=f"fer-edge-{name}")
        if address.tls:
            client.tls_set_context(_context(ca))
        if address.user is not None:
            client.username_pw_set(address.user, address.password)
        client.will_set(f"{self._base}/availability", "offline", qos=1, retain=True)
        client.max_queued_messages_set(WAITING)
        client.reconnect_delay_set(1, SLOWEST)
        client.on_connect = self._connected
        client.on_connect_fail = self._failed
        client.on_disconnect = self._disconnected
        client.connect_async(address.host, address.port, KEEPALIVE)
        client.loop_start()

    def state(self, record: dict[str, Any]) -> None:
        """Publish what is so now, retained; one may get lost, for another comes soon.

        At a stalled connection they pile up for as long as it takes to notice, less than two KEEPALIVE.
        """
        with self._turn:
            self._state = json.dumps(record)
            if self._client.is_connected():
                self._publish_state(self._state)

    def _publish_state(self, state: str) -> None:
        """With the first of a connection comes 'online': before it, what is retained of yesterday would be so."""
        self._client.publish(f"{self._base}/state", state, retain=True)
        if not self._online:
            self._online = True
            self._client.publish(f"{self._base}/availability", "online", qos=1, retain=True)

    def event(self, record: dict[str, Any]) -> None:
        """Publish what happened, not retained and with QoS 0: nobody should act on it later."""
        if self._client.is_connected():
            self._client.publish(f"{self._base}/event", json.dumps(record))

    def _connected(
        self, client: Client, _: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._report(f"{REFUSED} ({reason}); are user and password right?")
            return
        self._report("connected")
        for topic, config in self._greeting.items():
            client.publish(topic, json.dumps(config), qos=1, retain=True)
        with self._turn:
            self._online = False
            if self._state is not None:
                self._publish_state(self._state)

    def _failed(self, client: Client, _: Any) -> None:
        """Called by paho while it handles the error, which it does not hand over."""
        error = sys.exc_info()[1]
        text = getattr(error, "verify_message", "") or getattr(error, "strerror", "") or str(error) or "no answer"
        hint = (
            "; give its authority's certificate as --mqtt-ca" if getattr(error, "verify_code", 0) in UNTRUSTED else ""
        )
        self._report(f"cannot be reached ({text}){hint}")

    def _disconnected(
        self, client: Client, _: Any, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure and not self._reported.startswith(REFUSED):  # a refusal closes the connection, too
            self._report(f"connection lost ({reason})")

    def _report(self, what: str) -> None:
        if what != self._reported:
            self._reported = what
            log.info("%s: %s%s", self._name, what, "" if what == "connected" else "; trying again")

    def close(self) -> None:
        """Publish 'offline', disconnect, and end the thread; one that hangs in the network is left as a daemon."""
        if self._client.is_connected():
            last = self._client.publish(f"{self._base}/availability", "offline", qos=1, retain=True)
            with suppress(RuntimeError, ValueError):  # the connection was lost just now
                last.wait_for_publish(FAREWELL)
        self._client.disconnect()
        ending = threading.Thread(target=self._client.loop_stop, name="mqtt's end", daemon=True)
        ending.start()
        ending.join(FAREWELL)


def _context(ca: Path | None) -> ssl.SSLContext:
    import ssl

    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:  # an ssl.SSLError is one, too
        trouble = "no certificate in PEM format" if isinstance(error, ssl.SSLError) else error.strerror
        raise SinkError(f"--mqtt-ca {ca}: {trouble}") from None
