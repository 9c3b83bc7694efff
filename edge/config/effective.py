"""The values that a command would run with, and where each of them comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from fer_edge.edge.config.click_options import Option, environment_variable
from fer_edge.edge.config.option_values import default, may_be_secret, options
from fer_edge.edge.errors import ConfigError, redact

MASK = "…"
"""What stands for a secret."""


@dataclass(frozen=True)
class EffectiveValue:
    """An option's value without a command line.

    Attributes:
        key: The option's key in the file.
        value: The value; None or an empty tuple where it is not set.
        origin: The environment variable's name, the file's path, or "default"; where there is no value, what happens
            then, which may be empty.
        secret: Whether the value is never shown.
    """

    key: str
    value: Any
    origin: str
    secret: bool

    @property
    def is_set(self) -> bool:
        """Whether there is a value."""
        return self.value is not None and self.value != ()

    @property
    def masked(self) -> Any:
        """The value with … for a secret, for a password or token in an address, and for a command's words."""
        return MASK if self.secret else _masked(self.value)


def _masked(value: Any) -> Any:
    """Of a pair both parts: where a command lacks its quotes, the next pair begins with one of its words."""
    if isinstance(value, list | tuple):
        pairs = [each for each in value if isinstance(each, list | tuple)]
        return [(MASK,) * len(each) for each in pairs] if pairs else [_masked(each) for each in value]
    return redact(str(value)) if isinstance(value, str | Path) else value


def effective_values(context: click.Context, in_file: Mapping[str, Any], path: Path | None) -> list[EffectiveValue]:
    """Every option of a command with its value: the environment's, else the file's, else the built-in one.

    Args:
        context: The command's context.
        in_file: The file's checked values by parameter name.
        path: The file, None where there is none.

    Returns:
        The values in the order of the options.

    Raises:
        ConfigError: An environment variable has a value that its option does not take.
    """
    values = []
    for key, option in options(context.command).items():
        value, origin = _value_of(option, context, in_file, path)
        values.append(EffectiveValue(key, value, origin, isinstance(option, Option) and option.secret))
    return values


def bad_variable(error: click.BadParameter) -> str | None:
    """The error line for an environment variable with a value that its option does not take.

    Args:
        error: What click raised for the option.

    Returns:
        The line, without the value where that may be a secret; None where the value came from elsewhere.
    """
    if not isinstance(error.param, click.Option) or error.ctx is None:
        return None
    source = error.ctx.get_parameter_source(str(error.param.name))
    name = environment_variable(error.param, error.ctx)
    if name is None or source not in (None, ParameterSource.ENVIRONMENT):
        return None
    if not may_be_secret(error.param.type) or source is None:  # None: refused before it was split into words
        return f"{name}: {error.message.rstrip('.')}"
    return f"{name}: expected {error.param.make_metavar(error.ctx)}, as in 'fer-edge config --example'"


def _value_of(
    option: click.Option, context: click.Context, in_file: Mapping[str, Any], path: Path | None
) -> tuple[Any, str]:
    name = environment_variable(option, context)
    if name is not None:
        try:
            text = option.value_from_envvar(context)
            context.set_parameter_source(str(option.name), ParameterSource.ENVIRONMENT)
            return option.process_value(context, text), name
        except click.BadParameter as error:
            error.param, error.ctx = option, context
            raise ConfigError(bad_variable(error) or str(error)) from None
    if str(option.name) in in_file:
        return in_file[str(option.name)], str(path)
    value = default(option)
    if value is None and isinstance(option.show_default, str):
        return None, option.show_default
    return value, "" if value is None else "default"
