"""What `fer-edge run` can do with predictions besides showing them: its options, and the sinks that they ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fer_edge.edge.errors import SinkError
from fer_edge.edge.events import HELD
from fer_edge.edge.sinks import Sink
from fer_edge.edge.sources import Source
from fer_edge.edge.types import EMOTIONS

if TYPE_CHECKING:
    from fer_edge.edge.sinks.lines import Rotation

Command = TypeVar("Command", bound=Callable[..., Any])

EMOTION = click.Choice(EMOTIONS)

OPTIONS = (
    click.option("--csv", metavar="PATH", help="Write CSV, one line a face."),
    click.option(
        "--rotate",
        metavar="MB",
        type=click.FloatRange(0, min_open=True),
        help="Begin a new --jsonl or --csv file at so many megabytes, and continue what is there at the start.",
    ),
    click.option("--keep", type=click.IntRange(0), default=5, help="Old files that --rotate keeps."),
    click.option(
        "--snapshot-dir", metavar="DIR", type=click.Path(path_type=Path), help="Store a picture when an emotion begins."
    ),
    click.option("--snapshot-on", type=EMOTION, multiple=True, help="Only when this one begins; repeatable."),
    click.option("--snapshot-keep", type=click.IntRange(1), default=100, help="Pictures that DIR keeps."),
    click.option(
        "--on",
        type=(EMOTION, str),
        metavar="EMOTION COMMAND",
        multiple=True,
        help="Run a command when an emotion begins; repeatable.",
    ),
    click.option("--hold", type=click.FloatRange(0), default=HELD, help="Seconds until an emotion has begun."),
    click.option(
        "--rest", type=click.FloatRange(0), default=5.0, help="Seconds between snapshots, or a command's runs."
    ),
    click.option("--mqtt", metavar="URL", help="Tell a broker: mqtt[s]://[user@]host[:port]/prefix."),
    click.option("--mqtt-id", metavar="NAME", help="This camera's name there.  [default: host and camera]"),
    click.option("--mqtt-ca", metavar="PATH", type=click.Path(path_type=Path), help="Certificates to trust for mqtts."),
    click.option(
        "--mqtt-discovery", metavar="PREFIX", default="homeassistant", help="Home Assistant's prefix; none for none."
    ),
)
"""Beside --jsonl; docs/outputs.md and docs/mqtt.md say more of each."""


def output_options(command: Command) -> Command:
    """Give a click command the options above."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def rotation(options: dict[str, Any]) -> Rotation | None:
    """What --rotate and --keep ask for."""
    if options["rotate"] is None:
        return None
    from fer_edge.edge.sinks.lines import Rotation

    return Rotation(round(options["rotate"] * 1e6), options["keep"])


def open_outputs(source: Source, options: dict[str, Any], tell: Callable[[str], None]) -> Iterator[Sink]:
    """The sinks that the options above ask for, each to be closed by the caller; tell takes lines for stderr.

    Raises SinkError, and UsageError for options that make no sense together.
    """
    hold, rest = options["hold"], options["rest"]
    eventful = [name for name in ("snapshot_dir", "on", "mqtt") if options[name]]
    if eventful and not source.continuous:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in eventful)
        raise SinkError(f"{flags}: nothing begins or ends in single pictures; give a camera, a stream or a video")
    if options["rotate"] and not options["csv"] and options["jsonl"] in (None, "-"):
        raise click.UsageError("--rotate needs a file: --jsonl PATH or --csv PATH")
    if options["snapshot_on"] and not options["snapshot_dir"]:
        raise click.UsageError("--snapshot-on needs --snapshot-dir DIR")
    if options["csv"]:
        from fer_edge.edge.sinks.table import CsvSink

        yield CsvSink(options["csv"], rotation(options))
    if options["snapshot_dir"]:
        from fer_edge.edge.sinks.snapshot import SnapshotSink

        folder, keep = options["snapshot_dir"], options["snapshot_keep"]
        yield SnapshotSink(folder, options["snapshot_on"] or EMOTIONS, keep, rest, hold)
        tell(f"snapshots: pictures of people are stored in {folder}, up to {keep} of them")
    if options["on"]:
        from fer_edge.edge.sinks.hook import HookSink

        yield HookSink(options["on"], tell, rest, hold)
    if options["mqtt"]:
        yield _open_mqtt(source, options, tell)


def _open_mqtt(source: Source, options: dict[str, Any], tell: Callable[[str], None]) -> Sink:
    from fer_edge.edge.sinks.mqtt.address import checked_name, default_name, parse

    address = parse(options["mqtt"])
    if options["mqtt_ca"] and not address.tls:
        raise SinkError(f"--mqtt-ca: {address} is not encrypted; give mqtts://")
    name = checked_name(options["mqtt_id"] or default_name(source.name))

    from fer_edge.edge.sinks.mqtt.connection import Connection
    from fer_edge.edge.sinks.mqtt.discovery import configurations
    from fer_edge.edge.sinks.mqtt.sink import MqttSink

    base, prefix = f"{address.prefix}/{name}", options["mqtt_discovery"].strip("/")
    greeting = {} if prefix in ("", "none") else configurations(prefix, base, name, str(options["model"]), _version())
    return MqttSink(Connection(address, name, greeting, tell, options["mqtt_ca"]), options["hold"])


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("fer-edge")
    except PackageNotFoundError:  # run from a checkout
        return "unknown"
