"""What a dashboard receives, and a broker's own counters (mosquitto(8), Broker Status), as rates."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from fer_edge.benchmarks.results_io.record import ResultError

SYS_LINE = "sys_interval 1"
"""The line of its configuration with which it updates them every other second."""

COUNTERS = {
    "bytes_received": "bytes/received",
    "bytes_sent": "bytes/sent",
}
"""By name in results, the counters' topics below $SYS/broker/; bytes are of all packets."""


class Counters:
    """A dashboard, which receives all messages of the devices, and the counters."""

    def __init__(self, port: int, topics: str) -> None:
        """Connect.

        Args:
            port: The broker's port on 127.0.0.1.
            topics: The devices' topics.
        """
        self._times: list[float] = []
        self._values: dict[str, list[tuple[float, float]]] = {name: [] for name in COUNTERS}
        self._names = {f"$SYS/broker/{topic}": name for name, topic in COUNTERS.items()}
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._receive
        subscribed = [(topic, 0) for topic in (*self._names, topics)]
        self._client.on_connect = lambda client, *_: client.subscribe(subscribed)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _receive(self, client: Client, _: Any, message: MQTTMessage) -> None:
        name = self._names.get(message.topic)
        if name is None:
            self._times.append(time.monotonic())
        else:
            self._values[name].append((time.monotonic(), float(message.payload)))

    def rates(self, start: float, end: float) -> dict[str, float]:
        """The counters' growth.

        Args:
            start: The time from which on values count, `time.monotonic`.
            end: The time of the last that do.

        Returns:
            By name, per second; `messages` are those of the devices.

        Raises:
            ResultError: The broker has not sent two values of each.
        """
        rates = {"messages": round(sum(start <= at <= end for at in self._times) / (end - start), 2)}
        for name, values in self._values.items():
            inside = [(at, value) for at, value in list(values) if start <= at <= end]
            if len(inside) < 2:
                raise ResultError(f"the broker has not reported {COUNTERS[name]} twice; measure for longer")
            (first, low), (last, high) = inside[0], inside[-1]
            rates[name] = round((high - low) / (last - first), 2)
        return rates

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()


@contextmanager
def counting(port: int, topics: str) -> Iterator[Counters]:
    """`Counters` until the end of the block; the arguments are its own."""
    counters = Counters(port, topics)
    try:
        yield counters
    finally:
        counters.close()
