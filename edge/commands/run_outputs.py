"""Where `fer-edge run` puts its predictions: the options, and the sinks that they ask for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fer_edge.edge.commands.click_types import FloatRange
from fer_edge.edge.device.thermal import ThermalMonitor
from fer_edge.edge.errors import SinkError
from fer_edge.edge.files import file_identity
from fer_edge.edge.sinks import Sink
from fer_edge.edge.sinks.events import HOLD_SECONDS
from fer_edge.edge.sinks.run_stats import RunStats
from fer_edge.edge.sources import Source
from fer_edge.edge.terminal import say, status_wanted
from fer_edge.edge.types import EMOTIONS

if TYPE_CHECKING:
    from fer_edge.edge.sinks.line_writer import Rotation
    from fer_edge.edge.web.sink import WebSink

Command = TypeVar("Command", bound=Callable[..., Any])

EMOTION = click.Choice(EMOTIONS)

OPTIONS = (
    click.option("--show", type=click.Choice(["auto", "window", "text", "none"]), default="auto", help="Display."),
    click.option("--jsonl", metavar="PATH", help="Write one JSON line a frame; - is stdout."),
    click.option("--csv", metavar="PATH", help="Write CSV, one line a face."),
    click.option(
        "--max-mb",
        metavar="MB",
        type=FloatRange(0, 1e6, min_open=True),
        help="Begin a new --jsonl or --csv file at so many megabytes, and continue what is there at the start.",
    ),
    click.option("--keep", type=click.IntRange(0), default=5, help="Old files that --max-mb keeps."),
    click.option("--save-video", type=click.Path(path_type=Path), help="Write an annotated .mp4 or .avi."),
    click.option("--save-picture", type=click.Path(path_type=Path), help="Write the last frame with a face."),
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
    click.option("--hold", type=FloatRange(0), default=HOLD_SECONDS, help="Seconds until an emotion has begun."),
    click.option("--rest", type=FloatRange(0), default=5.0, help="Seconds between snapshots, or a command's runs."),
    click.option(
        "--web",
        metavar="[HOST:]PORT",
        is_flag=False,
        flag_value="8080",
        help="Serve a live page; 127.0.0.1:8080 without a value.",
    ),
    click.option(
        "--web-token",
        envvar="FER_EDGE_WEB_TOKEN",
        show_envvar=True,
        help="What the live page asks for; needed beyond this machine, and made up there where it is not given.",
    ),
    click.option("--mqtt", metavar="URL", help="Tell a broker: mqtt[s]://[user@]host[:port]/prefix."),
    click.option("--mqtt-id", metavar="NAME", help="This camera's name there.  [default: host and camera]"),
    click.option("--mqtt-ca", metavar="PATH", type=click.Path(path_type=Path), help="Certificates to trust for mqtts."),
    click.option(
        "--mqtt-discovery", metavar="PREFIX", default="homeassistant", help="Home Assistant's prefix; none for none."
    ),
)
"""docs/outputs.md, docs/live-page.md and docs/mqtt.md say more of each."""

STORED = {
    "jsonl": "results as JSON lines",
    "csv": "results as CSV",
    "save_video": "annotated video",
    "save_picture": "the last picture with a face",
    "snapshot_dir": "pictures of moments",
}
"""Options that keep something on this device, in words for the live page."""


def output_options(command: Command) -> Command:
    """Give a click command the options above."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def refuse_overwriting_source(options: dict[str, Any]) -> None:
    """Raises SinkError where an output would overwrite what --source reads: its file, or one of its folder's."""
    source = options["source"] or ""
    originals = [each.path for each in os.scandir(source)] if os.path.isdir(source) else [source]
    known = {file_identity(each) for each in originals} - {None}
    for name in ("jsonl", "csv", "save_video", "save_picture"):
        if options[name] not in (None, "-") and file_identity(options[name]) in known:
            flag = f"--{name.replace('_', '-')}"
            raise SinkError(f"{flag}: {options[name]} is what --source reads; give another name")


def open_page(
    closing: ExitStack, source: Source, stats: RunStats, heat: ThermalMonitor, options: dict[str, Any]
) -> WebSink:
    """The live page, listening. Raises SinkError."""
    from fer_edge.edge.web.sink import WebSink
    from fer_edge.edge.web.state import RunInfo

    kept = {what: options[name] for name, what in STORED.items() if options[name] and options[name] != "-"}
    stored = tuple(f"{what} ({Path(path).name})" for what, path in kept.items())
    page = WebSink(options["web"], options["web_token"], RunInfo(source, options["model"], stored, stats, heat))
    closing.callback(page.close)
    return page


def open_sinks(closing: ExitStack, source: Source, options: dict[str, Any]) -> list[Sink]:
    """The sinks that were asked for, those that write first and the window late: it may end the run.

    Raises SinkError, and UsageError for options that make no sense together.
    """
    _check(source, options)
    sinks = []
    for sink in chain(_files(source, options), _events(source, options), _displays(source, options)):
        closing.callback(sink.close)
        sinks.append(sink)
    return sinks


def _check(source: Source, options: dict[str, Any]) -> None:
    eventful = [name for name in ("snapshot_dir", "on", "mqtt") if options[name]]
    if eventful and not source.continuous:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in eventful)
        raise SinkError(f"{flags}: nothing begins or ends in single pictures; give a camera, a stream or a video")
    if options["max_mb"] and not options["csv"] and options["jsonl"] in (None, "-"):
        raise click.UsageError("--max-mb needs a file: --jsonl PATH or --csv PATH")
    if options["snapshot_on"] and not options["snapshot_dir"]:
        raise click.UsageError("--snapshot-on needs --snapshot-dir DIR")


def _files(source: Source, options: dict[str, Any]) -> Iterator[Sink]:
    if options["jsonl"]:
        from fer_edge.edge.sinks.jsonl import JsonlSink

        yield JsonlSink(options["jsonl"], _rotation(options))
    if options["csv"]:
        from fer_edge.edge.sinks.csv import CsvSink

        yield CsvSink(options["csv"], _rotation(options))
    if options["save_video"]:
        from fer_edge.edge.sinks.video import VideoSink

        yield VideoSink(options["save_video"], None if source.live else source.fps or 25.0)
    if options["save_picture"]:
        from fer_edge.edge.sinks.picture import PictureSink

        yield PictureSink(options["save_picture"])


def _rotation(options: dict[str, Any]) -> Rotation | None:
    if options["max_mb"] is None:
        return None
    from fer_edge.edge.sinks.line_writer import Rotation

    return Rotation(round(options["max_mb"] * 1e6), options["keep"])


def _events(source: Source, options: dict[str, Any]) -> Iterator[Sink]:
    hold, rest = options["hold"], options["rest"]
    if options["snapshot_dir"]:
        from fer_edge.edge.sinks.snapshot import SnapshotSink

        folder, keep = options["snapshot_dir"], options["snapshot_keep"]
        yield SnapshotSink(folder, options["snapshot_on"] or EMOTIONS, keep, rest, hold)
        say(f"snapshots: pictures of people are stored in {folder}, up to {keep} of them")
    if options["on"]:
        from fer_edge.edge.sinks.command import CommandSink

        yield CommandSink(options["on"], say, rest, hold)
    if options["mqtt"]:
        yield _open_mqtt(source, options, say)


def _displays(source: Source, options: dict[str, Any]) -> Iterator[Sink]:
    show = options["show"]
    if show == "auto":
        from fer_edge.edge.sinks.window import window_trouble

        show = "window" if window_trouble() is None else "none" if options["jsonl"] == "-" else "text"
    if show == "text":
        from fer_edge.edge.sinks.text import TextSink

        yield TextSink()
    elif show == "window":
        from fer_edge.edge.sinks.window import WindowSink

        yield WindowSink()
    if status_wanted():
        from fer_edge.edge.sinks.status import StatusSink

        yield StatusSink(source)
    if "NOTIFY_SOCKET" in os.environ:
        from fer_edge.edge.sinks.systemd_notify import SystemdNotifySink

        yield SystemdNotifySink(lambda: source.disconnected)


def _open_mqtt(source: Source, options: dict[str, Any], tell: Callable[[str], None]) -> Sink:
    from fer_edge.edge.sinks.mqtt.broker_url import checked_discovery, checked_name, default_name, parse

    address = parse(options["mqtt"])
    if options["mqtt_ca"] and not address.tls:
        raise SinkError(f"--mqtt-ca: {address} is not encrypted; give mqtts://")
    name = checked_name(options["mqtt_id"] or default_name(source.name))
    prefix = checked_discovery(options["mqtt_discovery"])

    from fer_edge.edge.device.version import installed
    from fer_edge.edge.sinks.mqtt.connection import Connection
    from fer_edge.edge.sinks.mqtt.discovery import configurations
    from fer_edge.edge.sinks.mqtt.sink import MqttSink

    base = f"{address.prefix}/{name}"
    greeting = configurations(prefix, base, name, str(options["model"]), installed()) if prefix else {}
    connection = Connection(address, name, greeting, tell, options["mqtt_ca"])
    return MqttSink(connection, lambda: source.disconnected, options["hold"])
