"""An option of a command as a key of `fer-edge.toml`: its name there, and which values it takes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from fer_edge.edge.errors import ConfigError

_PLAIN = (bool, int, float, str, Path, list, tuple)


def options(command: click.Command) -> dict[str, click.Option]:
    """A command's options by key: the long flag's name without dashes, `cascade` for --cascade/--no-cascade."""
    found = {}
    for option in command.params:
        if isinstance(option, click.Option) and not option.is_eager:
            found[max(option.opts, key=len).lstrip("-")] = option
    return found


def checked(where: str, option: click.Option, value: Any, context: click.Context) -> Any:
    """The value as click's default_map wants it, a leading ~/ replaced; ConfigError where the option refuses it."""
    told = f"{where} = {'…' if _may_be_secret(option.type) else as_toml(value)}"
    if _holds_nul(value):
        raise ConfigError(f"{told}: expected a text without \\u0000")  # a command line has none, nor has a file's name
    if not _fits(option, value):
        raise ConfigError(f"{told}: expected {_expected(option)}")
    value = _at_home(value)
    try:
        option.process_value(context, value)
    except click.BadParameter as error:
        raise ConfigError(f"{told}: {error.message.rstrip('.')}") from None
    return value


def default(option: click.Option) -> Any:
    """The built-in value, None where there is none."""
    value = option.default() if callable(option.default) else option.default
    if isinstance(value, _PLAIN):
        return value
    return False if option.is_flag and isinstance(option.type, click.types.BoolParamType) else None


def as_words(option: click.Option, value: Any) -> list[str]:
    """The option with a checked value of the file's, as one would type it."""
    name = max(option.opts, key=len)
    if option.is_flag:
        return [name] if value else option.secondary_opts[:1]
    if option.count:
        return [name] * int(value)
    words = []
    for item in value if option.multiple else [value]:
        words += [name, *map(str, item if option.nargs != 1 else [item])]
    return words


def as_toml(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(as_toml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{json.dumps(key)} = {as_toml(item)}' for key, item in value.items())}}}"
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")  # the one character they differ in


def _may_be_secret(kind: click.ParamType[Any]) -> bool:
    """Free text may be a token, or hold a password, and errors go into the journal."""
    return isinstance(kind, click.types.StringParamType) or (
        isinstance(kind, click.Tuple) and any(map(_may_be_secret, kind.types))
    )


def _holds_nul(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_holds_nul, value))
    return isinstance(value, str) and "\0" in value


def _fits(option: click.Option, value: Any) -> bool:
    """Whether a value is of the kind that the option takes; click alone would make 1 of true."""
    values = value if option.multiple else [value]
    return isinstance(values, list) and all(_fits_once(option, item) for item in values)


def _fits_once(option: click.Option, value: Any) -> bool:
    if option.nargs == 1:
        return _fits_type(option.type, value)
    types = option.type.types if isinstance(option.type, click.Tuple) else [option.type] * option.nargs
    right = isinstance(value, list) and len(value) == len(types)
    return right and all(_fits_type(kind, item) for kind, item in zip(types, value, strict=True))


def _fits_type(kind: click.ParamType[Any], value: Any) -> bool:
    if isinstance(value, bool) or isinstance(kind, click.types.BoolParamType):
        return isinstance(value, bool) and isinstance(kind, click.types.BoolParamType)
    if isinstance(kind, click.types.IntParamType):
        return isinstance(value, int)
    if isinstance(kind, click.types.FloatParamType):
        return isinstance(value, int | float)
    return isinstance(value, str | int)  # camera = 0 is as good as camera = "0"


def _expected(option: click.Option) -> str:
    if option.multiple:
        return "a list, as the option may be given more than once"
    if option.nargs != 1:
        return f"a list of {option.nargs} values"
    if isinstance(option.type, click.types.BoolParamType):
        return "true or false"
    if isinstance(option.type, click.types.IntParamType):
        return "a whole number"
    return "a number" if isinstance(option.type, click.types.FloatParamType) else "a text in quotes"


def _at_home(value: Any) -> Any:
    """A leading ~/ is the user's folder, which a shell would have said."""
    if isinstance(value, list):
        return [_at_home(item) for item in value]
    return os.path.expanduser(value) if isinstance(value, str) and value.startswith("~/") else value
