"""`fer-edge run --mqtt` with a real Mosquitto: last will, outages, lost cameras, mistakes."""

from __future__ import annotations

import os
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
from predictions import CLASSES
from running import run, start
from waiting import LIMIT, until

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


def has_face(state: dict[str, Any]) -> bool:
    return state["faces"] == 1 and state["emotion"] in CLASSES and state["fps"] > 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_is_online_until_it_ends(mosquitto: Broker, camera: str, number: signal.Signals) -> None:
    with listening(mosquitto.port) as listener, running(camera, mosquitto.port, "cam") as process:
        listener.wait(f"{BASE}/state", has_face)
        assert listener.payloads(f"{BASE}/availability") == ["online"]
        process.send_signal(number)
        listener.wait(f"{BASE}/availability", lambda text: text == "offline")
        _, errors = process.communicate(timeout=LIMIT)
        assert process.returncode == (0 if number == signal.SIGTERM else -9)
        assert f"mqtt://127.0.0.1:{mosquitto.port}/home/cam: connected" in errors
        assert "Traceback" not in errors
        kinds = [event["event_type"] for event in listener.payloads(f"{BASE}/event")]
        assert kinds[:2] == ["face_came", "emotion"]


def test_a_restarted_broker_gets_everything_again(mosquitto: Broker, camera: str) -> None:
    with running(camera, mosquitto.port, "cam") as process:
        with listening(mosquitto.port) as listener:
            listener.wait(f"{BASE}/state", has_face)
        mosquitto.kill()
        mosquitto.start()
        with listening(mosquitto.port) as listener:
            listener.wait(f"{BASE}/availability", lambda text: text == "online")
            listener.wait(f"{BASE}/state", has_face)
            listener.wait("homeassistant/sensor/cam/fer_edge_emotion/config", lambda config: config["device"])
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=LIMIT)
    lines = [line.partition("/home/cam: ")[2] for line in errors.splitlines() if "/home/cam: " in line]
    assert [line.partition(" (")[0] for line in lines if "reached" not in line] == [
        "connected",
        "connection lost",
        "connected",
    ]


def test_a_broker_that_stops_answering_does_not_stop_the_run(mosquitto: Broker, camera: str, tmp_path: Path) -> None:
    lines = tmp_path / "out.jsonl"
    with running(camera, mosquitto.port, "cam", "--jsonl", str(lines)) as process:
        with listening(mosquitto.port) as listener:
            listener.wait(f"{BASE}/state", has_face)
        mosquitto.send_signal(signal.SIGSTOP)
        before = lines.read_text().count("\n")
        until(lambda: lines.read_text().count("\n") > before + 10)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=LIMIT)
        assert process.returncode == 0, errors


def test_tls(camera: str, tmp_path: Path, certificates: Path) -> None:
    """With another authority's certificate the run goes on, and the password is not sent."""
    authority = certificates / "ca.pem"
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), "me", "s3cret"], check=True, capture_output=True)
    with broker(tmp_path, f"password_file {passwords}", *encrypted(certificates), anonymous=False) as running:
        address = f"mqtts://me:s3cret@127.0.0.1:{running.port}/home"
        words = ("--show", "none", "--mqtt", address, "--mqtt-id", "cam", "--mqtt-ca")
        process = start("--source", camera, *words, certificates / "another.pem")
        try:
            assert process.stderr is not None
            while "certificate as --mqtt-ca" not in (line := process.stderr.readline()):
                assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=LIMIT)
        finally:
            process.kill()
        assert process.returncode in (0, 143), errors  # the line may come before the first frame
        assert "s3cret" not in line + errors
        with listening(running.port, user="me", password="s3cret", ca=authority) as listener:
            assert listener.messages == []
            process = start("--source", camera, *words, authority)
            try:
                listener.wait(f"{BASE}/state", has_face)
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
            listener.wait(f"home/{name}/state", has_face)
        gone.kill()
        listener.wait("home/cam/availability", lambda text: text == "offline")
        before = len(listener.payloads("home/door/state"))
        until(lambda: len(listener.payloads("home/door/state")) > before)
        assert listener.payloads("home/door/availability") == ["online"]


@pytest.mark.faults
def test_a_disconnected_camera_is_published_until_it_is_back(mosquitto: Broker) -> None:
    port = free_port()
    with listening(mosquitto.port) as listener, ExitStack() as filming:
        address = filming.enter_context(serving("http", port))
        with running(address, mosquitto.port, "cam"):
            listener.wait(f"{BASE}/state", has_face)
            filming.close()
            state = listener.wait(f"{BASE}/state", lambda state: state["disconnected"] > 0)
            assert (state["faces"], state["emotion"], state["fps"]) == (0, None, 0)
            assert address in state["disconnect_reason"]
            assert listener.payloads(f"{BASE}/availability") == ["online"]
            with serving("http", port):
                until(lambda: listener.payloads(f"{BASE}/state")[-1]["disconnected"] == 0)
                until(lambda: has_face(listener.payloads(f"{BASE}/state")[-1]))
                assert listener.payloads(f"{BASE}/state")[-1]["disconnect_reason"] is None


@pytest.fixture(params=["refuses", "is silent"])
def dead_port(request: pytest.FixtureRequest) -> Iterator[int]:
    """A port at which nothing listens, or a server that never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        if request.param == "refuses":
            server.close()
            yield free_port()
        else:
            yield server.getsockname()[1]


def test_a_missing_broker_does_not_stop_the_run(clip: Path, dead_port: int) -> None:
    done = run("--source", clip, "--jsonl", "-", "--mqtt", f"mqtt://me:s3cret@127.0.0.1:{dead_port}/home")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 20
    assert "s3cret" not in done.stderr
    assert done.stderr.count("cannot be reached") <= 1
    assert "20 frames, 15 faces" in done.stderr


def test_mistakes_cost_one_line(mistake: Callable[..., str], clip: Path, tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("nothing")
    picture = tmp_path / "picture.png"
    picture.touch()
    pipe = tmp_path / "pipe.pem"
    os.mkfifo(pipe)
    for words, message in (
        (("--mqtt", "http://localhost/"), "does not begin with mqtt://"),
        (("--mqtt", "mqtt://localhost", "--mqtt-id", "a/b"), "--mqtt-id 'a/b'"),
        (("--mqtt", "mqtt://localhost", "--mqtt-discovery", "ha/#"), "--mqtt-discovery 'ha/#'"),
        (("--mqtt", "mqtts://localhost", "--mqtt-ca", tmp_path / "none.pem"), "none.pem: No such file"),
        (("--mqtt", "mqtts://localhost", "--mqtt-ca", pipe), "pipe.pem: not a file"),
        (("--mqtt", "mqtts://localhost", "--mqtt-ca", tmp_path / "no.pem"), "no.pem: not a certificate"),
        (("--mqtt", "mqtt://localhost", "--mqtt-ca", tmp_path / "no.pem"), "is not encrypted; give mqtts://"),
    ):
        assert message in mistake("run", "--source", clip, "--show", "none", *words)


def test_without_the_extra_there_is_one_line(
    mistake: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    clip: Path,
) -> None:
    monkeypatch.setitem(sys.modules, "paho", None)
    for name in [name for name in sys.modules if name.startswith(("paho.", "fer_edge.edge.sinks.mqtt."))]:
        monkeypatch.delitem(sys.modules, name)
    message = mistake("run", "--source", clip, "--mqtt", "mqtt://localhost", "--show", "none")
    assert "needs paho-mqtt: " in message and "[mqtt]'" in message
