"""The broker of examples/mosquitto/ on a free port of this machine, and messages as devices publish them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from broker import Broker, broker
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from fer_edge.edge.sinks.mqtt.payload import device_record
from fer_edge.models import FOLDER

EXAMPLE = FOLDER.parent / "examples" / "mosquitto"

PASSWORD = "s3cret"


@contextmanager
def fleet_broker(folder: Path, certificates: Path, users: Sequence[str]) -> Iterator[Broker]:
    """Run it.

    Args:
        folder: Where its files are written.
        certificates: The folder of its certificate, see `broker.make_certificates`.
        users: Its users, whose password is PASSWORD.

    Yields:
        The broker.
    """
    paths = {
        "/etc/mosquitto/certs/broker.pem": certificates / "server.pem",
        "/etc/mosquitto/certs/broker.key": certificates / "server.key",
        "/etc/mosquitto/passwords": folder / "passwords",
        "/etc/mosquitto/acl": EXAMPLE / "acl",
    }
    (folder / "passwords").write_text("".join(f"{user}:{PASSWORD}\n" for user in users))
    subprocess.run(["mosquitto_passwd", "-U", str(folder / "passwords")], check=True, capture_output=True)
    lines = (EXAMPLE / "fer-edge.conf").read_text().splitlines()
    own = [line for line in lines if line and line.split()[0] not in ("#", "listener", "allow_anonymous")]
    for there, here in paths.items():
        own = [line.replace(there, str(here)) for line in own]
    assert "allow_anonymous false" in lines
    with broker(folder, *own, anonymous=False) as running:
        yield running


@contextmanager
def publishing(port: int) -> Iterator[Callable[[str, object], None]]:
    """A function that publishes retained messages below home/."""
    client = Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.loop_start()

    def publish(topic: str, payload: object) -> None:
        text = payload if isinstance(payload, str | bytes) else json.dumps(payload)
        client.publish(f"home/{topic}", text, qos=1, retain=True).wait_for_publish(10)

    try:
        yield publish
    finally:
        client.disconnect()
        client.loop_stop()


def device(name: str, page: str | None = None, version: str = "1.2") -> dict[str, Any]:
    """What a device publishes of itself."""
    return device_record(name, version, "ensemble", 64 * "a", "/dev/video0", page, [])
