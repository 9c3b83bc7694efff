"""`fer-edge fleet` with a real Mosquitto: what devices and others publish, read, listed, and made into targets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import cast

import pytest
from broker import Broker
from click.testing import CliRunner, Result
from fleet_broker import device, publishing
from hypothesis import given
from hypothesis import strategies as st
from network_camera import free_port

from fer_edge.edge.cli import main
from fer_edge.edge.commands.fleet.client import FleetClient, Message
from fer_edge.edge.commands.fleet.devices import TOPICS, Fleet, read_fleet
from fer_edge.edge.commands.fleet.prometheus import targets
from fer_edge.edge.commands.fleet.text import details, table
from fer_edge.edge.sinks.mqtt.payload import state_record

pytestmark = pytest.mark.system


def fleet(port: int, *words: str) -> Result:
    return CliRunner().invoke(main, ["fleet", *words, "--broker", f"mqtt://127.0.0.1:{port}/home"])


@pytest.fixture
def three(mosquitto: Broker) -> int:
    """The port of a broker with two devices, one of an older version, and of other programs' messages."""
    with publishing(mosquitto.port) as publish:
        publish("kitchen/device", device("kitchen", "http://10.0.0.7:8080/"))
        publish("kitchen/state", state_record([], 24.8))
        publish("kitchen/availability", "online")
        publish("door/device", device("door", "http://127.0.0.1:8080/"))
        publish("door/state", state_record([], 0.0, 12.5, "unplugged\x1b[2J"))
        publish("door/availability", "online")
        publish("attic/state", {"faces": 0, "fps": 9.5, "time": "2026-01-31T17:45:02.123+00:00"})
        publish("attic/availability", "offline")
        publish("thermostat/state", {"celsius": 20.5})
        publish("thermostat/availability", "online")
        publish("lamp/state", "ON")
    return mosquitto.port


def test_devices_are_listed_by_name(three: int) -> None:
    done = fleet(three, "list")
    assert done.exit_code == 0, done.output
    heading, *lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["attic", "door", "kitchen"]
    assert "offline" in lines[0] and "2026-01-31 17:45:02" in lines[0]
    assert "camera disconnected" in lines[1]
    assert "24.8" in lines[2] and "1.2" in lines[2] and "online" in lines[2]
    assert lines[2].index("ensemble") == heading.index("MODEL")


def test_json_has_every_value_with_its_type(three: int) -> None:
    attic, door, kitchen = json.loads(fleet(three, "list", "--json").stdout)
    assert kitchen["online"] and not attic["online"]
    assert (kitchen["model_sha256"], kitchen["page"]) == (64 * "a", "http://10.0.0.7:8080/")
    assert (door["disconnected"], door["disconnect_reason"]) == (12.5, "unplugged\x1b[2J")
    assert attic["version"] is None
    assert json.loads(fleet(three, "show", "door", "--json").stdout) == door


def test_one_device_is_shown_and_no_terminal_obeys_what_it_publishes(three: int) -> None:
    done = fleet(three, "show", "door")
    assert done.exit_code == 0, done.output
    assert "camera disconnected: unplugged?[2J" in done.stdout
    assert "\x1b" not in done.stdout


def test_targets_for_prometheus_are_the_pages_that_can_be_reached(three: int) -> None:
    done = fleet(three, "list", "--prometheus")
    (group,) = json.loads(done.stdout)
    assert group["targets"] == ["10.0.0.7:8080"]
    assert group["labels"]["device"] == "kitchen"
    assert "door" in done.stderr and "attic" not in done.stderr


@pytest.mark.parametrize("words", [("list",), ("show", "hall")])
def test_no_device_is_one_line(mosquitto: Broker, mistake: Callable[..., str], words: tuple[str, ...]) -> None:
    assert "no device" in mistake("fleet", *words, "--broker", f"mqtt://127.0.0.1:{mosquitto.port}/home")


def test_no_broker_is_one_line(mistake: Callable[..., str]) -> None:
    assert "cannot be reached" in mistake("fleet", "list", "--broker", f"mqtt://me:s3cret@127.0.0.1:{free_port()}")
    assert "--broker 'http" in mistake("fleet", "list", "--broker", "http://localhost")
    assert "NAME 'a/b'" in mistake("fleet", "show", "a/b", "--broker", "mqtt://localhost")


def test_what_a_broker_has_dropped_is_read_again() -> None:
    """It drops messages of a client that does not read them fast enough."""
    kept = {
        name: {"availability": b"online", "state": json.dumps(state_record([], 1.0)).encode()} for name in ("a", "b")
    }

    class DroppingClient:
        url = "mqtt://broker"

        def __init__(self) -> None:
            self.subscribed: list[str] = []

        def subscribe(self, name: str, topics: Sequence[str]) -> None:
            self.subscribed.append(name)

        def retained_messages(self, quiet: float, limit: float) -> Iterator[Message]:
            for name, topics in kept.items():
                for topic, payload in topics.items():
                    if (name, topic) != ("b", "state") or "b" in self.subscribed:
                        yield Message(name, topic, payload, True)

    client = DroppingClient()
    fleet = read_fleet(cast(FleetClient, client))
    assert client.subscribed == ["+", "b"]
    assert [device.record()["fps"] for device in fleet.devices] == [1.0, 1.0]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
keys = st.sampled_from([*device("x"), *state_record([], 1.0), "settings"])
payloads = (
    st.binary(max_size=40)
    | json_values.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(keys, json_values, max_size=20).map(lambda value: json.dumps(value).encode())
)


@given(st.lists(st.tuples(st.sampled_from(TOPICS), payloads), max_size=8))
def test_whatever_is_published_can_be_listed(messages: list[tuple[str, bytes]]) -> None:
    fleet = Fleet()
    fleet.update(Message("cam", "device", json.dumps(device("cam")).encode(), True))
    for topic, payload in messages:
        fleet.update(Message("cam", topic, payload, True))
    if (found := fleet.device("cam")) is not None:
        for line in [*table([found]), *details(found), json.dumps(found.record(), allow_nan=False)]:
            assert line.isprintable()
        targets([found])
