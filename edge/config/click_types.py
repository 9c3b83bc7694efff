"""Types of option values that click lacks."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from typing import Any

import click


class FloatRange(click.FloatRange):
    """click's range of floats without nan, which is neither below nor above any limit; all the others where none is."""

    def _describe_range(self) -> str:
        """The range in the help text, none where there is no limit: click's own would say x<=None."""
        return "" if self.min is None and self.max is None else super()._describe_range()

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
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value} is no number", param, ctx)
        return number


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
