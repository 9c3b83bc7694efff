"""The options that decide which sinks a run has, and whether they fit each other and the source."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fer_edge.edge.commands.read_folder import refuse_read_folder
from fer_edge.edge.config.click_options import flag, info_of
from fer_edge.edge.device.thermal import ThermalMonitor
from fer_edge.edge.errors import FerEdgeError, SinkError, printable, shortened
from fer_edge.edge.expression.model_files import model_files
from fer_edge.edge.faces.face_models import FACE_FOLDER
from fer_edge.edge.files.paths import local_path
from fer_edge.edge.pipeline import PipelineOptions
from fer_edge.edge.sinks.line_writer import rotated_names
from fer_edge.edge.sinks.mqtt.options import MqttOptions
from fer_edge.edge.sinks.options import EventOptions, OutputOptions
from fer_edge.edge.sinks.output_paths import STDOUT, refuse_shared_files
from fer_edge.edge.sources.options import SourceOptions
from fer_edge.edge.sources.picture_files import PictureFiles, list_pictures
from fer_edge.edge.sources.stream import is_pipeline
from fer_edge.edge.types import Source
from fer_edge.edge.web.options import WebOptions

if TYPE_CHECKING:
    from fer_edge.edge.sinks.mqtt.control import Control


@dataclass(frozen=True)
class RunModel:
    """The model of a run.

    Attributes:
        name: The model option, as `ensemble`.
        classes: (C,) names of its classes.
    """

    name: str
    classes: tuple[str, ...]


@dataclass(frozen=True)
class RunDevice:
    """What a broker learns of the device beside its faces.

    Attributes:
        thermal: Temperature and load level.
        page: The live page's address without its token, None where there is none.
        control: The settings that messages may change, None without --mqtt-control.
    """

    thermal: ThermalMonitor
    page: str | None
    control: Control | None = None


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


def refuse_shared_paths(
    source: SourceOptions, pipeline: PipelineOptions, outputs: Outputs, config: Path | None
) -> None:
    """Check that no output is a file that is read, or another output.

    Args:
        source: The source.
        pipeline: The models.
        outputs: The outputs.
        config: The configuration file in use.

    Raises:
        SinkError: One is.
    """
    files, keep = outputs.files, outputs.files.rotate_keep if outputs.files.rotate_mb else 0
    refuse_shared_files(
        {
            "--show text": [STDOUT] if files.show == "text" else [],
            "--jsonl": rotated_names(files.jsonl, keep) if files.jsonl else [],
            "--csv": rotated_names(files.csv, keep) if files.csv else [],
            "--save-video": _given(files.save_video),
            "--save-picture": _given(files.save_picture),
            "--snapshot-dir": _given(outputs.events.snapshot_dir),
        },
        {
            "--source": source_files(source),
            "--config": _given(config),
            "--model": model_files(pipeline.model),
            "--detector": [*FACE_FOLDER.iterdir(), *filter(os.path.isfile, [pipeline.detector])],
            "--delegate": filter(os.path.isfile, [(pipeline.delegate or "").partition(":")[0]]),
            "--source-ca": _given(source.source_ca),
            "--mqtt-ca": _given(outputs.mqtt.mqtt_ca),
            "--on": _programs(outputs.events.on),
        },
    )
    if files.save_picture and (found := _folder(source)) is not None:
        refuse_read_folder("--save-picture", files.save_picture.parent, found.folders, source.recursive)


def _given(path: Path | str | None) -> list[Path | str]:
    return [path] if path else []


def _programs(commands: Iterable[tuple[str, str]]) -> list[str]:
    """The files of the programs in commands; their arguments may well be files that are written here."""
    with suppress(ValueError):  # no command, which is said later
        words = [shlex.split(command) for _, command in commands]
        return [path for name, *_ in filter(None, words) if (path := shutil.which(name))]
    return []


def source_files(options: SourceOptions) -> list[Path | str]:
    """The files that --source reads: itself, the pictures in a folder, and those that a pipeline names."""
    source = options.source or ""
    if (found := _folder(options)) is not None:
        return list(found.paths)
    if is_pipeline(source):
        return [word.partition("=")[2].strip("\"'") for word in source.split() if "=" in word]
    return _given(local_path(source).removeprefix("file:"))


def _folder(options: SourceOptions) -> PictureFiles | None:
    """The pictures of the folder that --source names; None where it names none, or one without pictures."""
    path = local_path(options.source or "")
    with suppress(FerEdgeError):
        return list_pictures(Path(path), options.recursive) if path and os.path.isdir(path) else None
    return None


def check_outputs(source: Source, model: RunModel, outputs: Outputs) -> None:
    """Check that the outputs fit each other, the source and the model.

    Args:
        source: The source.
        model: The model.
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
    if files.save_video_segment and not files.save_video:
        raise click.UsageError("--save-video-segment needs --save-video PATH")
    if events.snapshot_on and not events.snapshot_dir:
        raise click.UsageError("--snapshot-on needs --snapshot-dir DIR")
    chosen = {flag("snapshot_on"): events.snapshot_on, flag("on"): [each for each, _ in events.on]}
    for name, classes in chosen.items():
        if not set(classes) <= set(model.classes):  # not repeated: it may be a part of a command that lacks its quotes
            known = shortened(", ".join(model.classes), 400)
            raise click.UsageError(f"{name}: {model.name} has no class of that name; expected one of {known}")
