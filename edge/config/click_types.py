"""A number on a command line, within its range."""

from __future__ import annotations

import math
from typing import Any

import click


class FloatRange(click.FloatRange):
    """click's range of floats without nan, which is neither below nor above any limit; all the others where none is."""

    def _describe_range(self) -> str:
        """What stands in the help; click's own would say x<=None where there is no limit."""
        return "" if self.min is None and self.max is None else super()._describe_range()

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number in the range; click's BadParameter for any other value."""
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value} is no number", param, ctx)
        return number
