"""Devices that publish a recorded session, with a client each as `fer-edge run` has it, and take settings as it does.

`python -m fer_edge.benchmarks.fleet.replay` reads its task as JSON from stdin, says "ready" when all are connected, and
runs until stdin ends. One thread serves all clients, as hundreds of threads would measure themselves.
"""

from __future__ import annotations

import heapq
import json
import os
import random
import selectors
import ssl
import sys
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from fer_edge.benchmarks.fleet.session import Session, load_session
from fer_edge.edge.commands.fleet.settings import SETTINGS
from fer_edge.edge.device.certificates import tls_context
from fer_edge.edge.sinks.mqtt.connection import KEEPALIVE, send_at_once
from fer_edge.edge.sinks.mqtt.control import INTERVAL, Control, StartValue
from fer_edge.edge.sinks.mqtt.discovery import discovery_messages
from fer_edge.edge.sinks.mqtt.payload import device_record, timestamp

START_VALUES = {"recognition": True, "hold": 0.5, "detect-every": 4, "smooth": 0.3}

CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")

VERSION = "replay"


@dataclass(frozen=True)
class Task:
    """What a process of replaying devices does.

    Attributes:
        port: The broker's port on 127.0.0.1.
        names: The devices' names, which are their users' where there is a password.
        session: The session's file.
        prefix: The topics' prefix.
        password: The devices' password, or None.
        ca: The CA's certificate for TLS, or None.
    """

    port: int
    names: list[str]
    session: str
    prefix: str = "home"
    password: str | None = None
    ca: str | None = None


@dataclass
class Device:
    """A device with its client and settings.

    Attributes:
        client: Its connection.
        base: Its topic.
        control: Its settings.
        control_due: When its settings take messages next, seconds; None while there are none.
    """

    client: Client
    base: str
    control: Control
    control_due: float | None = None
    last_round: float = field(default=0.0)

    def publish(self, topic: str, payload: str, retain: bool = False, qos: int = 0) -> None:
        """Publish below its topic."""
        self.client.publish(f"{self.base}/{topic}", payload, qos=qos, retain=retain)

    def receive(self, client: Client, _: Any, message: MQTTMessage) -> None:
        """Take a message about a setting; it is applied as soon as the device's own thread would do it."""
        self.control.receive(message.topic.removeprefix(f"{self.base}/set/"), bytes(message.payload))
        self.control_due = max(monotonic(), self.last_round + INTERVAL)

    def process_if_due(self, now: float) -> None:
        """Apply what has come."""
        if self.control_due is not None and now >= self.control_due:
            self.control_due, self.last_round = None, now
            self.control.process()


def connect(name: str, task: Task) -> Device:
    """Connect a device, which publishes what `fer-edge run` publishes then."""
    client = Client(CallbackAPIVersion.VERSION2, client_id=f"fer-edge-{name}")
    if task.ca is not None:
        client.tls_set_context(tls_context(Path(task.ca)))
    if task.password is not None:
        client.username_pw_set(name, task.password)
    base = f"{task.prefix}/{name}"
    device = Device(client, base, Control([StartValue(SETTINGS[key], value) for key, value in START_VALUES.items()]))
    device.control.publish = lambda topic, payload, retain: device.publish(topic, payload, retain, qos=1)
    client.will_set(f"{base}/availability", "offline", qos=1, retain=True)
    client.on_socket_open = send_at_once
    client.on_message = device.receive
    client.on_subscribe = lambda *_: device.control.subscribed()
    record = device_record(name, VERSION, "ensemble", 64 * "0", "replay", None, device.control.keys)
    records = {f"{base}/device": record}
    records |= discovery_messages("homeassistant", base, name, "ensemble", VERSION, CLASSES)

    def on_connect(client: Client, *_: Any) -> None:
        for topic, payload in records.items():
            client.publish(topic, json.dumps(payload), qos=1, retain=True)
        device.control.connecting()
        client.subscribe(f"{base}/set/+", qos=1)

    client.on_connect = on_connect
    client.connect("127.0.0.1", task.port, KEEPALIVE)
    return device


class Replay:
    """All devices of a process in one loop."""

    def __init__(self, task: Task, session: Session) -> None:
        """Connect all; each begins the session at another place."""
        self._session, self._selector = session, selectors.DefaultSelector()
        self._devices = [connect(name, task) for name in task.names]
        for device in self._devices:
            connection = device.client.socket()
            assert connection is not None  # it has been opened just now
            self._selector.register(connection.fileno(), selectors.EVENT_READ, device)
        places = random.Random(os.getpid())
        now = monotonic()
        self._due: list[tuple[float, int, int]] = []  # when, of which device, which message
        for number, _ in enumerate(self._devices):
            index = places.randrange(len(session.messages))
            self._due.append((now + places.uniform(0, 1), number, index))
        heapq.heapify(self._due)
        self._online: set[int] = set()
        self._misc_due = now

    @property
    def complete(self) -> bool:
        """Whether all devices are online."""
        return len(self._online) == len(self._devices)

    def step(self) -> None:
        """Read what has come and publish what is due."""
        waits = [self._due[0][0], *(each.control_due for each in self._devices if each.control_due is not None)]
        for key, _ in self._selector.select(max(0.0, min(0.05, min(waits) - monotonic()))):
            _read(key.data.client)
        now = monotonic()
        while self._due[0][0] <= now:
            self._publish(*heapq.heappop(self._due))
        for device in self._devices:
            device.process_if_due(now)
            if device.client.want_write():
                device.client.loop_write()
        if now >= self._misc_due:
            self._misc_due = now + 1.0
            for device in self._devices:
                device.client.loop_misc()

    def _publish(self, due: float, number: int, index: int) -> None:
        offset, topic, record = self._session.messages[index]
        device = self._devices[number]
        if device.client.is_connected():
            device.publish(topic, json.dumps(record | {"time": timestamp()}), retain=topic == "state")
            if topic == "state" and number not in self._online:
                self._online.add(number)
                device.publish("availability", "online", retain=True, qos=1)
        following = (index + 1) % len(self._session.messages)
        pause = self._session.messages[following][0] - offset
        pause += self._session.seconds if following == 0 else 0.0
        heapq.heappush(self._due, (due + max(0.0, pause), number, following))


def _read(client: Client) -> None:
    """Read all that has come; TLS may have decrypted more than the socket shows."""
    client.loop_read()
    connection = client.socket()
    while isinstance(connection, ssl.SSLSocket) and connection.pending():
        client.loop_read()


def main() -> None:
    """Replay until stdin ends."""
    task = Task(**json.loads(sys.stdin.readline()))
    replay, ready = Replay(task, load_session(Path(task.session))), False
    os.set_blocking(sys.stdin.fileno(), False)
    while os_open(sys.stdin.fileno()):
        replay.step()
        if replay.complete and not ready:
            ready = True
            print("ready", flush=True)


def os_open(descriptor: int) -> bool:
    """Whether a pipe that is not read from is still open."""
    try:
        return os.read(descriptor, 1) != b""
    except BlockingIOError:
        return True


if __name__ == "__main__":
    main()
