"""What messages may change in a run with --mqtt-control, and how."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from fer_edge.edge.commands.outputs import Outputs
from fer_edge.edge.commands.recognition import Recognition
from fer_edge.edge.pipeline import Intermittent, PipelineOptions
from fer_edge.edge.sinks import EventDriven, Sink

if TYPE_CHECKING:
    from fer_edge.edge.sinks.mqtt.control import Control


def open_control(pipeline: PipelineOptions, outputs: Outputs) -> Control:
    """Make the settings of a run, with the values at its start.

    Args:
        pipeline: The pipeline's options.
        outputs: The outputs' options; without one that has a cooldown, there is no such setting.

    Returns:
        The settings, which nothing changes before `Control.start`.

    Raises:
        click.UsageError: There is no broker.
    """
    if not outputs.mqtt.mqtt:
        raise click.UsageError("--mqtt-control needs --mqtt URL")
    from fer_edge.edge.commands.fleet.settings import SETTINGS
    from fer_edge.edge.sinks.mqtt.control import Control, StartValue

    events = outputs.events
    values: dict[str, bool | int | float] = {
        "recognition": True,
        "hold": events.hold,
        "detect-every": pipeline.detect_every,
        "smooth": pipeline.smooth,
    }
    if events.on or events.snapshot_dir:
        values["cooldown"] = events.cooldown
    return Control([StartValue(setting, values[key]) for key, setting in SETTINGS.items() if key in values])


def change_setting(recognition: Recognition, sinks: Sequence[Sink], key: str, value: Any) -> None:
    """Change a setting of a run, from any thread; the next frame has it.

    Args:
        recognition: The run's pipeline.
        sinks: Its sinks.
        key: The setting's key, one of `open_control`'s.
        value: A value that the setting takes.
    """
    detector, smoother = recognition.pipeline.detector, recognition.pipeline.smoother
    if key == "recognition":
        recognition.on = value
    elif key == "detect-every" and isinstance(detector, Intermittent):
        detector.set_interval(value)
    elif key == "smooth" and smoother is not None:
        smoother.time_constant = value
    elif key in ("hold", "cooldown"):
        for sink in sinks:
            if isinstance(sink, EventDriven):
                sink.set_timing(**{key: value})
