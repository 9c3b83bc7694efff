"""The options that decide which sinks a run has, and whether they fit each other and the source."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path

import click

from fer_edge.edge.config.click_options import flag, info_of
from fer_edge.edge.errors import SinkError, printable
from fer_edge.edge.files import file_identity, local_path
from fer_edge.edge.sinks.mqtt.options import MqttOptions
from fer_edge.edge.sinks.options import EventOptions, OutputOptions
from fer_edge.edge.types import Source
from fer_edge.edge.web.options import WebOptions


@dataclass(frozen=True)
class Outputs:
    """The options that decide which sinks a run has."""

    files: OutputOptions
    events: EventOptions
    web: WebOptions
    mqtt: MqttOptions

    def are_any(self) -> bool:
        """Whether the run has an output besides its display."""
        return bool(self.stored() or self.files.jsonl or self.events.on or self.web.web or self.mqtt.mqtt)

    def stored(self) -> tuple[str, ...]:
        """What the run keeps on this device, in words."""
        descriptions = []
        for options in (self.files, self.events):
            for each in fields(options):
                value = getattr(options, each.name)
                if info_of(each).stores and value and value != "-":
                    descriptions.append(f"{info_of(each).stores} ({printable(Path(value).name)})")
        return tuple(descriptions)


def refuse_overwriting_source(source: str | None, files: OutputOptions) -> None:
    """Check that no output is a file that is read.

    Args:
        source: What --source names: a file, a folder of pictures, or neither.
        files: The outputs.

    Raises:
        SinkError: An output would overwrite the source, or a picture in its folder.
    """
    source = local_path(source or "")
    originals = [each.path for each in os.scandir(source)] if os.path.isdir(source) else [source]
    known = {file_identity(each) for each in originals} - {None}
    for name in ("jsonl", "csv", "save_video", "save_picture"):
        path = getattr(files, name)
        if path not in (None, "-") and file_identity(path) in known:
            raise SinkError(f"{flag(name)}: {path} is what --source reads; give another name")


def check_outputs(source: Source, outputs: Outputs) -> None:
    """Check that the outputs fit each other and the source.

    Args:
        source: The source.
        outputs: The options.

    Raises:
        SinkError: Single pictures have no events.
        click.UsageError: Options do not fit each other.
    """
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
