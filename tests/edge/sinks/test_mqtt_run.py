"""`fer-edge run --mqtt` against a real Mosquitto: last will, outages, cameras that go, and mistakes."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from broker import BASE, Broker, broker, encrypted, listening
from network_camera import free_port, serving
from running import run, start
from waiting import LIMIT, until

from fer_edge.edge.types import EMOTIONS

pytestmark = pytest.mark.system


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


def test_a_broker_spoken_to_by_tls(camera: str, tmp_path: Path, certificates: Path) -> None:
    """With its authority's certificate, and with another one: the run goes on, and nobody hears the password."""
    authority = certificates / "ca.pem"
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), "me", "s3cret"], check=True, capture_output=True)
    with broker(tmp_path, f"password_file {passwords}", *encrypted(certificates), anonymous=False) as running:
        address = f"mqtts://me:s3cret@127.0.0.1:{running.port}/home"
        words = ("--show", "none", "--mqtt", address, "--mqtt-id", "cam", "--mqtt-ca")
        process = start("--source", camera, *words, certificates / "another.pem")
        try:
            assert process.stderr is not None
            while "give its authority's certificate as --mqtt-ca" not in (line := process.stderr.readline()):
                assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=LIMIT)
        finally:
            process.kill()
        assert process.returncode == 0, errors
        assert "s3cret" not in line + errors
        with listening(running.port, user="me", password="s3cret", ca=authority) as listener:
            assert listener.messages == []
            process = start("--source", camera, *words, authority)
            try:
                listener.wait(f"{BASE}/state", a_face)
                process.send_signal(signal.SIGTERM)
                _, errors = process.communicate(timeout=LIMIT)
            finally:
                process.kill()
            listener.wait(f"{BASE}/availability", lambda text: text == "offline")
    assert process.returncode == 0, errors
    assert f"mqtts://127.0.0.1:{running.port}/home/cam: connected" in errors
    assert "s3cret" not in errors


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


def test_a_broker_that_is_not_there_stops_nothing(clip: Path, nobody: int) -> None:
    done = run("--source", clip, "--jsonl", "-", "--mqtt", f"mqtt://me:s3cret@127.0.0.1:{nobody}/home")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 20
    assert "s3cret" not in done.stderr
    assert done.stderr.count("cannot be reached") <= 1
    assert "20 frames, 15 faces" in done.stderr


def test_mistakes_cost_one_line(mistake: Callable[..., str], clip: Path, tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("nothing")
    picture = tmp_path / "picture.png"
    picture.touch()
    for words, told in (
        (("--mqtt", "http://localhost/"), "does not begin with mqtt://"),
        (("--mqtt", "mqtt://localhost", "--mqtt-id", "a/b"), "--mqtt-id 'a/b'"),
        (("--mqtt", "mqtt://localhost", "--mqtt-discovery", "ha/#"), "--mqtt-discovery 'ha/#': the prefix holds +, #"),
        (("--mqtt", "mqtts://localhost", "--mqtt-ca", tmp_path / "none.pem"), "none.pem: No such file"),
        (("--mqtt", "mqtts://localhost", "--mqtt-ca", tmp_path / "no.pem"), "no.pem: no certificate in PEM format"),
        (("--mqtt", "mqtt://localhost", "--mqtt-ca", tmp_path / "no.pem"), "is not encrypted; give mqtts://"),
    ):
        assert told in mistake("run", "--source", clip, "--show", "none", *words)


def test_without_the_extra_one_line_says_so(
    mistake: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    clip: Path,
) -> None:
    monkeypatch.setitem(sys.modules, "paho", None)
    for name in [name for name in sys.modules if name.startswith(("paho.", "fer_edge.edge.sinks.mqtt."))]:
        monkeypatch.delitem(sys.modules, name)
    told = mistake("run", "--source", clip, "--mqtt", "mqtt://localhost", "--show", "none")
    assert "needs paho-mqtt: " in told and "[mqtt]'" in told
