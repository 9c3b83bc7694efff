"""An option of a command as a key of `fer-edge.toml`: its name there, and which values it takes."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import click

from fer_edge.edge.config.click_options import option_key
from fer_edge.edge.config.empty_values import holds_empty
from fer_edge.edge.errors import ConfigError, shortened
from fer_edge.edge.files.documents import json_text

_PLAIN = (bool, int, float, str, Path, list, tuple)


def options(command: click.Command) -> dict[str, click.Option]:
    """A command's options.

    Args:
        command: The command.

    Returns:
        The options by key, `early-exit` for --early-exit/--no-early-exit, without --help and --version.
    """
    chosen = [each for each in command.params if isinstance(each, click.Option) and not each.is_eager]
    return {option_key(each): each for each in chosen}


def checked(where: str, option: click.Option, value: Any, context: click.Context) -> Any:
    """Check a value of the file's.

    Args:
        where: File, table and key, for the error message.
        option: The option that the key is of.
        value: The value as TOML has it.
        context: The context of the option's command.

    Returns:
        The value as click's default_map takes it, a leading ~/ replaced by the user's home.

    Raises:
        ConfigError: The option does not take the value, which is left out of the message where it may be a secret.
    """
    setting = f"{where} = {'…' if may_be_secret(option.type) else shortened(as_toml(value))}"
    if _holds_nul(value):
        raise ConfigError(f"{setting}: expected a text without \\u0000")  # neither arguments nor file names hold one
    if holds_empty(value):
        raise ConfigError(f"{setting}: the value is empty; give one, or remove the line")
    if _holds_variable(value):
        own = "_".join(["FER_EDGE", *context.command_path.split()[1:], option_key(option)]).upper().replace("-", "_")
        why = "a variable is not replaced in this file"
        raise ConfigError(f"{setting}: {why}; write its value, or leave the key out and set {own} in the environment")
    if not _fits(option, value):
        raise ConfigError(f"{setting}: expected {_expected(option)}")
    value = _expand_home(value)
    try:
        option.process_value(context, value)
    except click.BadParameter as error:
        raise ConfigError(f"{setting}: {shortened(error.message.rstrip('.'), 200)}") from None
    return value


def default(option: click.Option) -> Any:
    """The built-in value of an option.

    Args:
        option: The option.

    Returns:
        The value, False for a flag that is declared without one; None where the option has none.
    """
    value = option.default() if callable(option.default) else option.default
    if value is None or isinstance(value, _PLAIN):
        return value
    return False if option.is_flag and isinstance(option.type, click.types.BoolParamType) else None


def as_words(option: click.Option, value: Any) -> list[str]:
    """An option with a value as words of a command line.

    Args:
        option: The option.
        value: A checked value of the file's.

    Returns:
        The words, such as ["--threads", "2"], ["--no-early-exit"], or none where a flag has no negative form.
    """
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
    """A value as TOML writes it.

    Args:
        value: A truth value, number, text or path, or a list, tuple or dictionary of these.

    Returns:
        One line of TOML 1.0.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(as_toml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{json.dumps(key)} = {as_toml(item)}' for key, item in value.items())}}}"
    text = json_text(str(value))  # as TOML's, but for characters that no terminal should obey
    return text if text.isprintable() else "".join(each if each.isprintable() else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def may_be_secret(kind: click.ParamType[Any]) -> bool:
    """Whether a value of this type may hold a token or a password, so that no error line repeats it: it is free text.

    Error lines of a service go into the journal.
    """
    return isinstance(kind, click.types.StringParamType) or (
        isinstance(kind, click.Tuple) and any(map(may_be_secret, kind.types))
    )


def _holds_nul(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_holds_nul, value))
    return isinstance(value, str) and "\0" in value


def _holds_variable(value: Any) -> bool:
    """Whether a text has a shell's ${VARIABLE} in it or is a $VARIABLE; a command, in a list of its own, may."""
    if isinstance(value, list):
        return any(isinstance(each, str) and _holds_variable(each) for each in value)
    return isinstance(value, str) and re.search(r"\$\{\w+\}|^\$\w+$", value, re.ASCII) is not None


def _fits(option: click.Option, value: Any) -> bool:
    """Whether a value is of the kind that the option takes; click alone would make 1 of true."""
    values = value if option.multiple else [value]
    return isinstance(values, list) and all(_fits_once(option, item) for item in values)


def _fits_once(option: click.Option, value: Any) -> bool:
    if option.nargs == 1:
        return _fits_type(option.type, value)
    types = option.type.types if isinstance(option.type, click.Tuple) else [option.type] * option.nargs
    is_complete = isinstance(value, list) and len(value) == len(types)
    return is_complete and all(_fits_type(kind, item) for kind, item in zip(types, value, strict=True))


def _fits_type(kind: click.ParamType[Any], value: Any) -> bool:
    if isinstance(value, bool) or isinstance(kind, click.types.BoolParamType):
        return isinstance(value, bool) and isinstance(kind, click.types.BoolParamType)
    if isinstance(kind, click.types.IntParamType):
        return isinstance(value, int)
    if isinstance(kind, click.types.FloatParamType):
        return isinstance(value, int | float)
    if isinstance(kind, click.Path):
        return isinstance(value, str)  # of a number it would make an open file of the process
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


def _expand_home(value: Any) -> Any:
    """The value with a leading ~/ of each text replaced by the user's home, as a shell does on a command line."""
    if isinstance(value, list):
        return [_expand_home(item) for item in value]
    return os.path.expanduser(value) if isinstance(value, str) and value.startswith("~/") else value
