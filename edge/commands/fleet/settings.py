"""The settings of a running device that an operator may change: options of `run`, with their ranges."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_type_hints

from fer_edge.edge.config.click_options import info_of
from fer_edge.edge.config.click_types import LARGEST
from fer_edge.edge.pipeline import PipelineOptions
from fer_edge.edge.sinks.mqtt.setting import Setting
from fer_edge.edge.sinks.options import EventOptions
from fer_edge.edge.types import OptionInfo


def _of_option(options: type[Any], name: str) -> Setting:
    """The setting that is an option of `run`."""
    (field,) = (each for each in fields(options) if each.name == name)
    return Setting(name.replace("_", "-"), get_type_hints(options)[name], info_of(field), LARGEST)


RECOGNITION = Setting("recognition", bool, OptionInfo("Find faces and recognize their expressions."), LARGEST)

SETTINGS = {
    setting.key: setting
    for setting in (
        RECOGNITION,
        _of_option(EventOptions, "hold"),
        _of_option(EventOptions, "cooldown"),
        _of_option(PipelineOptions, "detect_every"),
        _of_option(PipelineOptions, "smooth"),
    )
}
"""By key."""
