"""`fer-edge bench fleet`: what 1, 10, 50 and 500 devices cost their broker, and how soon a setting reaches them."""

from __future__ import annotations

import time
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from fer_edge.benchmarks.broker_process import BrokerProcess, broker_version, running_broker
from fer_edge.benchmarks.fixtures.clips import write_clip
from fer_edge.benchmarks.fleet.counters import SYS_LINE, counting
from fer_edge.benchmarks.fleet.operator import operating
from fer_edge.benchmarks.fleet.processes import replaying
from fer_edge.benchmarks.fleet.replay import Task
from fer_edge.benchmarks.fleet.session import Session, record_session
from fer_edge.benchmarks.options import comma_separated, count, result_file
from fer_edge.benchmarks.results_io.machine import condition
from fer_edge.benchmarks.results_io.record import RecordedCommand, write
from fer_edge.benchmarks.timing import summary
from fer_edge.edge.commands.fleet.client import FleetClient
from fer_edge.edge.commands.fleet.devices import read_fleet
from fer_edge.edge.commands.fleet.options import FleetOptions
from fer_edge.edge.config.click_types import FloatRange, IntRange
from fer_edge.edge.terminal import track

CLIP = (250, 1, 640, 480)
"""Frames, faces, width and height of the clip whose run is recorded: ten seconds of one face that is always there."""

ROUNDS = (5, 100)
"""Rounds of a setting, at least and at most."""

HOLDS = (1.5, 2.5)
"""Values of `hold` that take turns."""

PROCESSES = 2
"""Processes of replaying devices."""

BROKER = (SYS_LINE, "max_queued_messages 10000", "set_tcp_nodelay true")
"""Lines of the broker's configuration, all but the first as in examples/mosquitto/."""


@click.command(cls=RecordedCommand)
@click.option(
    "--devices",
    default="1,10,50,500",
    metavar="N,N…",
    callback=comma_separated(count, "numbers"),
    help="Devices at the broker.",
)
@click.option(
    "--seconds", type=FloatRange(min=5), default=20.0, metavar="SECONDS", help="Length of each measurement of traffic."
)
@click.option(
    "--replies",
    type=IntRange(1),
    default=500,
    metavar="N",
    help="Replies to a setting of which percentiles are taken, at least, in rounds of all devices.",
)
@result_file
def fleet(devices: tuple[int, ...], seconds: float, replies: int, out: Path | None) -> None:
    """Measure what a fleet costs its MQTT broker, and how soon a setting reaches it.

    A run of the ensemble that always sees a face, which publishes most, is recorded at a local Mosquitto; then so many
    devices replay it, with a client each and discovery for Home Assistant, and one dashboard receives everything. A
    setting is published to all at once, again and again, and the time to each device's reply is measured.
    """
    before = condition()
    with TemporaryDirectory() as name:
        folder = Path(name)
        clip = write_clip(folder / "clip.avi", *CLIP)
        with running_broker(folder, BROKER) as broker:
            session = record_session(clip, broker.port, max(5.0, seconds / 2))
        saved = session.save(folder / "session.json")
        rows = [
            _row(number, folder, saved, session, seconds, replies) for number in track(devices, "cases", len(devices))
        ]
    body = {"seconds": seconds, "before": before, "after": condition(), "session": _described(session)}
    body |= {"broker": broker_version(), "rows": rows}
    path = write("fleet", body, out)
    for row in rows:
        click.echo(_line(row))
    click.echo(f"wrote {path}", err=True)


def _row(number: int, folder: Path, session: Path, recorded: Session, seconds: float, replies: int) -> dict[str, Any]:
    """Measure with so many devices at a broker of their own."""
    names = [f"device-{index:04}" for index in range(number)]
    with running_broker(folder, BROKER) as broker:
        empty = broker.resident_mib()
        with replaying(Task(broker.port, names, str(session)), min(PROCESSES, number)):
            with counting(broker.port, "home/#") as counters:
                time.sleep(3.0)  # what is sent once a connection is over
                start, cpu = time.monotonic(), broker.cpu_seconds()
                time.sleep(seconds)
                end = time.monotonic()
                cpu, rates = broker.cpu_seconds() - cpu, counters.rates(start, end)
            times = _setting_times(broker, names, replies)
            listed, list_seconds = _list(broker)
        return {
            "devices": number,
            "expected_messages": round(number * len(recorded.messages) / recorded.seconds, 2),
            **rates,
            "bytes_per_device": round(rates["bytes_received"] / number, 1),
            "broker_cpu": round(cpu / (end - start), 4),
            "broker_mib": broker.resident_mib(),
            "broker_mib_empty": empty,
            "setting_ms": summary([1000 * each for each in times]),
            "listed": listed,
            "list_seconds": round(list_seconds, 3),
        }


def _setting_times(broker: BrokerProcess, names: list[str], replies: int) -> list[float]:
    """Seconds to each reply, while the devices go on publishing."""
    times: list[float] = []
    with operating(broker.port) as operator:
        for turn in range(min(max(ROUNDS[0], ceil(replies / len(names))), ROUNDS[1])):
            times += operator.set_all(names, "hold", HOLDS[turn % 2]).values()
            time.sleep(0.3)  # a device takes messages ten times a second
    return times


def _list(broker: BrokerProcess) -> tuple[int, float]:
    """Devices that `fer-edge fleet list` finds online, and the seconds it takes, without the program's start."""
    start = time.monotonic()
    with FleetClient(FleetOptions(f"mqtt://127.0.0.1:{broker.port}/home")) as client:
        return sum(device.online for device in read_fleet(client).devices), time.monotonic() - start


def _described(session: Session) -> dict[str, Any]:
    states = [record for _, topic, record in session.messages if topic == "state"]
    return {
        "seconds": session.seconds,
        "messages": len(session.messages),
        "states": len(states),
        "states_with_face": sum(record["faces"] > 0 for record in states),
    }


def _line(row: dict[str, Any]) -> str:
    times = row["setting_ms"]
    parts = [f"{row['devices']:4} devices", f"{row['messages']:.1f} messages/s"]
    parts.append(f"{row['bytes_per_device']:.0f} B/s per device")
    parts.append(f"broker {100 * row['broker_cpu']:.1f} % of a core, {row['broker_mib']} MiB")
    parts.append(f"setting p50 {times['p50']:.1f} p90 {times['p90']:.1f} p99 {times['p99']:.1f} ms")
    parts.append(f"{row['listed']} listed in {row['list_seconds']:.1f} s")
    return ", ".join(parts)
