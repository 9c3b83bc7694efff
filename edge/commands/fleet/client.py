"""A connection to the fleet's broker for one command, with MQTT 5, in which a broker says what it refuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from time import monotonic
from types import TracebackType
from typing import Any, Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from fer_edge.edge.commands.fleet.options import FleetOptions
from fer_edge.edge.device.certificates import tls_context
from fer_edge.edge.errors import FleetError, SinkError
from fer_edge.edge.sinks.mqtt.broker_url import BrokerUrl, parse_broker_url
from fer_edge.edge.sinks.mqtt.connection import KEEPALIVE, connect_problem, send_at_once

ANSWER_TIMEOUT = 10.0
"""Seconds in which the broker must answer."""


@dataclass(frozen=True)
class Message:
    """A message below the prefix.

    Attributes:
        device: The first level below the prefix.
        topic: The other levels, such as `state`.
        payload: As it came.
        retained: Whether the broker had it before the subscription.
    """

    device: str
    topic: str
    payload: bytes
    retained: bool


class FleetClient:
    """Reads and publishes below a prefix; `with` closes it.

    Attributes:
        url: The broker and the prefix.
        round_trip: Seconds that the broker took to answer the last subscription.
    """

    def __init__(self, options: FleetOptions) -> None:
        """Connect.

        Args:
            options: The broker.

        Raises:
            FleetError: The broker cannot be reached, or refuses the connection.
            SinkError: The URL is none, or the CA file cannot be read.
        """
        self.url = url = parse_broker_url(options.broker or "", option="--broker")
        self.round_trip = 0.0
        self._topics: list[str] = []
        self._messages: SimpleQueue[Message] = SimpleQueue()
        self._answers: SimpleQueue[tuple[int, Sequence[ReasonCode]]] = SimpleQueue()
        self._client = client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        if options.broker_ca and not url.tls:
            raise SinkError(f"--broker-ca: {url} is not encrypted; give mqtts://")
        if url.tls:
            try:
                client.tls_set_context(tls_context(options.broker_ca))
            except ValueError as error:
                raise SinkError(f"--broker-ca {options.broker_ca}: {error}") from None
        if url.user is not None:
            client.username_pw_set(url.user, url.password)
        client.on_socket_open = send_at_once
        client.on_message = self._on_message
        client.on_subscribe = lambda _, __, number, codes, ____: self._answers.put((number, codes))
        client.on_publish = lambda _, __, number, code, ____: self._answers.put((number, [code]))
        client.on_connect = self._on_connect
        self._connect(url)

    def _connect(self, url: BrokerUrl) -> None:
        self._client.connect_timeout = ANSWER_TIMEOUT
        try:
            self._client.connect(url.host, url.port, KEEPALIVE)
        except (OSError, ValueError) as error:
            raise FleetError(f"{url} cannot be reached: {connect_problem(error, url.tls, '--broker-ca')}") from None
        self._client.loop_start()
        try:
            _, (code,) = self._answer(f"{url} does not answer as an MQTT broker; is the port right, and mqtt or mqtts?")
        except FleetError:
            self.close()
            raise
        if code.is_failure:
            self.close()
            hint = "; it does not speak MQTT 5, which this command needs" if "rotocol" in str(code) else ""
            hint = hint or "; are user and password right?"
            raise FleetError(f"{url} refuses the connection ({code}){hint}")

    def _on_connect(self, client: Client, _: Any, flags: Any, code: ReasonCode, properties: Any) -> None:
        if self._topics and not code.is_failure:  # the connection is back
            client.subscribe([(topic, _at_most_once()) for topic in self._topics])
        self._answers.put((0, [code]))

    def _on_message(self, client: Client, _: Any, message: MQTTMessage) -> None:
        levels = message.topic.removeprefix(f"{self.url.prefix}/").split("/", 1)
        if len(levels) == 2:
            device, topic = levels
            self._messages.put(Message(device, topic, bytes(message.payload), message.retain))

    def _answer(self, problem: str) -> tuple[int, Sequence[ReasonCode]]:
        try:
            return self._answers.get(timeout=ANSWER_TIMEOUT)
        except Empty:
            raise FleetError(problem) from None

    def _forget_answers(self) -> float:
        """Drop answers of before, as of a connection that was lost and is back; the time."""
        with suppress(Empty):
            while True:
                self._answers.get_nowait()
        return monotonic()

    def subscribe(self, device: str, topics: Sequence[str]) -> None:
        """Subscribe to topics of a device, or of all.

        Args:
            device: The device's name; + for all.
            topics: Topics below the device's.

        Raises:
            FleetError: The broker refuses, or does not answer.
        """
        filters = [f"{self.url.prefix}/{device}/{topic}" for topic in topics]
        start = self._forget_answers()
        self._client.subscribe([(topic, _at_most_once()) for topic in filters])
        _, codes = self._answer(f"{self.url} does not answer a subscription")
        self.round_trip = monotonic() - start
        if any(code.is_failure for code in codes):
            raise FleetError(f"{self.url} does not let this user read {filters[0]} ({codes[0]})")
        self._topics += filters

    def publish(self, topic: str, payloads: Mapping[str, bytes]) -> dict[str, str]:
        """Publish a retained message to each of some devices, and wait until the broker has them.

        Args:
            topic: The topic below each device's.
            payloads: Device to payload; an empty one removes what the broker has.

        Returns:
            By device, why the broker refuses its message; empty where it refuses none.

        Raises:
            FleetError: The broker does not answer.
        """
        self._forget_answers()
        sent = {
            self._client.publish(f"{self.url.prefix}/{device}/{topic}", payload, qos=1, retain=True).mid: device
            for device, payload in payloads.items()
        }
        refused = {}
        while sent:
            number, (code, *_) = self._answer(f"{self.url} does not answer")
            device = sent.pop(number, None)
            if device is not None and code.is_failure:
                whole = f"{self.url.prefix}/{device}/{topic}"
                refused[device] = f"the broker does not let this user publish to {whole} ({code})"
        return refused

    @property
    def connected(self) -> bool:
        """Whether there is a connection now; one that was lost is tried again."""
        return self._client.is_connected()

    def next_message(self, timeout: float) -> Message | None:
        """The next message; None where none comes for `timeout` seconds."""
        try:
            return self._messages.get(timeout=max(0.0, timeout))
        except Empty:
            return None

    def retained_messages(self, quiet: float, limit: float) -> Iterator[Message]:
        """Messages until no retained one has come for `quiet` seconds and a few round trips, or until `limit` seconds.

        MQTT does not mark the last retained message.
        """
        now = monotonic()
        pause = quiet + 3 * self.round_trip
        end, quiet_end = now + limit, now + pause
        while (now := monotonic()) < min(end, quiet_end):
            message = self.next_message(min(end, quiet_end) - now)
            if message is not None:
                if message.retained:
                    quiet_end = monotonic() + pause
                yield message

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _at_most_once() -> Any:
    """QoS 0: with QoS 1, Mosquitto drops what goes beyond the thousand messages that it queues for a client.

    The retained messages of a fleet are more than that. TCP loses none of them.
    """
    from paho.mqtt.subscribeoptions import SubscribeOptions

    return SubscribeOptions(qos=0)
