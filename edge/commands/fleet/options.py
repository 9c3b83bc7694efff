"""Options of the commands that read or change a fleet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fer_edge.edge.types import option


@dataclass(frozen=True)
class FleetOptions:
    """The broker, as `--mqtt` and `--mqtt-ca` of `fer-edge run` have it."""

    broker: str | None = option(
        None,
        "The devices' MQTT broker and prefix: mqtt[s]://[user@]host[:port]/prefix, as --mqtt of 'run' has it.",
        metavar="URL",
        example="mqtts://operator@broker.local/home",
        envvar="FER_EDGE_BROKER",
        required=True,
        network=True,
    )
    broker_ca: Path | None = option(
        None,
        "File of CA certificates to trust for mqtts.",
        metavar="PATH",
        envvar="FER_EDGE_BROKER_CA",
        show_default="the system's",
        example="/etc/ssl/certs/broker.pem",
    )
