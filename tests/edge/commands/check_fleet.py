"""Fifty devices at the broker of examples/mosquitto/: `make test-fleet`.

Three are real runs, the others replay the recorded messages of one with clients and settings of their own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from broker import Broker
from click.testing import CliRunner, Result
from fleet_broker import PASSWORD, fleet_broker
from measuring import run
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from running import ENVIRONMENT, start
from waiting import until

from fer_edge.benchmarks.broker_process import running_broker
from fer_edge.benchmarks.fixtures.clips import write_clip
from fer_edge.benchmarks.fleet.operator import operating
from fer_edge.benchmarks.fleet.processes import replaying
from fer_edge.benchmarks.fleet.replay import Task
from fer_edge.benchmarks.fleet.session import record_session
from fer_edge.benchmarks.timing import summary
from fer_edge.edge.cli import main

REAL = [f"real-{number}" for number in range(3)]
DEVICES = [*REAL, *(f"replay-{number:02}" for number in range(47))]

TARGET = 2.0
"""Seconds in which a setting must have reached a device, 99th percentile."""


@dataclass(frozen=True)
class FiftyDevices:
    """The broker with all devices online."""

    broker: Broker
    authority: Path

    def fleet(self, user: str, *words: str) -> Result:
        url = f"mqtts://{user}@127.0.0.1:{self.broker.port}/home"
        return CliRunner().invoke(main, ["fleet", *words, "--broker", url, "--broker-ca", str(self.authority)])

    def settings(self) -> dict[str, dict[str, object]]:
        listed = json.loads(self.fleet("dashboard", "list", "--json").stdout)
        return {device["name"]: device["settings"] for device in listed if device["online"]}


@pytest.fixture(scope="module")
def fifty(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[FiftyDevices]:
    folder = tmp_path_factory.mktemp("fleet")
    clip, authority = write_clip(folder / "clip.avi", 100, 1, 640, 480), certificates / "ca.pem"
    with running_broker(folder) as recording:
        session = record_session(clip, recording.port, 15.0).save(folder / "session.json")
    users = ("operator", "dashboard", *DEVICES)
    with pytest.MonkeyPatch.context() as patch, ExitStack() as closing:
        patch.setenv("FER_EDGE_MQTT_PASSWORD", PASSWORD)
        patch.setitem(ENVIRONMENT, "FER_EDGE_MQTT_PASSWORD", PASSWORD)
        broker = closing.enter_context(fleet_broker(folder, certificates, users))
        for name in REAL:
            url = f"mqtts://{name}@127.0.0.1:{broker.port}/home"
            words = ("--mqtt", url, "--mqtt-ca", authority, "--mqtt-id", name, "--mqtt-control", "--show", "none")
            process = start("--source", clip, "--loop", *words)
            closing.callback(process.communicate)
            closing.callback(process.kill)
        task = Task(broker.port, DEVICES[len(REAL) :], str(session), password=PASSWORD, ca=str(authority))
        closing.enter_context(replaying(task))
        fifty = FiftyDevices(broker, authority)
        until(lambda: sorted(fifty.settings()) == DEVICES)
        yield fifty


def test_a_setting_reaches_all(fifty: FiftyDevices, capsys: pytest.CaptureFixture[str]) -> None:
    times: list[float] = []
    with operating(fifty.broker.port, "home", "operator", PASSWORD, fifty.authority) as operator:
        for turn in range(20):
            times += operator.set_all(DEVICES, "hold", 1.0 + turn).values()
    figures = summary(times)
    with capsys.disabled():
        print(f"\nseconds to the reply: {figures}")
    assert {settings["hold"] for settings in fifty.settings().values()} == {20.0}
    assert figures["p99"] <= TARGET


def test_all_can_be_switched_off_and_on(fifty: FiftyDevices) -> None:
    for word, state in (("off", False), ("on", True)):
        done = fifty.fleet("operator", "set", "--all", "recognition", word)
        assert done.exit_code == 0, done.output
        assert len(done.stdout.splitlines()) == len(DEVICES)
        assert {settings["recognition"] for settings in fifty.settings().values()} == {state}


def test_the_measurement_of_a_fleet(tmp_path: Path) -> None:
    out = tmp_path / "fleet.json"
    done = run("fleet", "--devices", "1,3", "--seconds", 5, "--replies", 5, "--out", out)
    assert done.exit_code == 0, done.output
    result = json.loads(out.read_text())
    for row in result["rows"]:
        assert row["listed"] == row["devices"]
        assert row["messages"] > 0.5 * row["expected_messages"] > 0
        assert row["setting_ms"]["count"] >= 5
    assert "| 3 | " in run("table", out).stdout


@pytest.mark.parametrize("user", ["dashboard", *REAL[:1]])
def test_nobody_else_changes_anything(fifty: FiftyDevices, user: str) -> None:
    """Neither with `fleet set`, nor with a client that does not care, and whom nobody tells."""
    before = fifty.settings()
    assert fifty.fleet(user, "set", *DEVICES, "hold", "99").exit_code == 2
    client = Client(CallbackAPIVersion.VERSION2)
    client.tls_set(str(fifty.authority))
    client.username_pw_set(user, PASSWORD)
    client.connect("127.0.0.1", fifty.broker.port)
    client.loop_start()
    for name in DEVICES:
        for topic, payload in (("set/hold", '{"value": 99}'), ("settings", "{}"), ("device", "{}")):
            if name != user:
                client.publish(f"home/{name}/{topic}", payload, qos=1, retain=True).wait_for_publish(10)
    client.publish(f"home/{user}/set/hold", '{"value": 99}', qos=1, retain=True).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()
    assert fifty.fleet("operator", "set", DEVICES[-1], "smooth", "0.2").exit_code == 0  # later, and answered
    assert fifty.fleet("operator", "set", DEVICES[-1], "smooth", "--unset").exit_code == 0
    assert fifty.settings() == before
