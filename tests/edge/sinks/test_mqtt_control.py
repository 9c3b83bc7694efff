"""Settings that messages change: what is accepted, refused, removed, and how little any number of messages can do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_edge.edge.commands.fleet.settings import SETTINGS
from fer_edge.edge.sinks.mqtt.control import MAX_PENDING, SETTLE_TIME, Control, StartValue
from fer_edge.edge.sinks.mqtt.setting import MAX_BYTES, Request, parse_request

START = {"recognition": True, "hold": 0.5, "cooldown": 5.0, "detect-every": 4, "smooth": 0.3}


class Device:
    """A control whose messages are published into lists, and whose clock stands still."""

    def __init__(self) -> None:
        self.now = 0.0
        self.applied: dict[str, Any] = {}
        self.published: list[tuple[str, Any]] = []
        settings = [StartValue(setting, START[key]) for key, setting in SETTINGS.items()]
        self.control = Control(settings, lambda: self.now)
        self.control.publish = lambda topic, payload, retain: self.published.append((topic, json.loads(payload)))
        self.control._apply = self.applied.__setitem__

    def connect(self, **kept: str) -> None:
        self.control.connecting()
        for key, payload in kept.items():
            self.control.receive(key, payload.encode())
        self.control.subscribed()

    def send(self, key: str, payload: bytes | str) -> dict[str, Any]:
        """Its reply to a message."""
        self.control.receive(key, payload.encode() if isinstance(payload, str) else payload)
        self.published.clear()
        self.control.process()
        (reply,) = (record for topic, record in self.published if topic == "reply")
        assert isinstance(reply, dict)
        return reply


@pytest.mark.parametrize(
    ("key", "value"),
    [("recognition", False), ("hold", 1.5), ("hold", 0), ("cooldown", 10**9), ("detect-every", 1), ("smooth", 0.0)],
)
def test_a_value_in_its_options_range_is_applied(key: str, value: Any) -> None:
    device = Device()
    reply = device.send(key, Request(value, "a7").payload())
    assert (reply["accepted"], reply["id"], reply["value"]) == (True, "a7", value)
    assert device.applied == {key: value}
    assert device.control.values == START | {key: value}
    assert ("settings", START | {key: value}) in device.published


@pytest.mark.parametrize(
    ("key", "payload", "why"),
    [
        ("hold", '{"value": -1}', "from 0"),
        ("hold", '{"value": 1e9999}', "not JSON"),
        ("hold", '{"value": 2000000000}', "to 1,000,000,000"),
        ("hold", '{"value": NaN}', "not JSON"),
        ("hold", '{"value": "1"}', "a number"),
        ("hold", '{"value": true}', "a number"),
        ("hold", '{"value": null}', "a number"),
        ("hold", "1", '{"value": …}'),
        ("hold", '{"value": 1, "more": 2}', '{"value": …}'),
        ("hold", '{"value": 1, "value": 2}', "twice"),
        ("hold", '{"value": 1, "id": 7}', "the id"),
        ("hold", "[" * MAX_BYTES, "not JSON"),
        ("hold", '{"value": ' + 10**6 * " " + "1}", "more than 512 bytes"),
        ("hold", b"\xff\x00", "UTF-8"),
        ("detect-every", '{"value": 0}', "a whole number from 1"),
        ("detect-every", '{"value": 2.0}', "a whole number"),
        ("recognition", '{"value": 0}', "true or false"),
        ("recognition", '{"value": "off"}', "true or false"),
        ("window", '{"value": 1}', "expected one of recognition, hold"),
        ("x" * 60000, "", "no such setting"),
    ],
)
def test_anything_else_is_refused_in_words(key: str, payload: str | bytes, why: str) -> None:
    device = Device()
    reply = device.send(key, payload)
    assert not reply["accepted"]
    assert why in reply["text"]
    assert len(json.dumps(reply)) < 1000
    assert (device.applied, device.control.values) == ({}, START)


requests = st.fixed_dictionaries({"value": st.floats() | st.integers() | st.booleans() | st.text(max_size=9)})
payloads = st.binary(max_size=60) | requests.map(lambda record: json.dumps(record).encode())


@given(st.lists(st.tuples(st.sampled_from([*SETTINGS, "other"]), payloads), max_size=12))
def test_no_message_does_harm(messages: list[tuple[str, bytes]]) -> None:
    device = Device()
    device.connect()
    for key, payload in messages:
        device.control.receive(key, payload)
        device.control.process()
    assert device.control.values == START | device.applied
    for key, value in device.control.values.items():
        assert SETTINGS[key].checked(value) == value
        assert type(value) is SETTINGS[key].kind


@given(st.sampled_from([*SETTINGS]).flatmap(lambda key: st.tuples(st.just(key), st.floats(0, 1e9) | st.integers(1, 9))))
def test_a_request_is_read_as_it_was_written(case: tuple[str, float]) -> None:
    request = Request(case[1], case[0])
    assert parse_request(request.payload()) == request


def test_an_empty_message_brings_the_start_value_back() -> None:
    device = Device()
    device.send("hold", '{"value": 2}')
    reply = device.send("hold", b"")
    assert (reply["accepted"], reply["value"], device.applied["hold"]) == (True, 0.5, 0.5)


def test_what_was_removed_during_an_outage_is_back_at_its_start_value() -> None:
    device = Device()
    device.connect(hold='{"value": 2}', smooth='{"value": 0}')
    device.control.process()
    assert device.control.values == START | {"hold": 2.0, "smooth": 0.0}
    device.connect(smooth='{"value": 0}')
    device.control.process()
    assert device.control.values["hold"] == 2.0  # the broker may not have sent it yet
    device.now += SETTLE_TIME
    device.control.process()
    assert device.control.values == START | {"smooth": 0.0}


def test_a_flood_of_messages_is_one_change_a_round() -> None:
    device = Device()
    for number in range(100_000):
        device.control.receive(f"unknown {number}", b"x")
        device.control.receive("hold", b'{"value": %d}' % number)
    device.control.process()
    replies = [record for topic, record in device.published if topic == "reply"]
    assert len(replies) <= MAX_PENDING + len(SETTINGS)
    assert device.applied == {"hold": 99_999.0}
    assert len(device.control._notes) <= MAX_PENDING
