"""Click options made from the fields of options dataclasses, and help texts with sections."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import Field, fields, replace
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import click

from fer_edge.edge.config.click_types import FloatRange
from fer_edge.edge.types import OptionInfo

COLUMN = 30
"""Characters of the options' column that click's help allows."""

Command = TypeVar("Command", bound=Callable[..., Any])


class Option(click.Option):
    """A click option with a section in the help, an example for the configuration file, and whether it is secret."""

    def __init__(
        self, *args: Any, section: str = "Options", example: Any = None, secret: bool = False, **extra: Any
    ) -> None:
        super().__init__(*args, **extra)
        self.section, self.example, self.secret = section, example, secret


class Words(click.Tuple):
    """Several values of one option; an environment variable holds them as a shell would split them."""

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        """The words of FER_EDGE_RUN_ON="happy 'aplay tada.wav'"."""
        try:
            return shlex.split(rv)
        except ValueError as error:
            raise click.BadParameter(f"{rv!r}: {str(error).lower()}") from None


class SectionedCommand(click.Command):
    """A command with many options: in its help they stand under the headings of their sections."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One column for all sections, in the order in which they first come."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = None if isinstance(parameter, click.Argument) else parameter.get_help_record(ctx)
            if record is not None:
                section = parameter.section if isinstance(parameter, Option) else "Options"
                sections.setdefault(section, []).append(record)
        widest = max((len(option) for lines in sections.values() for option, _ in lines), default=0)
        for heading, lines in sections.items():
            with formatter.section(heading):
                formatter.write_dl([(option.ljust(min(widest, COLUMN)), text) for option, text in lines], COLUMN)


def options_from(
    dataclass: type[Any],
    section: str = "Options",
    *,
    only: Collection[str] | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> Callable[[Command], Command]:
    """Give a command an option for each field of an options dataclass, and pass it the dataclass.

    Args:
        dataclass: A frozen dataclass whose fields were made with `fer_edge.edge.types.option`. Its name in snake case
            names the command's parameter: `SourceOptions` comes as `source_options`.
        section: The heading in the help.
        only: The fields that become options; all of them where None.
        defaults: Defaults other than the dataclass's own, by field.

    Returns:
        A decorator for the command's function.
    """
    own, hints = dict(defaults or {}), get_type_hints(dataclass)
    chosen = [each for each in fields(dataclass) if info_of(each).cli and (only is None or each.name in only)]

    def decorate(function: Command) -> Command:
        @wraps(function)
        def command(*args: Any, **values: Any) -> Any:
            given = {each.name: _value(hints[each.name], values.pop(each.name)) for each in chosen}
            return function(*args, **{_snake(dataclass.__name__): dataclass(**given)}, **values)

        decorated: Any = command
        for each in reversed(chosen):
            decorated = _click_option(each, hints[each.name], section, own)(decorated)
        return decorated  # type: ignore[no-any-return]  # click adds to the function and returns it

    return decorate


def info_of(field: Field[Any]) -> OptionInfo:
    """What an options dataclass says of its field."""
    info = field.metadata["option"]
    assert isinstance(info, OptionInfo)
    return info


def flag(name: str) -> str:
    """The long flag of a field."""
    return f"--{name.replace('_', '-')}"


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _click_option(field: Field[Any], hint: Any, section: str, defaults: Mapping[str, Any]) -> Callable[[Any], Any]:
    """The click option of a field; a default of `defaults` goes before the field's."""
    info, default = info_of(field), defaults.get(field.name, field.default)
    extra: dict[str, Any] = {"section": section, "example": info.example, "secret": info.secret, "help": info.help}
    if info.show_default is not None and field.name not in defaults:
        extra["show_default"] = info.show_default
    if info.envvar is not None:
        extra |= {"envvar": info.envvar, "show_envvar": True}
    if info.flag_value is not None:
        extra |= {"is_flag": False, "flag_value": info.flag_value}
    kind = _without_none(hint)
    words = flag(field.name)
    if kind is bool:
        if hint is not bool or default:
            words += f"/--no-{words[2:]}"
        return click.option(words, field.name, cls=Option, is_flag=True, default=default, **extra)
    extra["metavar"] = info.metavar
    if get_origin(kind) is tuple:
        inner = get_args(kind)[0]
        first, *rest = get_args(inner) or (inner,)
        types = [_click_type(first, info), *(_click_type(each, replace(info, choices=())) for each in rest)]
        extra["type"] = Words(types) if rest else types[0]
        return click.option(words, field.name, cls=Option, multiple=True, **extra)
    if default is not None:
        extra["default"] = str(default) if info.choices else default
    return click.option(words, field.name, cls=Option, type=_click_type(kind, info), **extra)


def _without_none(hint: Any) -> Any:
    """`int | None` is an option that takes an int."""
    kinds = [each for each in get_args(hint) if each is not type(None)]
    return kinds[0] if len(kinds) == 1 and type(None) in get_args(hint) else hint


def _click_type(kind: Any, info: OptionInfo) -> click.ParamType[Any]:
    if info.choices:
        return click.Choice(info.choices)
    if kind is int:
        limits = [None if each is None else int(each) for each in (info.minimum, info.maximum)]
        return click.IntRange(limits[0], limits[1]) if any(each is not None for each in limits) else click.INT
    if kind is float:
        return FloatRange(info.minimum, info.maximum, min_open=info.open_minimum)
    return click.Path(path_type=Path) if kind is Path else click.STRING


def _value(hint: Any, value: Any) -> Any:
    """A value of click's as the field has it."""
    if value is None:
        return None
    kind = _without_none(hint)
    if get_origin(kind) is tuple:
        return tuple(value)
    return int(value) if kind is int else value
