"""`--mqtt` against a real Mosquitto: state, events, discovery, last will, outages, passwords and TLS."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any, cast
from urllib.parse import quote

import jinja2
import pytest
from broker import Broker, broker, listening
from hypothesis import given
from hypothesis import strategies as st
from network_camera import free_port, serving
from test_outputs import at, face
from test_run import clip, run, start  # noqa: F401  clip is a fixture
from waiting import LIMIT, until

from fer_edge.edge.errors import SinkError
from fer_edge.edge.events import Event
from fer_edge.edge.sinks.mqtt.address import NAME, PREFIX, Address, checked_name, default_name, parse
from fer_edge.edge.sinks.mqtt.connection import Connection
from fer_edge.edge.sinks.mqtt.discovery import configurations
from fer_edge.edge.sinks.mqtt.record import event_record, state_record
from fer_edge.edge.sinks.mqtt.sink import MqttSink
from fer_edge.edge.types import EMOTIONS
from fer_edge.models import FOLDER

ROOT = FOLDER.parent
BASE = "home/cam"

# the address

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
levels = st.text(st.characters(codec="utf-8", exclude_characters="+#/", exclude_categories=["Cc"]), min_size=1)
hosts = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?(\.[a-z]{2,5})?", fullmatch=True) | st.just("fe80::1")


@given(
    hosts,
    st.none() | st.integers(1, 65535),
    st.lists(levels, max_size=3).map("/".join).filter(lambda text: not text.startswith("$") and len(text) < 50),
    st.booleans(),
    st.none() | st.tuples(names, st.none() | st.text(st.characters(codec="utf-8"), max_size=20)),
)
def test_an_address_is_read_as_it_was_written(
    host: str, port: int | None, prefix: str, tls: bool, who: tuple[str, str | None] | None
) -> None:
    scheme = "mqtts" if tls else "mqtt"
    login = "" if who is None else quote(who[0], safe="")
    if who is not None and who[1] is not None:
        login += ":" + quote(who[1], safe="")
    text = f"{scheme}://{login}{'@' if login else ''}{f'[{host}]' if ':' in host else host}"
    text += ("" if port is None else f":{port}") + (f"/{quote(prefix)}" if prefix else "")
    user, password = who or (None, None)
    expected = Address(host, port or (8883 if tls else 1883), prefix or PREFIX, tls, user, password)
    assert parse(text, {}) == expected


@given(st.text(max_size=60) | st.builds("mqtt{}://{}".format, st.sampled_from(["", "s"]), st.text(max_size=60)))
def test_anything_else_is_one_line(text: str) -> None:
    try:
        address = parse(text, {})
    except SinkError:
        return
    assert 0 < address.port < 65536
    assert not set("+#") & set(address.prefix)
    address.host.encode("idna")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("localhost", "does not begin with mqtt://"),
        ("http://localhost/", "does not begin with mqtt://"),
        ("mqtt://", "names no host"),
        ("mqtt:///prefix", "names no host"),
        ("mqtt://host:70000/", "[Pp]ort"),
        ("mqtt://host:0/", "port 0"),
        ("mqtt://host:x/", "[Pp]ort"),
        ("mqtt://a..b/", "no host's name"),
        ("mqtt://[::1/", "Invalid IPv6"),
        ("mqtt://host/a/+/b", r"prefix holds \+"),
        ("mqtt://host/%23", r"prefix holds \+, #"),
        ("mqtt://host/$SYS", "begins with"),
        ("mqtt://host/x?ca=y", r"holds \? or #"),
        ("mqtt://:s3cret@host/", "a password and no user"),
        ("mqtt://user:s3cret@host:bad/", "[Pp]ort"),
        ("mqtt://user:s3cr@et/s3cret@host/#", r"holds \? or #"),
        ("http://user:s3cret@host/", "does not begin"),
        ("user:s3cret@host", "does not begin"),
        ("mqtt://host/" + 201 * "x", "longer than 200"),
        ("mqtt://host name/", "blank"),
    ],
)
def test_mistakes_in_an_address_are_told_without_the_password(text: str, told: str) -> None:
    with pytest.raises(SinkError, match=told) as caught:
        parse(text, {})
    assert "s3cr" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_the_password_may_come_from_the_environment() -> None:
    environment = {"FER_EDGE_MQTT_PASSWORD": "100%25"}
    assert parse("mqtt://me@host", environment).password == "100%25"
    assert parse("mqtt://me:other@host", environment).password == "other"
    assert parse("mqtt://host", environment).password is None
    assert "100" not in repr(parse("mqtt://me@host", environment))
    assert str(parse("mqtts://me@[fe80::1]/a/b", environment)) == "mqtts://[fe80::1]:8883/a/b"


@given(st.text())
def test_every_source_gives_a_name_that_topics_can_hold(source: str) -> None:
    assert NAME.fullmatch(default_name(source))


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("/dev/video0 (V4L2, 640x480)", "video0"),
        ("camera 0 (picamera2, 640x480)", "camera-0"),
        ("http://10.0.0.7:8080/stream?token=secret", "10-0-0-7-8080-stream"),
        ("films/party.mp4", "party"),
    ],
)
def test_a_name_is_made_of_host_and_source(monkeypatch: pytest.MonkeyPatch, source: str, name: str) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "kitchen.local")
    assert default_name(source) == f"kitchen-{name}"


def test_a_given_name_is_checked() -> None:
    assert checked_name("kitchen_1-b") == "kitchen_1-b"
    for name in ("", "a/b", "a b", "ü", 65 * "x"):
        with pytest.raises(SinkError, match="--mqtt-id"):
            checked_name(name)


# what is said


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Broker]:
    with broker(tmp_path) as running:
        yield running


@contextmanager
def sink(port: int, name: str = "cam", user: str | None = None) -> Iterator[MqttSink]:
    """A sink that is connected, as `fer-edge run` would make it."""
    said: list[str] = []
    address = Address("127.0.0.1", port, "home", user=user)
    base = f"home/{name}"
    greeting = configurations("homeassistant", base, name, "ensemble", "1.2")
    opened = MqttSink(Connection(address, name, greeting, said.append), lambda: 0.0)
    try:
        until(lambda: any(line.endswith("connected") for line in said))
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
    with sink(mosquitto.port):
        with listening(mosquitto.port) as early:
            early.wait(f"{BASE}/availability", lambda text: text == "online")  # it is said last
        with listening(mosquitto.port) as listener:
            until(lambda: len(listener.retained()) == 9, lambda: str(listener.retained().keys()))
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
    """What is told first of a connection."""
    told: list[str] = []
    connection = Connection(address, "cam", {}, told.append, ca)
    until(lambda: bool(told))
    connection.close()
    return told[0].removeprefix(f"{address}/cam: ")


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
        with sink(running.port, name="door", user="cam"), sink(running.port, name="hall", user="hall"):
            listener.wait("home/hall/availability", lambda text: text == "online")
            listener.wait("homeassistant/binary_sensor/hall/fer_edge_face/config", lambda config: config["name"])
        listener.wait("home/hall/availability", lambda text: text == "offline")
        assert not any("door" in message.topic for message in listener.messages)


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """ca.pem, another.pem, and server.pem with server.key for 127.0.0.1."""
    for name in ("ca", "another"):
        about = ("-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")
        openssl(tmp_path, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *about)
    request = ("-subj", "/CN=broker", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "server.key")
    openssl(tmp_path, "req", "-newkey", "rsa:2048", "-nodes", *request, "-out", "server.csr")
    signing = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-copy_extensions", "copy")
    openssl(tmp_path, "x509", "-req", "-in", "server.csr", *signing, "-days", "2", "-out", "server.pem")
    return tmp_path


def test_tls(tmp_path: Path, certificates: Path) -> None:
    files = [f"{what} {certificates / name}" for what, name in (("certfile", "server.pem"), ("keyfile", "server.key"))]
    with broker(tmp_path, *files) as running:
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


# the whole program


@contextmanager
def running(camera: str, port: int, name: str, *more: str) -> Iterator[subprocess.Popen[str]]:
    broker = ("--mqtt", f"mqtt://127.0.0.1:{port}/home", "--mqtt-id", name)
    process = start("--source", camera, "--show", "none", *broker, *more)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def a_face(state: dict[str, Any]) -> bool:
    return state["faces"] == 1 and state["emotion"] in EMOTIONS and state["fps"] > 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_is_online_until_it_ends_however(mosquitto: Broker, camera: str, number: signal.Signals) -> None:
    with listening(mosquitto.port) as listener, running(camera, mosquitto.port, "cam") as process:
        listener.wait(f"{BASE}/state", a_face)
        assert listener.said(f"{BASE}/availability") == ["online"]
        process.send_signal(number)
        listener.wait(f"{BASE}/availability", lambda text: text == "offline")
        _, errors = process.communicate(timeout=LIMIT)
        assert process.returncode == (0 if number == signal.SIGTERM else -9)
        assert f"mqtt://127.0.0.1:{mosquitto.port}/home/cam: connected" in errors
        assert "Traceback" not in errors
        kinds = [event["event_type"] for event in listener.said(f"{BASE}/event")]
        assert kinds[:2] == ["face_came", "emotion"]


def test_a_broker_that_comes_back_knows_everything_again(mosquitto: Broker, camera: str) -> None:
    with running(camera, mosquitto.port, "cam") as process:
        with listening(mosquitto.port) as listener:
            listener.wait(f"{BASE}/state", a_face)
        mosquitto.kill()
        mosquitto.start()
        with listening(mosquitto.port) as listener:
            listener.wait(f"{BASE}/availability", lambda text: text == "online")
            listener.wait(f"{BASE}/state", a_face)
            listener.wait("homeassistant/sensor/cam/fer_edge_emotion/config", lambda config: config["device"])
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=LIMIT)
    told = [line.partition("/home/cam: ")[2] for line in errors.splitlines() if "/home/cam: " in line]
    assert [line.partition(" (")[0] for line in told if "reached" not in line] == [
        "connected",
        "connection lost",
        "connected",
    ]


def test_a_broker_that_stops_answering_stops_nothing(mosquitto: Broker, camera: str, tmp_path: Path) -> None:
    lines = tmp_path / "out.jsonl"
    with running(camera, mosquitto.port, "cam", "--jsonl", str(lines)) as process:
        with listening(mosquitto.port) as listener:
            listener.wait(f"{BASE}/state", a_face)
        mosquitto.send_signal(signal.SIGSTOP)
        seen = lines.read_text().count("\n")
        until(lambda: lines.read_text().count("\n") > seen + 10)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=LIMIT)
        assert process.returncode == 0, errors


def test_two_cameras_at_one_broker(mosquitto: Broker, camera: str) -> None:
    port = mosquitto.port
    with listening(port) as listener, running(camera, port, "cam") as gone, running(camera, port, "door"):
        for name in ("cam", "door"):
            listener.wait(f"home/{name}/state", a_face)
        gone.kill()
        listener.wait("home/cam/availability", lambda text: text == "offline")
        seen = len(listener.said("home/door/state"))
        until(lambda: len(listener.said("home/door/state")) > seen)
        assert listener.said("home/door/availability") == ["online"]


def test_a_camera_that_is_away_is_told_until_it_is_back(mosquitto: Broker) -> None:
    port = free_port()
    with listening(mosquitto.port) as listener, ExitStack() as filming:
        address = filming.enter_context(serving("http", port))
        with running(address, mosquitto.port, "cam"):
            listener.wait(f"{BASE}/state", a_face)
            filming.close()
            gone = listener.wait(f"{BASE}/state", lambda state: state["away"] > 0)
            assert (gone["faces"], gone["emotion"], gone["fps"]) == (0, None, 0)
            assert listener.said(f"{BASE}/availability") == ["online"]
            with serving("http", port):
                until(lambda: listener.said(f"{BASE}/state")[-1]["away"] == 0)
                until(lambda: a_face(listener.said(f"{BASE}/state")[-1]))


@pytest.fixture(params=["refuses", "is silent"])
def nobody(request: pytest.FixtureRequest) -> Iterator[int]:
    """A port at which nobody listens, or somebody who never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        if request.param == "refuses":
            server.close()
            yield free_port()
        else:
            yield server.getsockname()[1]


def test_a_broker_that_is_not_there_stops_nothing(clip: Path, nobody: int) -> None:  # noqa: F811
    done = run("--source", clip, "--jsonl", "-", "--mqtt", f"mqtt://me:s3cret@127.0.0.1:{nobody}/home")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 20
    assert "s3cret" not in done.stderr
    assert done.stderr.count("cannot be reached") <= 1
    assert "20 frames, 15 faces" in done.stderr


def test_mistakes_cost_one_line(mistake: Callable[..., str], clip: Path, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "no.pem").write_text("nothing")
    picture = tmp_path / "picture.png"
    picture.touch()
    for words, told in (
        (("--mqtt", "http://localhost/"), "does not begin with mqtt://"),
        (("--mqtt", "mqtt://localhost", "--mqtt-id", "a/b"), "--mqtt-id 'a/b'"),
        (("--mqtt", "mqtts://localhost", "--mqtt-ca", tmp_path / "none.pem"), "none.pem: No such file"),
        (("--mqtt", "mqtts://localhost", "--mqtt-ca", tmp_path / "no.pem"), "no.pem: no certificate in PEM format"),
        (("--mqtt", "mqtt://localhost", "--mqtt-ca", tmp_path / "no.pem"), "is not encrypted; give mqtts://"),
    ):
        assert told in mistake("run", "--source", clip, "--show", "none", *words)


def test_without_the_extra_one_line_says_so(
    mistake: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    clip: Path,  # noqa: F811
) -> None:
    monkeypatch.setitem(sys.modules, "paho", None)
    for name in [name for name in sys.modules if name.startswith(("paho.", "fer_edge.edge.sinks.mqtt."))]:
        monkeypatch.delitem(sys.modules, name)
    told = mistake("run", "--source", clip, "--mqtt", "mqtt://localhost", "--show", "none")
    assert "this command needs paho-mqtt: pip install 'fer-edge[mqtt]'" in told
