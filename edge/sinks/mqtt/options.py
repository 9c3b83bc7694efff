"""Options of the MQTT output."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fer_edge.edge.types import option


@dataclass(frozen=True)
class MqttOptions:
    """The broker, and the camera's name there."""

    mqtt: str | None = option(
        None,
        "Publish to an MQTT broker: mqtt[s]://[user@]host[:port]/prefix.",
        metavar="URL",
        example="mqtt://broker.local/home",
        network=True,
    )
    mqtt_id: str | None = option(
        None,
        "Name of this camera in topics.",
        metavar="NAME",
        show_default="host and camera",
        example="door",
    )
    mqtt_ca: Path | None = option(
        None,
        "File of CA certificates to trust for mqtts.",
        metavar="PATH",
        show_default="the system's",
        example="/etc/ssl/certs/broker.pem",
    )
    mqtt_control: bool = option(
        False, "Let clients of the broker change a few settings of this run, as 'fer-edge fleet set' does."
    )
    mqtt_discovery: str = option(
        "homeassistant", "Discovery prefix of Home Assistant; none turns discovery off.", metavar="PREFIX"
    )
