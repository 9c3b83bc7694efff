"""A Mosquitto for the tests, and a client that listens to it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from network_camera import free_port
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from waiting import LIMIT, until

BASE = "home/cam"
"""The topic of the camera `cam`."""

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or "mosquitto"


class Broker:
    """Mosquitto on a free port of this machine, with further lines of configuration and no storage."""

    def __init__(self, folder: Path, *more: str, anonymous: bool = True) -> None:
        self.port = free_port()
        lines = [f"listener {self.port} 127.0.0.1", f"allow_anonymous {str(anonymous).lower()}", *more]
        if os.geteuid() == 0:
            lines.insert(0, "user root")  # otherwise it could not read its files here
        self._config = folder / "mosquitto.conf"
        self._config.write_text("\n".join(lines) + "\n")
        self._log = folder / "mosquitto.log"
        self.start()

    def start(self) -> None:
        with self._log.open("a") as log:
            self._process = subprocess.Popen([MOSQUITTO, "-c", str(self._config)], stderr=log, stdout=log)
        until(self._answers, lambda: self._log.read_text())

    def _answers(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def log(self) -> str:
        return self._log.read_text()

    def send_signal(self, number: int) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def broker(folder: Path, *more: str, anonymous: bool = True) -> Iterator[Broker]:
    """A broker that runs until the end of the block."""
    running = Broker(folder, *more, anonymous=anonymous)
    try:
        yield running
    finally:
        running.kill()


def make_certificates(folder: Path) -> None:
    """ca.pem, another.pem, and server.pem with server.key for 127.0.0.1."""
    for name in ("ca", "another"):
        about = ("-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")
        _openssl(folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *about)
    request = ("-subj", "/CN=broker", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "server.key")
    _openssl(folder, "req", "-newkey", "rsa:2048", "-nodes", *request, "-out", "server.csr")
    signing = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-copy_extensions", "copy")
    _openssl(folder, "x509", "-req", "-in", "server.csr", *signing, "-days", "2", "-out", "server.pem")


def _openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def encrypted(certificates: Path) -> list[str]:
    """The configuration lines of a broker with TLS only."""
    return [f"certfile {certificates / 'server.pem'}", f"keyfile {certificates / 'server.key'}"]


class Listener:
    """A new client that subscribes to everything; retained messages come first."""

    def __init__(self, port: int, user: str | None = None, password: str | None = None, ca: Path | None = None) -> None:
        self.messages: list[MQTTMessage] = []
        self._client = Client(CallbackAPIVersion.VERSION2)
        if user is not None:
            self._client.username_pw_set(user, password)
        if ca is not None:
            self._client.tls_set(str(ca))
        self._client.on_message = lambda client, data, message: self.messages.append(message)
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        subscribed = threading.Event()
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert subscribed.wait(LIMIT)  # messages before that, if not retained, would be missed

    def payloads(self, topic: str) -> list[Any]:
        """The payloads on this topic so far, JSON decoded."""
        return [_value(message.payload.decode()) for message in list(self.messages) if message.topic == topic]

    def wait(self, topic: str, condition: Callable[[Any], bool]) -> Any:
        """Wait for a payload on this topic that fulfils the condition."""
        until(lambda: any(map(condition, self.payloads(topic))), lambda: f"{topic}: {self.payloads(topic)}")
        return next(filter(condition, self.payloads(topic)))

    def retained(self) -> dict[str, Any]:
        """Topic to payload of the retained messages."""
        return {message.topic: _value(message.payload.decode()) for message in list(self.messages) if message.retain}

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextmanager
def listening(port: int, **options: Any) -> Iterator[Listener]:
    listener = Listener(port, **options)
    try:
        yield listener
    finally:
        listener.close()


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
