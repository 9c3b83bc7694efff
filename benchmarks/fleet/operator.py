"""An operator's client that times how long a setting takes to reach every device and come back as a reply."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from fer_edge.benchmarks.results_io.record import ResultError
from fer_edge.edge.device.certificates import tls_context
from fer_edge.edge.sinks.mqtt.connection import send_at_once
from fer_edge.edge.sinks.mqtt.setting import Request, Value

REPLY_TIMEOUT = 30.0
"""Seconds for the replies of all devices."""


@dataclass
class Operator:
    """A connected operator.

    Attributes:
        client: Its connection.
        prefix: The topics' prefix.
    """

    client: Client
    prefix: str
    _replies: dict[str, tuple[float, bool]] = field(default_factory=dict)
    _id: str = ""
    _expected: int = 0
    _all: threading.Event = field(default_factory=threading.Event)

    def set_all(self, names: Sequence[str], key: str, value: Value) -> dict[str, float]:
        """Set a value at all devices at once, retained as `fer-edge fleet set` does.

        Args:
            names: The devices.
            key: The setting.
            value: A value that they accept.

        Returns:
            By device, the seconds from publishing its message to its reply.

        Raises:
            ResultError: A device has not replied, or has refused the value.
        """
        self._replies, self._id, self._expected = {}, secrets.token_hex(8), len(names)
        self._all.clear()
        payload, sent = Request(value, self._id).payload(), {}
        for name in names:
            sent[name] = time.perf_counter()
            self.client.publish(f"{self.prefix}/{name}/set/{key}", payload, qos=1, retain=True)
        self._all.wait(REPLY_TIMEOUT)
        replies = dict(self._replies)
        missing = [name for name in names if name not in replies or not replies[name][1]]
        if missing:
            raise ResultError(f"{len(missing)} of {len(names)} devices have not accepted {key}, {missing[0]} first")
        return {name: replies[name][0] - sent[name] for name in names}

    def receive(self, client: Client, _: Any, message: MQTTMessage) -> None:
        """Note a reply and its time."""
        now, reply = time.perf_counter(), json.loads(message.payload)
        if reply["id"] == self._id:
            self._replies[message.topic.split("/")[-2]] = now, reply["accepted"]
            if len(self._replies) == self._expected:
                self._all.set()


@contextmanager
def operating(
    port: int, prefix: str = "home", user: str | None = None, password: str | None = None, ca: Path | None = None
) -> Iterator[Operator]:
    """Connect an operator until the end of the block.

    Args:
        port: The broker's port on 127.0.0.1.
        prefix: The topics' prefix.
        user: User name, or None.
        password: Password, or None.
        ca: The CA's certificate for TLS, or None.

    Yields:
        The operator.
    """
    client = Client(CallbackAPIVersion.VERSION2)
    client.max_inflight_messages_set(1000)  # as many as there are devices: its own window is not what is measured
    if ca is not None:
        client.tls_set_context(tls_context(ca))
    if user is not None:
        client.username_pw_set(user, password)
    operator, subscribed = Operator(client, prefix), threading.Event()
    client.on_socket_open = send_at_once
    client.on_message = operator.receive
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_connect = lambda client, *_: client.subscribe(f"{prefix}/+/reply", qos=1)
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        if not subscribed.wait(REPLY_TIMEOUT):
            raise ResultError("the broker does not answer the operator")
        yield operator
    finally:
        client.disconnect()
        client.loop_stop()
