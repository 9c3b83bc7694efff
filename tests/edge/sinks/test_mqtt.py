"""What a broker is told, by a real Mosquitto: state, events, discovery; passwords, access rules and TLS."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any, cast

import jinja2
from broker import BASE, Broker, broker, encrypted, listening
from logs import logged
from network_camera import free_port
from paho.mqtt.client import Client, ConnectFlags
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode
from predictions import at, face
from waiting import LIMIT, until

from fer_edge.edge.sinks.events import Event
from fer_edge.edge.sinks.mqtt.broker_url import Address
from fer_edge.edge.sinks.mqtt.connection import Connection
from fer_edge.edge.sinks.mqtt.discovery import configurations
from fer_edge.edge.sinks.mqtt.payload import event_record, state_record
from fer_edge.edge.sinks.mqtt.sink import MqttSink
from fer_edge.edge.types import EMOTIONS
from fer_edge.models import FOLDER

ROOT = FOLDER.parent

# what is said


@contextmanager
def sink(port: int, name: str = "cam", user: str | None = None) -> Iterator[MqttSink]:
    """A sink that is connected, as `fer-edge run` would make it."""
    address = Address("127.0.0.1", port, "home", user=user)
    base = f"home/{name}"
    greeting = configurations("homeassistant", base, name, "ensemble", "1.2")
    with logged() as messages:
        opened = MqttSink(Connection(address, name, greeting), lambda: 0.0)
        try:
            until(lambda: any(line.endswith("connected") for line in messages))
            yield opened
        finally:
            opened.close()


def test_state_and_events(mosquitto: Broker) -> None:
    """A face that is neutral, happy, then gone, while a smaller one stays; ten frames a second."""
    small = face("sad", 2)
    neutral, happy = ([small, face(emotion, 1, 100, 160)] for emotion in ("neutral", "happy"))
    story = [neutral] * 10 + [happy] * 10 + [[small]] * 12
    with listening(mosquitto.port) as listener:
        with sink(mosquitto.port) as opened:
            for index, predictions in enumerate(story):
                opened.show(at(index / 10), predictions)
            listener.wait(f"{BASE}/event", lambda event: event["event_type"] == "face_left")
            listener.wait(f"{BASE}/state", lambda state: state["emotion"] == "sad")
        listener.wait(f"{BASE}/availability", lambda text: text == "offline")
        events = listener.said(f"{BASE}/event")
        assert [(event["event_type"], event["track"], event.get("emotion")) for event in events] == [
            ("face_came", 2, None),
            ("emotion", 2, "sad"),
            ("face_came", 1, None),
            ("emotion", 1, "neutral"),
            ("emotion", 1, "happy"),
            ("face_left", 1, "happy"),
        ]
        assert (events[4]["before"], events[4]["confidence"]) == ("neutral", 0.88)
        states = [state for state in listener.said(f"{BASE}/state") if state["faces"]]
        assert [(state["faces"], state["emotion"]) for state in states][-1] == (1, "sad")
        assert {(2, "neutral"), (2, "happy")} <= {(state["faces"], state["emotion"]) for state in states}
        assert states[0]["scores"] == {name: 0.88 if name == states[0]["emotion"] else 0.02 for name in EMOTIONS}
        assert listener.said(f"{BASE}/availability") == ["online", "offline"]
    with listening(mosquitto.port) as late:
        late.wait(f"{BASE}/state", lambda state: state["emotion"] == "sad")
        until(lambda: len(late.retained()) == 10, lambda: str(late.retained().keys()))
        assert late.retained()[f"{BASE}/availability"] == "offline"
        assert late.said(f"{BASE}/event") == []


def test_the_rate_is_bounded(mosquitto: Broker) -> None:
    """A thousand frames of the same face in no time: the events' states, and hardly any other."""
    with listening(mosquitto.port) as listener, sink(mosquitto.port) as opened:
        opened.show(at(0), [])
        listener.wait(f"{BASE}/availability", lambda text: text == "online")
        began = time.perf_counter()
        for index in range(1000):
            opened.show(at(index / 10), [face("happy")])
        seconds = time.perf_counter() - began
        opened.show(at(200), [])
        listener.wait(f"{BASE}/state", lambda state: state["faces"] == 0 and state["fps"] > 0)
        assert len(listener.said(f"{BASE}/state")) <= 4 + 2 * seconds


def test_the_newer_of_two_states_is_said_last() -> None:
    """A camera that is back while its absence is being told."""
    said: list[float] = []
    back = threading.Thread(target=lambda: opened.show(at(1), []))

    class Slow:
        def state(self, record: dict[str, Any]) -> None:
            if record["away"]:
                back.start()
                back.join(0.5)  # it must wait for its turn
            said.append(record["away"])

        def close(self) -> None:
            pass

    opened = MqttSink(cast(Connection, Slow()), lambda: 0.0)
    opened._wait(3.0)
    back.join(LIMIT)
    opened.close()
    assert said == [3.0, 0.0]


def test_a_new_connection_is_told_the_newest_state() -> None:
    """Another one comes while the last is being said anew."""
    said: list[int] = []
    newer = threading.Thread(target=lambda: connection.state({"faces": 2}))

    class Slow:
        def is_connected(self) -> bool:
            return True

        def publish(self, topic: str, payload: str, **_: Any) -> None:
            if payload == '{"faces": 1}':
                newer.start()
                newer.join(0.5)  # it must wait for its turn
            if topic == f"{BASE}/state":
                said.append(json.loads(payload)["faces"])

    connection = Connection(Address("127.0.0.1", free_port(), "home"), "cam", {})
    connection.state({"faces": 1})  # kept, for nobody is connected
    client, connection._client = connection._client, cast(Client, Slow())
    connection._connected(connection._client, None, ConnectFlags(False), ReasonCode(PacketTypes.CONNACK), None)
    newer.join(LIMIT)
    connection._client = client
    connection.close()
    assert said == [1, 2]


def test_nobody_is_online_before_its_state(mosquitto: Broker) -> None:
    """Else what is retained of yesterday would for a moment be so."""
    with listening(mosquitto.port) as listener, sink(mosquitto.port) as opened:
        opened.show(at(0), [])
        listener.wait(f"{BASE}/availability", lambda text: text == "online")
        another = Client(CallbackAPIVersion.VERSION2, client_id="fer-edge-cam")
        another.connect("127.0.0.1", mosquitto.port)  # the broker drops the first of this name
        until(lambda: listener.said(f"{BASE}/availability").count("online") == 2)
        said = [
            message.topic.removeprefix(f"{BASE}/") for message in listener.messages if message.payload != b"offline"
        ]
        assert [topic for topic in said if "/" not in topic] == ["state", "availability"] * 2
        another.disconnect()


def test_what_happened_during_an_outage_is_dropped(mosquitto: Broker, messages: list[str]) -> None:
    """Of which the client has not heard yet: the broker is silent, then gone."""
    connection = Connection(Address("127.0.0.1", mosquitto.port, "home"), "cam", {})
    until(lambda: len(messages) == 1)
    mosquitto.send_signal(signal.SIGSTOP)
    connection.event({"event_type": "face_came"})
    connection.state({"faces": 1})
    mosquitto.kill()
    mosquitto.start()
    with listening(mosquitto.port) as listener:
        listener.wait(f"{BASE}/state", lambda state: state["faces"] == 1)
        connection.event({"event_type": "face_left"})
        listener.wait(f"{BASE}/event", lambda event: event["event_type"] == "face_left")
        connection.close()
        assert len(listener.said(f"{BASE}/event")) == 1


def test_records_of_nobody_and_of_an_undecided_face() -> None:
    assert state_record([], 12.345) | {"time": ""} == {
        "time": "",
        "faces": 0,
        "track": None,
        "emotion": None,
        "confidence": None,
        "scores": None,
        "fps": 12.3,
        "away": 0.0,
    }
    assert "emotion" not in event_record(Event("face_came", 1, 0.0))
    assert event_record(Event("face_left", 1, 0.0))["emotion"] is None


# Home Assistant


def test_discovery_is_retained_and_complete(mosquitto: Broker) -> None:
    with sink(mosquitto.port) as opened:
        opened.show(at(0), [])
        with listening(mosquitto.port) as early:
            early.wait(f"{BASE}/availability", lambda text: text == "online")  # it is said last
        with listening(mosquitto.port) as listener:
            until(lambda: len(listener.retained()) == 10, lambda: str(listener.retained().keys()))
        configs = {topic: value for topic, value in listener.retained().items() if topic.endswith("/config")}
    for topic, config in configs.items():
        prefix, component, name, key, _ = topic.split("/")
        assert (prefix, name, config["unique_id"]) == ("homeassistant", "cam", key.replace("edge_", "edge_cam_"))
        assert re.fullmatch("[a-zA-Z0-9_-]+", key)
        assert component in ("sensor", "binary_sensor", "event")
        assert config["device"]["identifiers"] == ["fer_edge_cam"]
        assert config["device"]["sw_version"] == config["origin"]["sw_version"] == "1.2"
        # a camera without power is disconnected, and everything else of it unavailable
        topics = [each["topic"].removeprefix(BASE) for each in config.get("availability", [])]
        topics += [config["availability_topic"].removeprefix(BASE)] if "availability_topic" in config else []
        diagnostic = {"fer_edge_connection": [], "fer_edge_camera": ["/availability"]}
        assert topics == diagnostic.get(key, ["/availability", "/state"])
        assert config["state_topic"].startswith(f"{BASE}/")
    assert len({config["unique_id"] for config in configs.values()}) == len(configs) == 8


def test_what_home_assistant_shows() -> None:
    """Its templates are Jinja2's; it takes 'None' for unknown."""
    configs = configurations("ha", BASE, "cam", "ensemble", "1")
    record = {"faces": 2, "track": 4, "emotion": "happy", "confidence": 0.8761, "scores": {"happy": 0.9}, "fps": 24.9}
    record["away"] = 0.0
    nobody = {"faces": 0, "track": None, "emotion": None, "confidence": None, "scores": None, "fps": 0.0, "away": 2.5}

    def config(kind: str) -> Any:
        return next(config for topic, config in configs.items() if topic.endswith(f"_{kind}/config"))

    def rendered(template: str, state: dict[str, Any]) -> str:
        return jinja2.Environment().from_string(template).render(value_json=state)

    def shown(kind: str, state: dict[str, Any], template: str = "value_template") -> str:
        return rendered(config(kind)[template], state)

    kinds = ("emotion", "confidence", "faces", "face", "fps", "camera")
    assert [shown(kind, record) for kind in kinds] == ["happy", "87.6", "2", "ON", "24.9", "ON"]
    assert [shown(kind, nobody) for kind in kinds] == ["None", "None", "0", "OFF", "0.0", "OFF"]
    filming = config("emotion")["availability"][1]["value_template"]
    assert [rendered(filming, state) for state in (record, nobody)] == ["online", "offline"]
    attributes = json.loads(shown("emotion", record, "json_attributes_template"))
    assert attributes == {"track": 4, "scores": {"happy": 0.9}}


# who may, and in secret


def answer(address: Address, ca: Path | None = None) -> str:
    """The first line that is logged of a connection."""
    with logged() as messages:
        connection = Connection(address, "cam", {}, ca)
        until(lambda: bool(messages))
        connection.close()
        return messages[0].removeprefix(f"{address}/cam: ")


def test_a_password_right_and_wrong(tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), "me", "ö 1"], check=True, capture_output=True)
    with broker(tmp_path, f"password_file {passwords}", anonymous=False) as running:
        wrong, right = (answer(Address("127.0.0.1", running.port, "home", False, "me", word)) for word in ("no", "ö 1"))
        with listening(running.port, user="me", password="ö 1") as listener:
            listener.wait(f"{BASE}/availability", lambda text: text == "offline")
    assert wrong == "the broker refuses (Not authorized); are user and password right?; trying again"
    assert right == "connected"


def test_the_documented_access_rules(tmp_path: Path) -> None:
    """Each camera writes under its own name, and Home Assistant reads it."""
    (rules,) = re.findall(r"```acl\n(.*?)\n *```", (ROOT / "docs" / "mqtt.md").read_text(), re.DOTALL)
    (tmp_path / "acl").write_text(dedent(rules) + "\n")
    with (
        broker(tmp_path, f"acl_file {tmp_path / 'acl'}") as running,
        listening(running.port, user="homeassistant") as listener,
        sink(running.port, user="cam") as opened,
    ):
        for index in range(10):
            opened.show(at(index / 10), [face("happy")])
        listener.wait(f"{BASE}/event", lambda event: event.get("emotion") == "happy")
        listener.wait(f"{BASE}/state", lambda state: state["emotion"] == "happy")
        with sink(running.port, "door", "cam") as refused, sink(running.port, "hall", "hall") as hall:
            for each in (refused, hall):
                each.show(at(0), [])
            listener.wait("home/hall/availability", lambda text: text == "online")
            listener.wait("homeassistant/binary_sensor/hall/fer_edge_face/config", lambda config: config["name"])
        listener.wait("home/hall/availability", lambda text: text == "offline")
        assert not any("door" in message.topic for message in listener.messages)


def test_tls(tmp_path: Path, certificates: Path) -> None:
    with broker(tmp_path, *encrypted(certificates)) as running:
        address = Address("127.0.0.1", running.port, "home", True)
        another, none, right = (
            answer(address, ca) for ca in (certificates / "another.pem", None, certificates / "ca.pem")
        )
        other_host = answer(replace(address, host="localhost"), certificates / "ca.pem")
        with listening(running.port, ca=certificates / "ca.pem") as listener:
            listener.wait(f"{BASE}/availability", lambda text: text == "offline")
    for untrusted in (another, none):
        assert untrusted.endswith("; give its authority's certificate as --mqtt-ca; trying again")
    assert "not valid for 'localhost'" in other_host
    assert "--mqtt-ca" not in other_host
    assert right == "connected"
