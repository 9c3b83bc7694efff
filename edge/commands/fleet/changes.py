"""A change of a setting: published to each device, and the answers of all."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from time import monotonic
from typing import Any

from fer_edge.edge.commands.fleet.client import FleetClient, Message
from fer_edge.edge.commands.fleet.devices import MAX_BYTES, Fleet, FleetDevice, update_all
from fer_edge.edge.commands.fleet.settings import SETTINGS
from fer_edge.edge.errors import FleetError, printable, shortened
from fer_edge.edge.files.documents import parse_json
from fer_edge.edge.sinks.mqtt.setting import Request, Setting, Value

SWITCH_WORDS = {"on": True, "true": True, "off": False, "false": False}


@dataclass(frozen=True)
class Outcome:
    """What has become of a change at a device.

    Attributes:
        accepted: Whether the device has accepted it.
        text: What it or the broker says, or why it could not be asked.
    """

    accepted: bool
    text: str


def parse_value(key: str, text: str) -> Value:
    """Read a setting's value from a command line.

    Args:
        key: The setting.
        text: `on` or `off`, or a number.

    Returns:
        The value.

    Raises:
        FleetError: There is no such setting, or it does not take the value.
    """
    setting = known_setting(key)
    value: Any = SWITCH_WORDS.get(text.lower(), text)
    if setting.kind is not bool:
        try:
            value = setting.kind(text)
        except ValueError:
            value = text
    try:
        return setting.checked(value)
    except ValueError as error:
        expected = "expected on or off" if setting.kind is bool else str(error).rpartition(": ")[2]
        raise FleetError(f"{key} {shortened(repr(text))}: {expected}") from None


def known_setting(key: str) -> Setting:
    """The setting of this key; raises FleetError where there is none."""
    if key not in SETTINGS:
        raise FleetError(f"there is no setting {shortened(repr(key))}; expected one of {', '.join(SETTINGS)}")
    return SETTINGS[key]


def change_setting(
    client: FleetClient, fleet: Fleet, names: Collection[str], key: str, value: Value | None, timeout: float
) -> dict[str, Outcome]:
    """Ask devices for a value, and wait until each has answered. What a device refuses does not stay at the broker.

    Args:
        client: The connection, subscribed to these devices.
        fleet: The devices, which are kept up to date.
        names: Names of devices in it.
        key: The setting.
        value: The value; None for that of the device's start.
        timeout: Seconds to wait for the answers.

    Returns:
        Name to outcome.

    Raises:
        FleetError: A device is unknown, or the broker does not answer.
    """
    devices = {name: _known(fleet, name, client) for name in names}
    outcomes = {name: Outcome(False, why) for name, each in devices.items() if (why := _why_not(each, key))}
    asked = {name: each for name, each in devices.items() if name not in outcomes}
    before = {name: each.requests.get(key, b"") for name, each in asked.items()}
    request = Request(value, secrets.token_hex(8))
    payload = b"" if value is None else request.payload()
    refused = client.publish(f"set/{key}", dict.fromkeys(asked, payload))
    outcomes |= {name: Outcome(False, why) for name, why in refused.items()}
    waiting = asked.keys() - refused.keys()
    identity = None if value is None else request.id
    outcomes |= _answers(client, fleet, {name for name in waiting if asked[name].online}, key, identity, timeout)
    for name in waiting - outcomes.keys():
        outcomes[name] = Outcome(False, _no_answer(asked[name], timeout, removed=value is None))
    if rejected := {name for name in waiting if _is_refusal(outcomes[name])}:
        client.publish(f"set/{key}", {name: before[name] for name in rejected})
    return outcomes


def _known(fleet: Fleet, name: str, client: FleetClient) -> FleetDevice:
    device = fleet.device(name)
    if device is None:
        raise FleetError(f"no device {name} has published at {client.url}; 'fer-edge fleet list' lists those that have")
    return device


def _why_not(device: FleetDevice, key: str) -> str | None:
    """Why a device cannot be asked; None where it can."""
    if not device.control:
        return "its settings cannot be changed; start it with --mqtt-control"
    if key not in device.control:
        hint = "; it has neither --on nor --snapshot-dir" if key == "cooldown" else ""
        return f"it has no setting {key}{hint}; it has {shortened(', '.join(device.control), 200)}"
    return None


REFUSED = "refused: "


def _answers(
    client: FleetClient, fleet: Fleet, names: set[str], key: str, identity: str | None, timeout: float
) -> dict[str, Outcome]:
    """The devices' replies, as far as they come."""
    outcomes: dict[str, Outcome] = {}
    end = monotonic() + timeout
    while names - outcomes.keys() and (message := client.next_message(end - monotonic())) is not None:
        update_all(fleet, [message])
        reply = _reply(message)
        if message.device in names and reply.get("key") == key and reply.get("id") == identity:
            accepted, text = reply.get("accepted") is True, shortened(printable(reply.get("text")), 300)
            outcomes[message.device] = Outcome(accepted, text if accepted else f"{REFUSED}{text}")
    return outcomes


def _is_refusal(outcome: Outcome) -> bool:
    return not outcome.accepted and outcome.text.startswith(REFUSED)


def _reply(message: Message) -> dict[str, Any]:
    if message.topic != "reply" or message.retained or len(message.payload) > MAX_BYTES:
        return {}
    try:
        record = parse_json(message.payload)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def _no_answer(device: FleetDevice, timeout: float, removed: bool) -> str:
    why = f"it has not answered within {timeout:g} s" if device.online else "it is offline"
    if removed:
        return f"{why}; the setting is removed from the broker, and the device's own holds when it is back"
    return f"{why}; the broker keeps the setting until it is back (--unset removes it)"
