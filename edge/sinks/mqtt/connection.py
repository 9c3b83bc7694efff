"""A connection to a broker, kept up by paho-mqtt's thread; only `close` waits for the network."""

from __future__ import annotations

import json
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from fer_edge.edge.device.certificates import tls_context
from fer_edge.edge.errors import SinkError
from fer_edge.edge.sinks.mqtt.broker_url import BrokerUrl
from fer_edge.edge.sinks.mqtt.connection_log import MAX_RECONNECT_DELAY, MIN_RECONNECT_DELAY, ConnectionLog
from fer_edge.edge.sinks.mqtt.control import Control

KEEPALIVE = 30
"""Seconds; a broker considers a device without power gone after one and a half times that."""

MAX_QUEUED_MESSAGES = 100
"""Messages that wait for the broker's acknowledgement at most; further ones are dropped."""

UNTRUSTED = range(18, 22)
"""OpenSSL's X509_V_ERR_ codes for a certificate that no trusted authority has signed."""

CLOSE_TIMEOUT = 2.0
"""Seconds for the last message, and for the thread's end."""


class Connection:
    """Publishes below PREFIX/NAME, and reconnects by itself.

    `ConnectionLog` logs its changes. Without a connection all messages are dropped but the newest state,
    which is published with the next one.

    Args:
        url: The broker, and the topic prefix.
        name: The camera's name.
        records: Topic to payload of what does not change, published retained with every connection: the device's
            record, and Home Assistant's discovery messages.
        ca: File of the CA certificates to trust, or None for the system's.
        control: The settings that messages may change, or None.

    Raises:
        SinkError: The CA file cannot be read.
    """

    def __init__(
        self,
        url: BrokerUrl,
        name: str,
        records: dict[str, dict[str, Any]],
        ca: Path | None = None,
        control: Control | None = None,
    ) -> None:
        client_id = f"fer-edge-{name}"
        self._log = ConnectionLog(f"{url}/{name}", client_id)
        self._tls = url.tls
        self._control = control
        self._topic, self._records = f"{url.prefix}/{name}", records
        self._state: str | None = None
        self._online = False  # published since the last connection
        self._lock = threading.Lock()  # two threads publish states, and the newer one must come last
        # MQTT 3.1.1, which every broker supports; a constant id lets a broker drop this device's dead connection
        self._client = client = Client(CallbackAPIVersion.VERSION2, client_id=client_id)
        if url.tls:
            try:
                client.tls_set_context(tls_context(ca))
            except ValueError as error:
                raise SinkError(f"--mqtt-ca {ca}: {error}") from None
        if url.user is not None:
            client.username_pw_set(url.user, url.password)
        client.will_set(f"{self._topic}/availability", "offline", qos=1, retain=True)
        client.max_queued_messages_set(MAX_QUEUED_MESSAGES)
        client.reconnect_delay_set(MIN_RECONNECT_DELAY, MAX_RECONNECT_DELAY)
        client.on_socket_open = send_at_once
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        if control is not None:
            control.publish = self._publish_control
            client.on_message = self._on_message
            client.on_subscribe = self._on_subscribe
        client.connect_async(url.host, url.port, KEEPALIVE)
        client.loop_start()

    def publish_state(self, record: dict[str, Any]) -> None:
        """Publish the current state, retained, with QoS 0: if one is lost, the next one comes soon.

        On a stalled connection states pile up until it is noticed, in less than twice KEEPALIVE.
        """
        self._log.check()
        with self._lock:
            self._state = json.dumps(record)
            if self._client.is_connected():
                self._publish(self._state)

    def _publish(self, state: str) -> None:
        """Publish 'online' after the first state of a connection: before it, only an old retained state is there."""
        self._client.publish(f"{self._topic}/state", state, retain=True)
        if not self._online:
            self._online = True
            self._client.publish(f"{self._topic}/availability", "online", qos=1, retain=True)

    def publish_event(self, record: dict[str, Any]) -> None:
        """Publish an event, not retained and with QoS 0: nobody should act on it later."""
        if self._client.is_connected():
            self._client.publish(f"{self._topic}/event", json.dumps(record))

    def _on_connect(
        self, client: Client, _: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._log.refused(str(reason))
            return
        self._log.connected()
        for topic, record in self._records.items():
            client.publish(topic, json.dumps(record), qos=1, retain=True)
        if self._control is not None:
            self._control.connecting()
            client.subscribe(f"{self._topic}/set/+", qos=1)
        with self._lock:
            self._online = False
            if self._state is not None:
                self._publish(self._state)

    def _on_subscribe(
        self, client: Client, _: Any, number: int, codes: list[ReasonCode], properties: Properties | None
    ) -> None:
        assert self._control is not None
        if codes[0].is_failure:
            self._log.warning(f"the broker does not let this device read its settings ({codes[0]})")
        else:
            self._control.subscribed()

    def _on_message(self, client: Client, _: Any, message: MQTTMessage) -> None:
        assert self._control is not None
        self._control.receive(message.topic.removeprefix(f"{self._topic}/set/"), bytes(message.payload))

    def _publish_control(self, topic: str, payload: str, retain: bool) -> None:
        if self._client.is_connected():
            self._client.publish(f"{self._topic}/{topic}", payload, qos=1, retain=retain)

    def _on_connect_fail(self, client: Client, _: Any) -> None:
        """Called by paho within its `except` block; it does not pass the error on."""
        self._log.unreachable(connect_problem(sys.exc_info()[1], self._tls, "--mqtt-ca"))

    def _on_disconnect(
        self, client: Client, _: Any, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure and self._log.lost(str(reason)):  # else paho's own delay grows
            client.reconnect_delay_set(self._log.reconnect_delay, MAX_RECONNECT_DELAY)

    def close(self) -> None:
        """Publish 'offline' and disconnect; a thread that hangs in the network is left behind as a daemon."""
        if self._control is not None:
            self._control.close()
        if self._client.is_connected():
            message = self._client.publish(f"{self._topic}/availability", "offline", qos=1, retain=True)
            with suppress(RuntimeError, ValueError):  # the connection was lost just now
                message.wait_for_publish(CLOSE_TIMEOUT)
        self._client.disconnect()
        stop = threading.Thread(target=self._client.loop_stop, name="mqtt-stop", daemon=True)
        stop.start()
        stop.join(CLOSE_TIMEOUT)


def connect_problem(error: BaseException | None, tls: bool, ca_option: str) -> str:
    """Why a broker cannot be reached, with what may help.

    Args:
        error: What connecting raised.
        tls: Whether the connection was to be encrypted.
        ca_option: The option that names the CA certificates.

    Returns:
        One line.
    """
    reason = getattr(error, "verify_message", "") or getattr(error, "strerror", "") or str(error) or "no answer"
    code = getattr(error, "verify_code", None)  # of an ssl.SSLCertVerificationError
    hint = f"; give its authority's certificate as {ca_option}" if code in UNTRUSTED else ""
    if tls and code is None and isinstance(error, (ConnectionResetError, _ssl_error())):
        hint = "; is it the broker's port for TLS (mqtts)?"
    return f"{reason}{hint}"


def send_at_once(client: Client, _: Any, connection: Any) -> None:
    """Disable Nagle's algorithm, which holds a message back until the broker has acknowledged the last."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _ssl_error() -> type[Exception]:
    import ssl  # of a connection with TLS, which has imported it

    return ssl.SSLError
