"""What an example file shows of an option that has no built-in value: something that one might want."""

from __future__ import annotations

import secrets
from typing import Any

import click

from fer_edge.edge.config.click_options import Option


def sample(key: str, option: click.Option) -> Any:
    """A value that the option takes: its example, or where it has none the first that it allows, or its name."""
    if isinstance(option, Option) and option.secret:
        return secrets.token_urlsafe(24)  # one that stood here would be everybody's
    if isinstance(option, Option) and option.example is not None:
        return option.example
    if option.multiple:
        return []
    kind = option.type
    if isinstance(kind, click.Choice):
        return str(kind.choices[0])
    if isinstance(kind, click.IntRange | click.FloatRange):
        return _smallest(kind)
    if isinstance(kind, click.types.BoolParamType):
        return False
    return 0 if isinstance(kind, click.types.IntParamType | click.types.FloatParamType) else key.upper()


def _smallest(kind: click.IntRange | click.FloatRange) -> float:
    """The least number of a range, 0 where there is none; where it is left out, halfway to the greatest, or 1 more."""
    least = kind.min or 0
    if not kind.min_open:
        return least
    return least + 1 if kind.max is None or isinstance(kind, click.IntRange) else (least + kind.max) / 2
