"""What an example file shows of an option that has no built-in value: something that one might want."""

from __future__ import annotations

import secrets
from typing import Any

import click

SAMPLES = {
    "camera": "0",
    "source": "party.mp4",
    "width": 640,
    "height": 480,
    "fps": 15,
    "budget": 4,
    "jsonl": "faces.jsonl",
    "csv": "faces.csv",
    "max-mb": 10,
    "save-video": "annotated.mp4",
    "save-picture": "face.png",
    "snapshot-dir": "snapshots",
    "snapshot-on": ["happy"],
    "on": [["happy", "aplay tada.wav"]],
    "web": "8080",
    "mqtt": "mqtt://broker.local/home",
    "mqtt-id": "door",
    "mqtt-ca": "/etc/ssl/certs/broker.pem",
    "max-frames": 1000,
    "duration": 60,
    "save": "annotated",
    "run-as": "pi",
    "write": ["/srv/faces"],
    "network": True,
    "data": "fer2013.csv",
}
"""By key. Of the device's commands every option without a built-in value is here, or is the token below."""


def sample(key: str, option: click.Option) -> Any:
    """A value that the option takes: its own, or where none is known the first that it allows, or its name."""
    if key == "web-token":
        return secrets.token_urlsafe(24)  # one that stood here would be everybody's
    if key in SAMPLES:
        return SAMPLES[key]
    if option.multiple:
        return []
    kind = option.type
    if isinstance(kind, click.Choice):
        return str(kind.choices[0])
    if isinstance(kind, click.IntRange | click.FloatRange):
        return _within(kind)
    if isinstance(kind, click.types.BoolParamType):
        return False
    return 0 if isinstance(kind, click.types.IntParamType | click.types.FloatParamType) else key.upper()


def _within(kind: click.IntRange | click.FloatRange) -> float:
    """The least number of a range, 0 where there is none; where it is left out, halfway to the greatest, or 1 more."""
    least = kind.min or 0
    if not kind.min_open:
        return least
    return least + 1 if kind.max is None or isinstance(kind, click.IntRange) else (least + kind.max) / 2
