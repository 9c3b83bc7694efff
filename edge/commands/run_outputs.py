"""The sinks of `fer-edge run`, made from its options."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain
from typing import TYPE_CHECKING

from fer_edge.edge.commands.outputs import Outputs, RunDevice, RunModel, check_outputs
from fer_edge.edge.device.thermal import ThermalMonitor
from fer_edge.edge.errors import SinkError
from fer_edge.edge.expression.model_files import model_sha256
from fer_edge.edge.sinks import Sink
from fer_edge.edge.sinks.locks import FileLock
from fer_edge.edge.sinks.options import EventOptions, OutputOptions
from fer_edge.edge.sinks.output_paths import goes_to_stdout
from fer_edge.edge.sinks.run_stats import RunStats
from fer_edge.edge.sinks.stdout import require_stdout, stdout_is_open
from fer_edge.edge.terminal import shows_status_line
from fer_edge.edge.types import Source

if TYPE_CHECKING:
    from fer_edge.edge.sinks.line_writer import Rotation
    from fer_edge.edge.web.sink import WebSink

log = logging.getLogger(__name__)


def open_page(
    closing: ExitStack, source: Source, stats: RunStats, thermal: ThermalMonitor, model: RunModel, outputs: Outputs
) -> WebSink:
    """Start the live page.

    Args:
        closing: Closes the page.
        source: The source, for its state.
        stats: Counts and times that the page shows.
        thermal: The board's temperature and load level, which it shows too.
        model: The model.
        outputs: The options.

    Returns:
        The page, listening.

    Raises:
        SinkError: The address is malformed or cannot be listened on.
    """
    from fer_edge.edge.web.sink import WebSink
    from fer_edge.edge.web.state import RunInfo

    run = RunInfo(source, model.name, model.classes, outputs.stored(), stats, thermal)
    page = WebSink(outputs.web.web or "", outputs.web.web_token, run)
    closing.callback(page.close)
    return page


def open_sinks(closing: ExitStack, source: Source, model: RunModel, outputs: Outputs, device: RunDevice) -> list[Sink]:
    """Open every sink but the live page.

    Args:
        closing: Closes the sinks.
        source: The source, for its name and frame rate.
        model: The model.
        outputs: The options.
        device: What a broker learns of the device.

    Returns:
        The sinks in the order in which they get a frame: the window late, as closing it may end the run.

    Raises:
        SinkError: An output cannot be written or reached, or does not fit the source.
        click.UsageError: Options do not fit each other.
    """
    check_outputs(source, model, outputs)
    for path in (outputs.files.save_video, outputs.files.save_picture):
        if path is not None and (not os.path.exists(path) or os.path.isfile(path)) and os.path.isdir(path.parent):
            closing.callback(FileLock(path).close)
    sinks = []
    files, displays = _files(source, model, outputs.files), _displays(source, outputs)
    events, broker = _events(model, outputs.events), _broker(source, model, outputs, device)
    for sink in chain(files, events, broker, displays):
        closing.callback(sink.close)
        sinks.append(sink)
    return sinks


def _files(source: Source, model: RunModel, options: OutputOptions) -> Iterator[Sink]:
    if options.jsonl:
        from fer_edge.edge.sinks.jsonl import JsonlSink

        yield JsonlSink(options.jsonl, _rotation(options))
    if options.csv:
        from fer_edge.edge.sinks.csv import CsvSink

        yield CsvSink(options.csv, model.classes, _rotation(options))
    if options.save_video:
        from fer_edge.edge.sinks.video import VideoSink

        segment = options.save_video_segment
        rate = None if source.live else source.fps or 0.0
        yield VideoSink(options.save_video, rate, None if segment is None else 60 * segment)
    if options.save_picture:
        from fer_edge.edge.sinks.picture import PictureSink

        yield PictureSink(options.save_picture)


def _rotation(options: OutputOptions) -> Rotation | None:
    if options.rotate_mb is None:
        return None
    from fer_edge.edge.sinks.line_writer import Rotation

    return Rotation(round(options.rotate_mb * 1e6), options.rotate_keep)


def _events(model: RunModel, options: EventOptions) -> Iterator[Sink]:
    hold, cooldown = options.hold, options.cooldown
    if options.snapshot_dir:
        from fer_edge.edge.sinks.snapshot import SnapshotSink

        folder, keep = options.snapshot_dir, options.snapshot_keep
        emotions = options.snapshot_on or model.classes
        yield SnapshotSink(folder, model.classes, emotions, keep, cooldown, hold)
        log.info("snapshots: pictures of people are stored in %s, up to %d of them", folder, keep)
    if options.on:
        from fer_edge.edge.sinks.command import CommandSink

        yield CommandSink(options.on, cooldown, hold)


def _broker(source: Source, model: RunModel, outputs: Outputs, device: RunDevice) -> Iterator[Sink]:
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
    from fer_edge.edge.sinks.mqtt.payload import DeviceStatus, device_record
    from fer_edge.edge.sinks.mqtt.sink import MqttSink

    base, version, thermal = f"{url.prefix}/{name}", package_version(), device.thermal
    sha256, keys = model_sha256(model.name), device.control.keys if device.control else ()
    records = {f"{base}/device": device_record(name, version, model.name, sha256, source.name, device.page, keys)}
    if prefix:
        records |= discovery_messages(prefix, base, name, model.name, version, model.classes)
    yield MqttSink(
        Connection(url, name, records, options.mqtt_ca, device.control),
        lambda: source.disconnected,
        lambda: source.disconnect_reason,
        outputs.events.hold,
        status=lambda: DeviceStatus(thermal.condition, thermal.level),
    )


def _displays(source: Source, outputs: Outputs) -> Iterator[Sink]:
    show, is_only_result = outputs.files.show, not outputs.are_any()
    if show == "auto":
        from fer_edge.edge.sinks.window import window_problem

        taken = goes_to_stdout(outputs.files.jsonl) or goes_to_stdout(outputs.files.csv)
        has_stdout = not taken and (is_only_result or stdout_is_open())
        show = "window" if window_problem() is None else "text" if has_stdout else "none"
    if show == "text":
        from fer_edge.edge.sinks.text import TextSink

        require_stdout()
        yield TextSink(optional=outputs.files.show == "auto" and not is_only_result)
    elif show == "window":
        from fer_edge.edge.sinks.window import WindowSink

        yield WindowSink()
    if shows_status_line():
        from fer_edge.edge.sinks.status import StatusSink

        yield StatusSink(source)
    if "NOTIFY_SOCKET" in os.environ:
        from fer_edge.edge.sinks.systemd_notify import SystemdNotifySink

        yield SystemdNotifySink(lambda: source.disconnected)
