"""`fer-edge fleet set` and `watch` with real runs and a real Mosquitto, which says who may set what."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import pytest
from broker import BASE, Broker, listening
from click.testing import CliRunner, Result
from fleet_broker import PASSWORD, device, fleet_broker, publishing
from network_camera import PORTRAIT
from running import ENVIRONMENT, start
from viewing import WebRun
from waiting import LIMIT, default_signal_handlers, until

from fer_edge.edge.cli import main
from fer_edge.edge.commands.recognition import Recognition
from fer_edge.edge.pipeline import PipelineOptions, open_pipeline
from fer_edge.edge.types import Frame

pytestmark = pytest.mark.system


@contextmanager
def controlled(camera: str, port: int, name: str = "cam", *more: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A run whose settings can be changed, once it is online."""
    words = ("--mqtt", f"mqtt://127.0.0.1:{port}/home", "--mqtt-id", name, "--mqtt-control")
    process = start("--source", camera, "--show", "none", *words, *more)
    try:
        with listening(port) as listener:
            listener.wait(f"home/{name}/availability", lambda text: text == "online")
            listener.wait(f"home/{name}/settings", lambda settings: "hold" in settings)
        yield process
    finally:
        process.kill()
        process.communicate()


def fleet_set(port: int, *words: str) -> Result:
    return CliRunner().invoke(main, ["fleet", "set", *words, "--broker", f"mqtt://127.0.0.1:{port}/home"])


def test_a_run_takes_settings_and_recognition_stops_and_comes_back(
    mosquitto: Broker, camera: str, tmp_path: Path
) -> None:
    port, lines = mosquitto.port, tmp_path / "faces.jsonl"
    words = ("--mqtt", f"mqtt://127.0.0.1:{port}/home", "--mqtt-id", "cam", "--mqtt-control", "--jsonl", str(lines))
    with listening(port) as listener, WebRun("--source", camera, "--web", "127.0.0.1:0", *words) as run:
        listener.wait(f"{BASE}/state", lambda state: state["faces"] == 1)
        accepted = fleet_set(port, "cam", "hold", "0.2")
        assert (accepted.exit_code, accepted.stdout) == (0, "cam  hold is 0.2\n"), accepted.output
        assert listener.wait(f"{BASE}/settings", lambda settings: settings["hold"] == 0.2)
        refused = fleet_set(port, "cam", "cooldown", "1")
        assert refused.exit_code == 2 and "no setting cooldown" in refused.stderr

        assert fleet_set(port, "cam", "recognition", "off").exit_code == 0
        state = listener.wait(f"{BASE}/state", lambda state: not state["recognition"])
        assert (state["faces"], state["emotion"], state["disconnected"]) == (0, None, 0)
        done, events = len(lines.read_text().splitlines()), len(listener.payloads(f"{BASE}/event"))
        frames = until(lambda: run.state()["recognition"] is False and run.state()["frames"])
        until(lambda: run.state()["frames"] > frames + 40 and not run.state()["stages"]["detect"])
        assert (run.state()["faces"], run.get("/healthz").status_code) == ([], 200)
        assert "\nfer_edge_recognition 0.0" in run.get("/metrics").text
        assert len(lines.read_text().splitlines()) == done  # not even lines without faces
        assert len(listener.payloads(f"{BASE}/event")) == events  # nobody has left
        shown = CliRunner().invoke(main, ["fleet", "list", "--broker", f"mqtt://127.0.0.1:{port}/home"])
        assert "recognition off" in shown.stdout

        assert fleet_set(port, "--all", "recognition", "--unset").exit_code == 0
        until(lambda: listener.payloads(f"{BASE}/state")[-1]["faces"])
        until(lambda: len(lines.read_text().splitlines()) > done)
        assert run.wait(signal.SIGTERM) == 0
        log = "".join(run.errors)
        assert "recognition off (was on)" in log and "Traceback" not in log


def test_a_kept_setting_holds_from_the_start_and_rubbish_does_not(mosquitto: Broker, camera: str) -> None:
    with publishing(mosquitto.port) as publish:
        publish("cam/set/hold", {"value": 2.5})
        publish("cam/set/smooth", '{"value": NaN}')
        publish("cam/set/detect-every", b"\x00" * 20_000)
        publish("cam/set/nothing", {"value": 1})
    with listening(mosquitto.port) as listener, controlled(camera, mosquitto.port, "cam", "--smooth", "0.4"):
        settings = listener.wait(f"{BASE}/settings", lambda settings: settings["hold"] == 2.5)
        assert (settings["smooth"], settings["detect-every"], settings["recognition"]) == (0.4, 4, True)
        until(lambda: len(listener.payloads(f"{BASE}/reply")) >= 4)
        replies = {reply["key"]: reply["accepted"] for reply in listener.payloads(f"{BASE}/reply")}
        assert replies == {"hold": True, "smooth": False, "detect-every": False, "nothing": False}


def test_only_who_said_so_can_be_controlled(mosquitto: Broker) -> None:
    """A device without --mqtt-control, one that is offline, one that refuses and one that does not answer."""
    port = mosquitto.port
    with publishing(port) as publish:
        for name, keys in (("shut", []), ("off", ["hold"]), ("mute", ["hold"])):
            publish(f"{name}/device", device(name) | {"control": keys})
            publish(f"{name}/availability", "offline" if name == "off" else "online")
    shut, off, mute = (fleet_set(port, name, "hold", "1", "--timeout", "0.5") for name in ("shut", "off", "mute"))
    assert [each.exit_code for each in (shut, off, mute)] == [2, 2, 2]
    assert "--mqtt-control" in shut.stderr
    assert "it is offline; the broker keeps" in off.stderr
    assert "has not answered within 0.5 s" in mute.stderr
    several = fleet_set(port, "shut", "off", "hold", "--unset", "--timeout", "0")
    assert (several.exit_code, len(several.stdout.splitlines())) == (2, 2)
    assert "2 of 2 devices" in several.stderr
    with listening(port) as listener:
        until(lambda: listener.retained().get("home/mute/set/hold"))
        assert {topic for topic in listener.retained() if "/set/" in topic} == {"home/mute/set/hold"}


def test_what_a_device_refuses_does_not_stay_at_the_broker(mosquitto: Broker) -> None:
    """A device of another version, with another range; what was set before is set again."""
    port = mosquitto.port
    with publishing(port) as publish, listening(port) as listener:
        publish("cam/device", device("cam") | {"control": ["hold"]})
        publish("cam/availability", "online")
        publish("cam/set/hold", {"value": 1.0, "id": "before"})
        asking = subprocess.Popen(
            [sys.executable, "-m", "fer_edge.edge.cli", "fleet", "set", "cam", "hold", "7"],
            env=ENVIRONMENT | {"FER_EDGE_BROKER": f"mqtt://127.0.0.1:{port}/home"},
            stderr=subprocess.PIPE,
            text=True,
        )
        request = listener.wait(f"{BASE}/set/hold", lambda request: request["value"] == 7.0)
        reply = {"key": "hold", "accepted": False, "text": "7.0: expected at most 5\x1b[2J", "id": request["id"]}
        client = listener._client
        client.publish(f"{BASE}/reply", json.dumps(reply), qos=1)
        _, errors = asking.communicate(timeout=LIMIT)
        assert asking.returncode == 2
        assert errors == "fer-edge: cam: refused: 7.0: expected at most 5\\x1b[2J\n"
        until(lambda: listener.payloads(f"{BASE}/set/hold")[-1] == {"value": 1.0, "id": "before"})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("cam", "hold", "much"), "expected a number from 0"),
        (("cam", "hold", "nan"), "expected a number from 0"),
        (("cam", "detect-every", "1.5"), "expected a whole number from 1"),
        (("cam", "recognition", "1"), "expected on or off"),
        (("cam", "window", "1"), "expected one of recognition, hold"),
        (("cam", "hold"), "expected NAME… KEY VALUE"),
        (("--all", "cam", "hold", "1"), "without names"),
        (("a/b", "hold", "1"), "NAME 'a/b'"),
    ],
)
def test_mistakes_are_found_before_anything_is_published(mistake: Any, words: tuple[str, ...], message: str) -> None:
    assert message in mistake("fleet", "set", *words, "--broker", "mqtt://127.0.0.1:1")


def test_who_may_set_is_the_brokers_business(
    tmp_path: Path, certificates: Path, camera: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The configuration in examples/mosquitto: TLS, an operator, a dashboard, and devices with topics of their own."""
    authority = certificates / "ca.pem"
    monkeypatch.setenv("FER_EDGE_MQTT_PASSWORD", PASSWORD)
    monkeypatch.setitem(ENVIRONMENT, "FER_EDGE_MQTT_PASSWORD", PASSWORD)
    users = ("operator", "dashboard", "cam", "door")
    with fleet_broker(tmp_path, certificates, users) as broker:

        def fleet(user: str, *words: str) -> Result:
            url = f"mqtts://{user}@127.0.0.1:{broker.port}/home"
            return CliRunner().invoke(main, ["fleet", *words, "--broker", url, "--broker-ca", str(authority)])

        words = ("--mqtt", f"mqtts://cam@127.0.0.1:{broker.port}/home", "--mqtt-ca", authority, "--mqtt-id", "cam")
        process = start("--source", camera, "--show", "none", *words, "--mqtt-control")
        try:
            until(lambda: "hold 0.5" in fleet("dashboard", "show", "cam").stdout)
            assert "cam  hold is 1" in fleet("operator", "set", "cam", "hold", "1").stdout
            for user in ("dashboard", "door", "cam"):
                refused = fleet(user, "set", "cam", "hold", "3")
                assert refused.exit_code == 2
                assert "does not let this user publish" in refused.stderr or "no device cam" in refused.stderr, user
            assert json.loads(fleet("operator", "show", "cam", "--json").stdout)["settings"]["hold"] == 1.0
            assert "refuses the connection" in fleet("nobody", "list").stderr
        finally:
            process.kill()
            _, errors = process.communicate()
        assert PASSWORD not in errors
        assert "set over MQTT: hold 1 (was 0.5)" in errors and "hold 3" not in errors
        url = f"mqtts://door@127.0.0.1:{broker.port}/home"
        listed = CliRunner().invoke(main, ["fleet", "list", "--broker", url, "--broker-ca", str(authority)])
        assert "no device has published" in listed.stderr  # a device's user reads nothing of others


def test_watch_prints_each_change_until_it_is_ended(mosquitto: Broker) -> None:
    broker = {"FER_EDGE_BROKER": f"mqtt://127.0.0.1:{mosquitto.port}/home", "PYTHONUNBUFFERED": "1"}
    with publishing(mosquitto.port) as publish:
        publish("cam/device", device("cam"))
        publish("cam/availability", "online")
        words = [sys.executable, "-m", "fer_edge.edge.cli", "fleet", "watch"]
        with default_signal_handlers():
            watching = subprocess.Popen(words, env=ENVIRONMENT | broker, stdout=subprocess.PIPE, text=True)
        assert watching.stdout is not None
        try:
            assert "cam  online, version 1.2, model ensemble" in watching.stdout.readline()
            publish("cam/availability", "offline")
            assert "cam  offline" in watching.stdout.readline()
            publish("cam/device", device("cam", version="1.3"))
            assert watching.stdout.readline().endswith("cam  version 1.3\n")
            watching.send_signal(signal.SIGINT)
            assert watching.wait(LIMIT) == 0
        finally:
            watching.kill()
            watching.communicate()


def test_a_frame_without_recognition_costs_no_detection() -> None:
    pipeline = open_pipeline(PipelineOptions(model="mobilenet_v2"), continuous=True)
    recognition = Recognition(pipeline)
    portrait = cv2.imread(str(PORTRAIT))
    frames = [Frame(portrait, index, index / 30) for index in range(6)]
    assert recognition.process(frames[0])[0]
    recognition.on = False
    for frame in frames[1:4]:
        predictions, stages = recognition.process(frame)
        assert predictions is None and not any(stages.values())
    assert (pipeline.frames, pipeline.detections) == (1, 1)
    recognition.on = True
    assert recognition.process(frames[4])[0]
    assert pipeline.detections == 2  # at once, though the detector's interval is longer
