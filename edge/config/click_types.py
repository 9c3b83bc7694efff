"""Types of option values that click lacks."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import click

LARGEST = 1_000_000_000
"""Largest number of an option without limits of its own, which C's integers and the system's clocks can hold.

In seconds it is 31 years.
"""


class IntRange(click.IntRange):
    """click's range of whole numbers, which ends at `LARGEST` where it has no limit; the help does not mention that."""

    name = "integer"

    def __init__(self, min: int | None = None, max: int | None = None) -> None:
        super().__init__(-LARGEST if min is None else min, LARGEST if max is None else max)

    def _describe_range(self) -> str:
        return _range_text(self)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Convert a value to a whole number in the range.

        Args:
            value: The text or number that was given.
            param: The option.
            ctx: The command's context.

        Returns:
            The number.

        Raises:
            click.BadParameter: The value is no whole number, or outside the range.
        """
        with suppress(ValueError):
            _check_size(self, value, int(value), param, ctx)
        return int(super().convert(value, param, ctx))


class FloatRange(click.FloatRange):
    """click's range of floats without nan, which is neither below nor above any limit; it ends as `IntRange` does.

    Args:
        min: Least number.
        max: Largest number.
        min_open: Whether `min` itself is not allowed.
        infinite: Whether infinity is allowed beside the range.
    """

    def __init__(
        self, min: float | None = None, max: float | None = None, min_open: bool = False, infinite: bool = False
    ) -> None:
        super().__init__(-LARGEST if min is None else min, LARGEST if max is None else max, min_open)
        self.infinite = infinite

    def _describe_range(self) -> str:
        return _range_text(self)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Convert a value to a number in the range.

        Args:
            value: The text or number that was given.
            param: The option.
            ctx: The command's context.

        Returns:
            The number.

        Raises:
            click.BadParameter: The value is no number, nan, or outside the range.
        """
        with suppress(ValueError):
            number = float(value)
            if math.isnan(number):
                self.fail(f"{value} is no number", param, ctx)
            if self.infinite and number == math.inf:
                return number
            _check_size(self, value, number, param, ctx)
        return float(super().convert(value, param, ctx))


def is_unlimited(limit: float | None) -> bool:
    """Whether a limit of a range is none that an option has set."""
    return limit is None or abs(limit) == LARGEST


def _range_text(kind: click.IntRange | click.FloatRange) -> str:
    """The limits of a range, but for those at `LARGEST`; '' where there are no others."""
    lower, upper = ("<" if is_open else "<=" for is_open in (kind.min_open, kind.max_open))
    low, high = (None if is_unlimited(limit) else f"{limit:.10g}" for limit in (kind.min, kind.max))
    if low is None:
        return "" if high is None else f"x{upper}{high}"
    return f"x{lower.replace('<', '>')}{low}" if high is None else f"{low}{lower}x{upper}{high}"


def _check_size(
    kind: click.IntRange | click.FloatRange,
    value: Any,
    number: float,
    param: click.Parameter | None,
    ctx: click.Context | None,
) -> None:
    """BadParameter where a number is beyond `LARGEST` on a side without a limit, which the range's text leaves out."""
    limit = kind.max if number > 0 else kind.min
    if abs(number) > LARGEST and is_unlimited(limit):
        kind.fail(f"{value} is beyond {LARGEST:,}", param, ctx)


class ShellText(click.types.StringParamType):
    """The texts of a repeatable option; an environment variable holds them quoted as for a shell."""

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        """Split an environment variable's value, such as FER_EDGE_TRAIN_TEACHER="runs/vgg 'my runs/resnet'".

        Args:
            rv: The variable's value.

        Returns:
            The words.

        Raises:
            click.BadParameter: A quotation is not closed.
        """
        return shell_words(rv)


class ShellTuple(click.Tuple):
    """Several values of one option; an environment variable holds them quoted as for a shell."""

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        """Split an environment variable's value, such as FER_EDGE_RUN_ON="happy 'aplay tada.wav'".

        Args:
            rv: The variable's value: as many words as the option takes, or a multiple of that.

        Returns:
            The words.

        Raises:
            click.BadParameter: A quotation is not closed, or the number of words does not fit. The value is left out of
                the message, as it may hold a password.
        """
        words = shell_words(rv)
        if len(words) % len(self.types):
            raise click.BadParameter(
                f"expected words in groups of {len(self.types)}, quoted as for a shell; got {len(words)}"
            )
        return words


def shell_words(text: str) -> list[str]:
    """Split a text as a shell would; click's BadParameter, without the text, where a quotation is not closed."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise click.BadParameter(f"{str(error).lower()}; words are quoted as for a shell") from None
