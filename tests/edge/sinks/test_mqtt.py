"""States, events and discovery at a real Mosquitto; passwords, access rules and TLS."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace
from typing import Any

import jinja2
import pytest
from broker import BASE, Broker, broker, encrypted, listening
from logs import logged
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from predictions import CLASSES, at, face
from sockets import peer, sends_at_once
from waiting import until

from fer_edge.edge.sinks.events import Event
from fer_edge.edge.sinks.mqtt import connection, connection_log
from fer_edge.edge.sinks.mqtt.broker_url import BrokerUrl
from fer_edge.edge.sinks.mqtt.connection import Connection
from fer_edge.edge.sinks.mqtt.discovery import discovery_messages
from fer_edge.edge.sinks.mqtt.payload import event_record, state_record
from fer_edge.edge.sinks.mqtt.sink import MqttSink
from fer_edge.models import FOLDER

ROOT = FOLDER.parent

# states and events


@contextmanager
def sink(port: int, name: str = "cam", user: str | None = None) -> Iterator[MqttSink]:
    """A connected sink, as `fer-edge run` makes it."""
    url = BrokerUrl("127.0.0.1", port, "home", user=user)
    base = f"home/{name}"
    discovery = discovery_messages("homeassistant", base, name, "ensemble", "1.2", CLASSES)
    with logged() as messages:
        connected = MqttSink(Connection(url, name, discovery), lambda: 0.0)
        try:
            until(lambda: any(line.endswith("connected") for line in messages))
            yield connected
        finally:
            connected.close()


def test_messages_are_sent_at_once() -> None:
    """Else a state waits up to 40 ms until the broker has acknowledged the event before it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connection = Connection(BrokerUrl("127.0.0.1", server.getsockname()[1], "home"), "cam", {})
        try:
            broker_end, _ = server.accept()
            with broker_end, until(lambda: peer(broker_end)) as client:
                assert broker_end.recv(1) == b"\x10"  # CONNECT
                assert sends_at_once(client)
        finally:
            connection.close()


def test_state_and_events(mosquitto: Broker) -> None:
    """A face that is neutral, happy, then gone, while a smaller one stays; ten frames per second."""
    small = face("sad", 2)
    neutral, happy = ([small, face(emotion, 1, 100, 160)] for emotion in ("neutral", "happy"))
    story = [neutral] * 10 + [happy] * 10 + [[small]] * 12
    with listening(mosquitto.port) as listener:
        with sink(mosquitto.port) as camera:
            for index, predictions in enumerate(story):
                camera.show(at(index / 10), predictions)
            listener.wait(f"{BASE}/event", lambda event: event["event_type"] == "face_left")
            listener.wait(f"{BASE}/state", lambda state: state["emotion"] == "sad")
        listener.wait(f"{BASE}/availability", lambda text: text == "offline")
        events = listener.payloads(f"{BASE}/event")
        assert [(event["event_type"], event["track"], event.get("emotion")) for event in events] == [
            ("face_came", 2, None),
            ("emotion", 2, "sad"),
            ("face_came", 1, None),
            ("emotion", 1, "neutral"),
            ("emotion", 1, "happy"),
            ("face_left", 1, "happy"),
        ]
        assert (events[4]["before"], events[4]["confidence"]) == ("neutral", 0.88)
        states = [state for state in listener.payloads(f"{BASE}/state") if state["faces"]]
        assert [(state["faces"], state["emotion"]) for state in states][-1] == (1, "sad")
        assert {(2, "neutral"), (2, "happy")} <= {(state["faces"], state["emotion"]) for state in states}
        assert states[0]["scores"] == {name: 0.88 if name == states[0]["emotion"] else 0.02 for name in CLASSES}
        assert listener.payloads(f"{BASE}/availability") == ["online", "offline"]
    with listening(mosquitto.port) as late:
        late.wait(f"{BASE}/state", lambda state: state["emotion"] == "sad")
        until(lambda: len(late.retained()) == 10, lambda: str(late.retained().keys()))
        assert late.retained()[f"{BASE}/availability"] == "offline"
        assert late.payloads(f"{BASE}/event") == []


def test_the_rate_is_bounded(mosquitto: Broker) -> None:
    """A thousand frames of the same face in no time publish the events' states, and hardly any other."""
    with listening(mosquitto.port) as listener, sink(mosquitto.port) as camera:
        camera.show(at(0), [])
        listener.wait(f"{BASE}/availability", lambda text: text == "online")
        start = time.perf_counter()
        for index in range(1000):
            camera.show(at(index / 10), [face("happy")])
        seconds = time.perf_counter() - start
        camera.show(at(200), [])
        listener.wait(f"{BASE}/state", lambda state: state["faces"] == 0 and state["fps"] > 0)
        assert len(listener.payloads(f"{BASE}/state")) <= 4 + 2 * seconds


def test_the_newer_of_two_states_is_published_last() -> None:
    """A frame comes while the monitor's thread publishes that the camera is disconnected."""
    states: list[float] = []
    answers = [3.0]  # the camera is disconnected once
    frame = threading.Thread(target=lambda: camera.show(at(1), []))

    class SlowConnection:
        def publish_state(self, record: dict[str, Any]) -> None:
            if record["disconnected"]:
                frame.start()
                frame.join(0.5)  # it must wait for its turn
            states.append(record["disconnected"])

        def publish_event(self, record: dict[str, Any]) -> None:
            pass

        def close(self) -> None:
            pass

    camera = MqttSink(SlowConnection(), lambda: answers.pop() if answers else 0.0, check_interval=0.01)
    until(lambda: len(states) == 2)
    camera.close()
    assert states == [3.0, 0.0]


def test_a_new_connection_publishes_the_newest_state_last(mosquitto: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer state comes while the one from before the connection is published."""
    states: list[int] = []
    newer = threading.Thread(target=lambda: connection.publish_state({"faces": 2}))
    publish = Client.publish

    def slow_publish(client: Client, topic: str, payload: str, **options: Any) -> Any:
        if payload == '{"faces": 1}':
            newer.start()
            newer.join(0.5)  # it must wait for its turn
        if topic == f"{BASE}/state":
            states.append(json.loads(payload)["faces"])
        return publish(client, topic, payload, **options)

    monkeypatch.setattr(Client, "publish", slow_publish)
    mosquitto.kill()
    connection = Connection(BrokerUrl("127.0.0.1", mosquitto.port, "home"), "cam", {})
    connection.publish_state({"faces": 1})  # kept until there is a connection
    mosquitto.start()
    until(lambda: len(states) == 2)
    connection.close()
    assert states == [1, 2]


def test_online_is_published_after_the_state(mosquitto: Broker) -> None:
    """Otherwise a retained state of yesterday would for a moment seem current."""
    with listening(mosquitto.port) as listener, sink(mosquitto.port) as camera:
        camera.show(at(0), [])
        listener.wait(f"{BASE}/availability", lambda text: text == "online")
        another = Client(CallbackAPIVersion.VERSION2, client_id="fer-edge-cam")
        another.connect("127.0.0.1", mosquitto.port)  # the broker drops the first of this name
        until(lambda: listener.payloads(f"{BASE}/availability").count("online") == 2)
        topics = [
            message.topic.removeprefix(f"{BASE}/") for message in listener.messages if message.payload != b"offline"
        ]
        assert [topic for topic in topics if "/" not in topic] == ["state", "availability"] * 2
        another.disconnect()


def test_events_during_an_outage_are_dropped(mosquitto: Broker, messages: list[str]) -> None:
    """Even before the client notices it: the broker is silent, then gone."""
    connection = Connection(BrokerUrl("127.0.0.1", mosquitto.port, "home"), "cam", {})
    until(lambda: len(messages) == 1)
    mosquitto.send_signal(signal.SIGSTOP)
    connection.publish_event({"event_type": "face_came"})
    connection.publish_state({"faces": 1})
    mosquitto.kill()
    mosquitto.start()
    with listening(mosquitto.port) as listener:
        listener.wait(f"{BASE}/state", lambda state: state["faces"] == 1)
        connection.publish_event({"event_type": "face_left"})
        listener.wait(f"{BASE}/event", lambda event: event["event_type"] == "face_left")
        connection.close()
        assert len(listener.payloads(f"{BASE}/event")) == 1


def test_records_without_a_face_and_without_an_emotion() -> None:
    assert state_record([], 12.345) | {"time": ""} == {
        "time": "",
        "faces": 0,
        "track": None,
        "emotion": None,
        "confidence": None,
        "scores": None,
        "fps": 12.3,
        "disconnected": 0.0,
        "disconnect_reason": None,
        "recognition": True,
        "celsius": None,
        "throttling": [],
        "load_level": 0,
    }
    assert "emotion" not in event_record(Event("face_came", 1, 0.0))
    assert event_record(Event("face_left", 1, 0.0))["emotion"] is None


# Home Assistant


def test_discovery_is_retained_and_complete(mosquitto: Broker) -> None:
    with sink(mosquitto.port) as camera:
        camera.show(at(0), [])
        with listening(mosquitto.port) as early:
            early.wait(f"{BASE}/availability", lambda text: text == "online")  # it is published last
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
        # of a camera without power only the connection is available
        topics = [each["topic"].removeprefix(BASE) for each in config.get("availability", [])]
        topics += [config["availability_topic"].removeprefix(BASE)] if "availability_topic" in config else []
        diagnostic = {"fer_edge_connection": [], "fer_edge_camera": ["/availability"]}
        assert topics == diagnostic.get(key, ["/availability", "/state"])
        assert config["state_topic"].startswith(f"{BASE}/")
    assert len({config["unique_id"] for config in configs.values()}) == len(configs) == 8


def test_templates_of_home_assistant() -> None:
    """They are Jinja2 templates; Home Assistant takes 'None' for unknown."""
    configs = discovery_messages("ha", BASE, "cam", "ensemble", "1", CLASSES)
    record = {"faces": 2, "track": 4, "emotion": "happy", "confidence": 0.8761, "scores": {"happy": 0.9}, "fps": 24.9}
    record |= {"disconnected": 0.0, "recognition": True}
    no_face = {
        "faces": 0,
        "track": None,
        "emotion": None,
        "confidence": None,
        "scores": None,
        "fps": 0.0,
        "disconnected": 2.5,
        "recognition": True,
    }

    def config(kind: str) -> Any:
        return next(config for topic, config in configs.items() if topic.endswith(f"_{kind}/config"))

    def rendered(template: str, state: dict[str, Any]) -> str:
        return jinja2.Environment().from_string(template).render(value_json=state)

    def rendered_of(kind: str, state: dict[str, Any], template: str = "value_template") -> str:
        return rendered(config(kind)[template], state)

    kinds = ("emotion", "confidence", "faces", "face", "fps", "camera")
    assert [rendered_of(kind, record) for kind in kinds] == ["happy", "87.6", "2", "ON", "24.9", "ON"]
    assert [rendered_of(kind, no_face) for kind in kinds] == ["None", "None", "0", "OFF", "0.0", "OFF"]
    availability = config("emotion")["availability"][1]["value_template"]
    off = record | {"recognition": False}
    assert [rendered(availability, state) for state in (record, no_face, off)] == ["online", "offline", "offline"]
    assert rendered(config("fps")["availability"][1]["value_template"], off) == "online"
    attributes = json.loads(rendered_of("emotion", record, "json_attributes_template"))
    assert attributes == {"track": 4, "scores": {"happy": 0.9}}


# access and encryption


def first_message(url: BrokerUrl, ca: Path | None = None) -> str:
    """The first log line of a connection, without the camera's name."""
    with logged() as messages:
        connection = Connection(url, "cam", {}, ca)
        until(lambda: bool(messages))
        connection.close()
        return messages[0].removeprefix(f"{url}/cam: ")


def test_passwords(tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), "me", "ö 1"], check=True, capture_output=True)
    with broker(tmp_path, f"password_file {passwords}", anonymous=False) as running:
        wrong, right = (
            first_message(BrokerUrl("127.0.0.1", running.port, "home", False, "me", word)) for word in ("no", "ö 1")
        )
        with listening(running.port, user="me", password="ö 1") as listener:
            listener.wait(f"{BASE}/availability", lambda text: text == "offline")
    assert wrong.startswith("the broker refuses (Not authorized)")
    assert right == "connected"


def test_the_documented_access_rules(tmp_path: Path) -> None:
    """Each camera writes under its own name, and Home Assistant reads it."""
    (rules,) = re.findall(r"```acl\n(.*?)\n *```", (ROOT / "docs" / "mqtt.md").read_text(), re.DOTALL)
    (tmp_path / "acl").write_text(dedent(rules) + "\n")
    with (
        broker(tmp_path, f"acl_file {tmp_path / 'acl'}") as running,
        listening(running.port, user="homeassistant") as listener,
        sink(running.port, user="cam") as camera,
    ):
        for index in range(10):
            camera.show(at(index / 10), [face("happy")])
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
        url = BrokerUrl("127.0.0.1", running.port, "home", True)
        another, none, right = (
            first_message(url, ca) for ca in (certificates / "another.pem", None, certificates / "ca.pem")
        )
        other_host = first_message(replace(url, host="localhost"), certificates / "ca.pem")
        with listening(running.port, ca=certificates / "ca.pem") as listener:
            listener.wait(f"{BASE}/availability", lambda text: text == "offline")
    for untrusted in (another, none):
        assert "--mqtt-ca" in untrusted
    assert "not valid for 'localhost'" in other_host
    assert "--mqtt-ca" not in other_host
    assert right == "connected"


# connections that do not stay


@pytest.mark.faults
def test_two_clients_with_one_id_are_named_as_the_cause(mosquitto: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each says it once, and both retry less and less often."""
    monkeypatch.setattr(connection_log, "MIN_RECONNECT_DELAY", 0.02)
    url = BrokerUrl("127.0.0.1", mosquitto.port, "home")
    with logged() as lines:
        cameras = [Connection(url, "cam", {}) for _ in range(2)]
        try:
            until(lambda: sum("another client with the id fer-edge-cam" in line for line in lines) == 2)
            assert all(camera._log.reconnect_delay >= 0.08 for camera in cameras)
            count = len(lines)
            assert count <= 2 * (2 * connection_log.MANY)
            losses = mosquitto.log().count("already connected")
            until(lambda: mosquitto.log().count("already connected") >= losses + 2)
            assert len(lines) == count
        finally:
            for camera in cameras:
                camera.close()


@pytest.mark.faults
def test_tls_at_a_port_without_it_and_the_other_way_round_is_said(
    mosquitto: Broker, tmp_path: Path, certificates: Path
) -> None:
    assert "port for TLS" in first_message(
        BrokerUrl("127.0.0.1", mosquitto.port, "home", True), certificates / "ca.pem"
    )
    folder = tmp_path / "encrypted"
    folder.mkdir()
    with broker(folder, *encrypted(certificates)) as running:
        said = first_message(BrokerUrl("127.0.0.1", running.port, "home"))
    assert "no answer that is MQTT" in said and "mqtt:// or mqtts://" in said


@pytest.mark.faults
def test_a_connection_that_stays_ends_the_suspicion(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(connection_log, "time", clock)
    with logged() as lines:
        log = connection_log.ConnectionLog("broker", "id")
        for _ in range(20):
            log.connected()
            clock.now += 60
            assert log.lost("closed")
            log.check()
        assert log.reconnect_delay == connection_log.MAX_RECONNECT_DELAY
        assert len(lines) == 2 * connection_log.MANY
        log.connected()
        clock.now += connection_log.SHORT_CONNECTION
        log.check()
        assert lines[-1] == "broker: connected"
        log.lost("closed")
        assert lines[-1] == "broker: connection lost (closed); reconnecting"
        assert log.reconnect_delay == connection_log.MIN_RECONNECT_DELAY


@pytest.mark.faults
@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 200\r\n\r\n" + 200 * b"x", "no answer that is MQTT"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "no answer that is MQTT"),
        (b"", "no answer that is MQTT"),
        (b"\x20\x02\x00\x02", "refuses .*does it allow the id fer-edge-cam"),
        (b"\x20\x02\x00\x03", "refuses .*[Uu]navailable"),
        (b"\x20\x02\x00\x05", "refuses .*are user and password right"),
    ],
)
def test_a_server_that_is_no_broker_or_refuses_is_said_in_one_line(
    answer: bytes, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is not tried more often with each failure."""
    monkeypatch.setattr(connection, "MIN_RECONNECT_DELAY", 0.05)
    times: list[float] = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                peer_end, _ = server.accept()
                times.append(time.monotonic())
                with peer_end, suppress(OSError):  # shutdown of a connection that the client has reset: ENOTCONN
                    peer_end.recv(1000)
                    peer_end.sendall(answer)
                    peer_end.shutdown(socket.SHUT_WR)
                    peer_end.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as server, logged() as lines:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        url = BrokerUrl("127.0.0.1", server.getsockname()[1], "home", user="me", password="S3")
        client = Connection(url, "cam", {})
        until(lambda: len(times) == 3)
        client.close()
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert times[2] - times[1] > times[1] - times[0]
    (line,) = (line for line in lines if str(url) in line)
    assert re.search(message, line)
    assert "S3" not in line
