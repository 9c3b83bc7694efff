"""The sinks of `fer-edge run`, made from its options."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, fields
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fer_edge.edge.config.click_options import flag, info_of
from fer_edge.edge.device.thermal import ThermalMonitor
from fer_edge.edge.errors import SinkError
from fer_edge.edge.files import file_identity
from fer_edge.edge.sinks import Sink
from fer_edge.edge.sinks.mqtt.options import MqttOptions
from fer_edge.edge.sinks.options import EventOptions, OutputOptions
from fer_edge.edge.sinks.run_stats import RunStats
from fer_edge.edge.terminal import shows_status_line
from fer_edge.edge.types import EMOTIONS, Source
from fer_edge.edge.web.options import WebOptions

if TYPE_CHECKING:
    from fer_edge.edge.sinks.line_writer import Rotation
    from fer_edge.edge.web.sink import WebSink

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outputs:
    """The options that decide which sinks a run has."""

    files: OutputOptions
    events: EventOptions
    web: WebOptions
    mqtt: MqttOptions

    def stored(self) -> tuple[str, ...]:
        """What the run keeps on this device, in words."""
        descriptions = []
        for options in (self.files, self.events):
            for each in fields(options):
                value = getattr(options, each.name)
                if info_of(each).stores and value and value != "-":
                    descriptions.append(f"{info_of(each).stores} ({Path(value).name})")
        return tuple(descriptions)


def refuse_overwriting_source(source: str | None, files: OutputOptions) -> None:
    """Check that no output is a file that is read.

    Args:
        source: What --source names: a file, a folder of pictures, or neither.
        files: The outputs.

    Raises:
        SinkError: An output would overwrite the source, or a picture in its folder.
    """
    source = source or ""
    originals = [each.path for each in os.scandir(source)] if os.path.isdir(source) else [source]
    known = {file_identity(each) for each in originals} - {None}
    for name in ("jsonl", "csv", "save_video", "save_picture"):
        path = getattr(files, name)
        if path not in (None, "-") and file_identity(path) in known:
            raise SinkError(f"{flag(name)}: {path} is what --source reads; give another name")


def open_page(
    closing: ExitStack, source: Source, stats: RunStats, thermal: ThermalMonitor, model: str, outputs: Outputs
) -> WebSink:
    """Start the live page.

    Args:
        closing: Closes the page.
        source: The source, for its state.
        stats: Counts and times that the page shows.
        thermal: The board's temperature and load level, which it shows too.
        model: The model's name.
        outputs: The options.

    Returns:
        The page, listening.

    Raises:
        SinkError: The address is malformed or cannot be listened on.
    """
    from fer_edge.edge.web.sink import WebSink
    from fer_edge.edge.web.state import RunInfo

    run = RunInfo(source, model, outputs.stored(), stats, thermal)
    page = WebSink(outputs.web.web or "", outputs.web.web_token, run)
    closing.callback(page.close)
    return page


def open_sinks(closing: ExitStack, source: Source, model: str, outputs: Outputs) -> list[Sink]:
    """Open every sink but the live page.

    Args:
        closing: Closes the sinks.
        source: The source, for its name and frame rate.
        model: The model's name.
        outputs: The options.

    Returns:
        The sinks in the order in which they get a frame: the window late, as closing it may end the run.

    Raises:
        SinkError: An output cannot be written or reached, or does not fit the source.
        click.UsageError: Options do not fit each other.
    """
    _check(source, outputs)
    sinks = []
    files, displays = _files(source, outputs.files), _displays(source, outputs.files)
    for sink in chain(files, _events(outputs.events), _broker(source, model, outputs), displays):
        closing.callback(sink.close)
        sinks.append(sink)
    return sinks


def _check(source: Source, outputs: Outputs) -> None:
    files, events = outputs.files, outputs.events
    values = {"snapshot_dir": events.snapshot_dir, "on": events.on, "mqtt": outputs.mqtt.mqtt}
    flags = [flag(name) for name, value in values.items() if value]
    if flags and not source.continuous:
        why = "no emotion begins or ends in single pictures; give a camera, a stream or a video"
        raise SinkError(f"{', '.join(flags)}: {why}")
    if files.rotate_mb and not files.csv and files.jsonl in (None, "-"):
        raise click.UsageError("--rotate-mb needs a file: --jsonl PATH or --csv PATH")
    if events.snapshot_on and not events.snapshot_dir:
        raise click.UsageError("--snapshot-on needs --snapshot-dir DIR")


def _files(source: Source, options: OutputOptions) -> Iterator[Sink]:
    if options.jsonl:
        from fer_edge.edge.sinks.jsonl import JsonlSink

        yield JsonlSink(options.jsonl, _rotation(options))
    if options.csv:
        from fer_edge.edge.sinks.csv import CsvSink

        yield CsvSink(options.csv, _rotation(options))
    if options.save_video:
        from fer_edge.edge.sinks.video import VideoSink

        yield VideoSink(options.save_video, None if source.live else source.fps or 25.0)
    if options.save_picture:
        from fer_edge.edge.sinks.picture import PictureSink

        yield PictureSink(options.save_picture)


def _rotation(options: OutputOptions) -> Rotation | None:
    if options.rotate_mb is None:
        return None
    from fer_edge.edge.sinks.line_writer import Rotation

    return Rotation(round(options.rotate_mb * 1e6), options.rotate_keep)


def _events(options: EventOptions) -> Iterator[Sink]:
    hold, cooldown = options.hold, options.cooldown
    if options.snapshot_dir:
        from fer_edge.edge.sinks.snapshot import SnapshotSink

        folder, keep = options.snapshot_dir, options.snapshot_keep
        yield SnapshotSink(folder, options.snapshot_on or EMOTIONS, keep, cooldown, hold)
        log.info("snapshots: pictures of people are stored in %s, up to %d of them", folder, keep)
    if options.on:
        from fer_edge.edge.sinks.command import CommandSink

        yield CommandSink(options.on, cooldown, hold)


def _broker(source: Source, model: str, outputs: Outputs) -> Iterator[Sink]:
    options = outputs.mqtt
    if not options.mqtt:
        return
    from fer_edge.edge.sinks.mqtt.broker_url import (
        checked_discovery_prefix,
        checked_name,
        default_name,
        parse_broker_url,
    )

    url = parse_broker_url(options.mqtt)
    if options.mqtt_ca and not url.tls:
        raise SinkError(f"--mqtt-ca: {url} is not encrypted; give mqtts://")
    name = checked_name(options.mqtt_id or default_name(source.name))
    prefix = checked_discovery_prefix(options.mqtt_discovery)

    from fer_edge.edge.device.version import package_version
    from fer_edge.edge.sinks.mqtt.connection import Connection
    from fer_edge.edge.sinks.mqtt.discovery import discovery_messages
    from fer_edge.edge.sinks.mqtt.sink import MqttSink

    base = f"{url.prefix}/{name}"
    discovery = discovery_messages(prefix, base, name, model, package_version()) if prefix else {}
    connection = Connection(url, name, discovery, options.mqtt_ca)
    yield MqttSink(connection, lambda: source.disconnected, outputs.events.hold)


def _displays(source: Source, options: OutputOptions) -> Iterator[Sink]:
    show = options.show
    if show == "auto":
        from fer_edge.edge.sinks.window import window_problem

        show = "window" if window_problem() is None else "none" if options.jsonl == "-" else "text"
    if show == "text":
        from fer_edge.edge.sinks.text import TextSink

        yield TextSink()
    elif show == "window":
        from fer_edge.edge.sinks.window import WindowSink

        yield WindowSink()
    if shows_status_line():
        from fer_edge.edge.sinks.status import StatusSink

        yield StatusSink(source)
    if "NOTIFY_SOCKET" in os.environ:
        from fer_edge.edge.sinks.systemd_notify import SystemdNotifySink

        yield SystemdNotifySink(lambda: source.disconnected)
