"""Click options made from the fields of options dataclasses, and help texts with sections."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import Field, fields, replace
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import click

from fer_edge.edge.config.click_types import FloatRange, IntRange, ShellText, ShellTuple
from fer_edge.edge.config.empty_values import holds_empty
from fer_edge.edge.types import OptionInfo

COLUMN = 30
"""Characters of the options' column that click's help allows."""

Command = TypeVar("Command", bound=Callable[..., Any])


class Option(click.Option):
    """A click option whose environment variable is named after its flag.

    Attributes:
        section: The heading in the help of a `SectionedCommand`.
        example: A value for the example configuration file where there is no default.
        secret: Whether the value is never shown.
        network: Whether what the option asks for may need a network.
        stores: Whether its value is a file or folder that is written to.
    """

    def __init__(
        self,
        *args: Any,
        section: str = "Options",
        example: Any = None,
        secret: bool = False,
        network: bool = False,
        stores: bool = False,
        **extra: Any,
    ) -> None:
        super().__init__(*args, **extra)
        self.section, self.example, self.secret = section, example, secret
        self.network, self.stores = network, stores

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """The value of the option's environment variable; None where it is empty or not set.

        Args:
            ctx: The command's context.

        Returns:
            The text as it stands in the environment.
        """
        name = environment_variable(self, ctx)
        return os.environ[name] if name else None

    def value_from_envvar(self, ctx: click.Context) -> Any:
        """The value of the option's environment variable, a list of words for a repeatable option.

        Args:
            ctx: The command's context.

        Returns:
            The value; None where the variable is empty or not set.

        Raises:
            click.BadParameter: The variable is blank, or a word in it is empty.
        """
        value = super().value_from_envvar(ctx)
        if holds_empty(value) or value in ([], ()):
            raise click.BadParameter("the value is empty; give one, or unset the variable", ctx, self)
        return value


class SectionedCommand(click.Command):
    """A command with many options: in its help they stand under the headings of their sections."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, in one column for all sections, in the order in which the sections first come.

        Args:
            ctx: The command's context.
            formatter: What collects the help text.
        """
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
        section: The heading in the help of a `SectionedCommand`.
        only: The fields that become options; all of them where None.
        defaults: Defaults other than the dataclass's own, by field.

    Returns:
        A decorator for the command's function.

    Raises:
        ValueError: A field in `only` or `defaults` is none of the dataclass's.
    """
    own, hints = dict(defaults or {}), get_type_hints(dataclass)
    unknown = {*own, *(only or ())} - hints.keys()
    if unknown:
        raise ValueError(f"{dataclass.__name__} has no {', '.join(sorted(unknown))}; expected some of {[*hints]}")
    chosen = [each for each in fields(dataclass) if info_of(each).cli and (only is None or each.name in only)]

    def decorate(function: Command) -> Command:
        @wraps(function)
        def command(*args: Any, **values: Any) -> Any:
            own_values = {each.name: _field_value(hints[each.name], values.pop(each.name)) for each in chosen}
            return function(*args, **{_snake_case(dataclass.__name__): dataclass(**own_values)}, **values)

        decorated: Any = command
        for each in reversed(chosen):
            decorated = _click_option(each, hints[each.name], section, own)(decorated)
        return decorated  # type: ignore[no-any-return]  # click adds to the function and returns it

    return decorate


def json_option(help: str) -> Callable[[Command], Command]:
    """The option --json of commands that print text otherwise, passed to the command as `as_json`.

    Args:
        help: What is printed instead of what.

    Returns:
        A decorator for the command's function.
    """
    return click.option("--json", "as_json", cls=Option, is_flag=True, help=help)


def info_of(field: Field[Any]) -> OptionInfo:
    """The description of an options dataclass's field.

    Args:
        field: A field that was made with `fer_edge.edge.types.option`.

    Returns:
        What `option` was given.
    """
    info = field.metadata["option"]
    assert isinstance(info, OptionInfo)
    return info


def flag(name: str) -> str:
    """The long flag of a field: --save-video of save_video."""
    return f"--{name.replace('_', '-')}"


def option_key(option: click.Option) -> str:
    """An option's key in the configuration file: its long flag without dashes, `early-exit` of --no-early-exit too."""
    return max(option.opts, key=len).lstrip("-")


def environment_variable(option: click.Option, context: click.Context) -> str | None:
    """The environment variable that gives an option its value.

    Args:
        option: An option of the context's command.
        context: The command's context, which knows the prefix, as FER_EDGE_RUN.

    Returns:
        The name; None where no variable of the option's is set, or each of them is empty.
    """
    names = [option.envvar] if isinstance(option.envvar, str) else list(option.envvar or ())
    if option.allow_from_autoenv and context.auto_envvar_prefix is not None:
        own = option_key(option) if isinstance(option, Option) else str(option.name)
        names.append(f"{context.auto_envvar_prefix}_{own}".upper().replace("-", "_").replace(" ", "_"))
    return next((name for name in names if os.environ.get(name)), None)


def _snake_case(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _click_option(field: Field[Any], hint: Any, section: str, defaults: Mapping[str, Any]) -> Callable[[Any], Any]:
    """The click option of a field; a default in `defaults` goes before the field's."""
    info, default = info_of(field), defaults.get(field.name, field.default)
    extra: dict[str, Any] = {"section": section, "help": info.help, "example": info.example}
    extra |= {"secret": info.secret, "network": info.network, "stores": bool(info.stores)}
    if info.show_default is not None and defaults.get(field.name) is None:
        extra["show_default"] = info.show_default
    if info.required:
        extra["required"] = True
    if info.envvar is not None:
        extra |= {"envvar": info.envvar, "show_envvar": True}
    if info.flag_value is not None:
        extra |= {"is_flag": False, "flag_value": info.flag_value}
    kind, words = _without_none(hint), flag(field.name)
    if kind is bool:
        if hint is not bool or default:
            words += f"/--no-{words[2:]}"
        extra |= {"is_flag": True, "default": default}
    elif get_origin(kind) is tuple:
        extra |= {"metavar": info.metavar, "type": _repeatable_type(get_args(kind)[0], info), "multiple": True}
        if default:
            extra["default"] = default
    else:
        extra |= {"metavar": info.metavar, "type": _click_type(kind, info, default == math.inf)}
        if default is not None:
            extra["default"] = str(default) if info.choices else default
    return click.option(words, field.name, cls=Option, **extra)


def _without_none(hint: Any) -> Any:
    """The kind of an optional value: int of `int | None`."""
    kinds = [each for each in get_args(hint) if each is not type(None)]
    return kinds[0] if len(kinds) == 1 and type(None) in get_args(hint) else hint


def _repeatable_type(kind: Any, info: OptionInfo) -> click.ParamType[Any]:
    """The type of one value of `tuple[str, ...]` or `tuple[tuple[str, str], ...]`; choices are for its first part."""
    first, *rest = get_args(kind) or (kind,)
    types = [_click_type(first, info), *(_click_type(each, replace(info, choices=())) for each in rest)]
    if rest:
        return ShellTuple(types)
    return ShellText() if isinstance(types[0], click.types.StringParamType) else types[0]


def _click_type(kind: Any, info: OptionInfo, infinite: bool = False) -> click.ParamType[Any]:
    if info.choices:
        return click.Choice(info.choices)
    if kind is int:
        limits = [None if each is None else int(each) for each in (info.minimum, info.maximum)]
        return IntRange(limits[0], limits[1])
    if kind is float:
        return FloatRange(info.minimum, info.maximum, info.open_minimum, infinite)
    return click.Path(path_type=Path) if kind is Path else click.STRING


def _field_value(hint: Any, value: Any) -> Any:
    """A value of click's as the field has it."""
    if value is None:
        return None
    kind = _without_none(hint)
    if get_origin(kind) is tuple:
        return tuple(value)
    return int(value) if kind is int else value
