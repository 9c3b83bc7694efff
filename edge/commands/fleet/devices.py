"""The devices of a fleet, as their retained messages describe them; anything may stand in those."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fer_edge.edge.commands.fleet.client import FleetClient, Message
from fer_edge.edge.errors import FleetError
from fer_edge.edge.files.documents import parse_json
from fer_edge.edge.sinks.mqtt.broker_url import NAME

TOPICS = ("availability", "state", "device", "settings")
"""What a device keeps at the broker."""

SUBSCRIBED = (*TOPICS, "reply", "set/+")
"""These, a device's replies, and what it is asked to set."""

MAX_BYTES = 64 << 10
"""Bytes of a message that is read: ten times the state of a model with 100 classes."""

QUIET = 0.3
"""Seconds without a retained message, beside the round trips, after which there are no more."""

READ_LIMIT = 15.0
"""Seconds for which retained messages are read at most."""

Kind = TypeVar("Kind")


@dataclass
class FleetDevice:
    """A device, and its newest messages by topic.

    Attributes:
        name: Its name, `--mqtt-id`.
        availability: `online` or `offline`; '' where the broker has neither.
        records: Topic to JSON object, for those of `TOPICS` that have one.
        requests: Key to the message that asks for a setting, which the broker keeps.
    """

    name: str
    availability: str = ""
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: dict[str, bytes] = field(default_factory=dict)

    @property
    def online(self) -> bool:
        """Whether its program is connected."""
        return self.availability == "online"

    @property
    def is_known(self) -> bool:
        """Whether its messages are those of fer-edge; others may use the prefix, too."""
        return "version" in self.records.get("device", {}) or {"faces", "fps"} <= self.records.get("state", {}).keys()

    @property
    def control(self) -> list[str]:
        """The settings that it lets others change."""
        return _texts(self.records.get("device", {}).get("control"))

    @property
    def settings(self) -> dict[str, Any]:
        """Its settings in effect by key; none where it does not let others change them."""
        return {key: value for key, value in self.records.get("settings", {}).items() if key in self.control}

    def record(self) -> dict[str, Any]:
        """The device as `fleet list --json` has it: each value of its type, or None."""
        device, state = self.records.get("device", {}), self.records.get("state", {})
        disconnected = _number(state.get("disconnected")) or 0.0
        return {
            "name": self.name,
            "online": self.online,
            "last_seen": _of(str, state.get("time")),
            "version": _of(str, device.get("version")),
            "model": _of(str, device.get("model")),
            "model_sha256": _of(str, device.get("model_sha256")),
            "source": _of(str, device.get("source")),
            "started": _of(str, device.get("started")),
            "page": _of(str, device.get("page")),
            "fps": _number(state.get("fps")),
            "faces": _number(state.get("faces")),
            "emotion": _of(str, state.get("emotion")),
            "recognition": state.get("recognition") is not False,
            "disconnected": disconnected,
            "disconnect_reason": _of(str, state.get("disconnect_reason")) if disconnected else None,
            "celsius": _number(state.get("celsius")),
            "throttling": _texts(state.get("throttling")),
            "load_level": _number(state.get("load_level")),
            "control": self.control,
            "settings": self.settings,
        }


class Fleet:
    """The devices below a prefix, by name."""

    def __init__(self) -> None:
        self._devices: dict[str, FleetDevice] = {}

    @property
    def devices(self) -> list[FleetDevice]:
        """The devices that are fer-edge's, by name."""
        return sorted((each for each in self._devices.values() if each.is_known), key=lambda each: each.name)

    @property
    def incomplete(self) -> list[str]:
        """Names under which some of what every device keeps at the broker is missing."""
        return sorted(
            each.name for each in self._devices.values() if bool(each.availability) != ("state" in each.records)
        )

    def device(self, name: str) -> FleetDevice | None:
        """The device of this name; None where none has published."""
        device = self._devices.get(name)
        return device if device and device.is_known else None

    def update(self, message: Message) -> FleetDevice | None:
        """Read a message.

        Args:
            message: Of one of `SUBSCRIBED`; an empty one removes what was there.

        Returns:
            The device that it is about; None where it is about none.
        """
        if not NAME.fullmatch(message.device) or len(message.payload) > MAX_BYTES:
            return None
        device = self._devices.setdefault(message.device, FleetDevice(message.device))
        if message.topic.startswith("set/"):
            device.requests[message.topic.removeprefix("set/")] = message.payload
            return device
        if message.topic not in TOPICS:
            return None
        if message.topic == "availability":
            word = message.payload.decode(errors="replace")
            device.availability = word if word in ("online", "offline") else ""
            return device
        try:
            record = parse_json(message.payload)
        except ValueError:
            record = None
        if isinstance(record, dict):
            device.records[message.topic] = record
        else:
            device.records.pop(message.topic, None)
        return device


def read_fleet(client: FleetClient, name: str = "+") -> Fleet:
    """Subscribe to the devices' topics and read what the broker has of them.

    Args:
        client: The connection.
        name: The name of one device; + for all.

    Returns:
        The fleet, with one device at least.

    Raises:
        FleetError: There is no device.
    """
    fleet = Fleet()
    client.subscribe(name, SUBSCRIBED)
    update_all(fleet, client.retained_messages(QUIET, READ_LIMIT))
    if incomplete := fleet.incomplete:  # on a slow connection a broker may have dropped messages
        for each in incomplete:
            client.subscribe(each, SUBSCRIBED)
        update_all(fleet, client.retained_messages(QUIET, READ_LIMIT))
    if not fleet.devices:
        what = "no device" if name == "+" else f"no device {name}"
        why = "is the prefix that of their --mqtt, and may this user read it?"
        raise FleetError(f"{what} has published at {client.url}; {why}")
    return fleet


def update_all(fleet: Fleet, messages: Iterable[Message]) -> None:
    """Read several messages."""
    for message in messages:
        fleet.update(message)


def _of(kind: type[Kind], value: object) -> Kind | None:
    return value if isinstance(value, kind) else None


def _number(value: object) -> float | None:
    usable = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return value if usable else None  # type: ignore[return-value]


def _texts(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
