"""Click options made from options dataclasses: types, ranges, choices, tuples, defaults, variables, keys."""

from __future__ import annotations

import math
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from fer_edge.edge.cli import COMMANDS, main
from fer_edge.edge.config.click_options import SectionedCommand, flag, info_of, json_option, options_from
from fer_edge.edge.types import option


@dataclass(frozen=True)
class OvenOptions:
    """Every kind of field."""

    heat: int = option(180, "Heat, °C.", metavar="CELSIUS", minimum=50, maximum=250)
    hours: float = option(1.5, "Time, hours.", minimum=0, open_minimum=True)
    level: int = option(2, "Level.", choices=("1", "2", "3"))
    seed: int = option(0, "Seed.")
    patience: float = option(math.inf, "Patience, seconds.", show_default="no limit")
    fan: bool = option(False, "Use the fan.")
    light: bool = option(True, "Light it.")
    grill: bool | None = option(None, "Use the grill.", show_default="as the dish needs")
    tray: str = option("deep", "Tray.", choices=("deep", "flat"))
    recipe: Path | None = option(None, "Recipe.", metavar="PATH")
    port: str | None = option(None, "Listen.", metavar="PORT", flag_value="80")
    dish: tuple[str, ...] = option(("pie",), "Dish; repeatable.")
    spice: tuple[str, ...] = option((), "Spice; repeatable.", choices=("salt", "chilli"))
    on: tuple[tuple[str, str], ...] = option((), "When.", metavar="EVENT COMMAND", choices=("done", "burnt"))
    token: str | None = option(None, "Token.", secret=True, envvar="OVEN_TOKEN")
    inner: float = option(5.0, "Not on the command line.", cli=False)


def call(*words: str, **environ: str) -> Any:
    """The dataclass that a command with these words is called with, or click's result where it refuses them."""
    received = []

    @click.command()
    @options_from(OvenOptions)
    def bake(oven_options: OvenOptions) -> None:
        received.append(oven_options)

    done = CliRunner().invoke(bake, list(words), auto_envvar_prefix="BAKE", env=environ)
    return received[0] if done.exit_code == 0 else done


def refused(result: Any) -> bool:
    return isinstance(result, Result) and result.exit_code == 2


def test_defaults_are_the_dataclass_own() -> None:
    assert call() == OvenOptions()


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (("--heat", "50"), "heat", 50),
        (("--hours", "2"), "hours", 2.0),
        (("--level", "3"), "level", 3),
        (("--seed", "-7"), "seed", -7),
        (("--patience", "0.5"), "patience", 0.5),
        (("--fan",), "fan", True),
        (("--no-light",), "light", False),
        (("--grill",), "grill", True),
        (("--no-grill",), "grill", False),
        (("--tray", "flat"), "tray", "flat"),
        (("--recipe", "a b.txt"), "recipe", Path("a b.txt")),
        (("--port",), "port", "80"),
        (("--port", "8080"), "port", "8080"),
        (("--dish", "a", "--dish", "b"), "dish", ("a", "b")),
        (("--spice", "salt", "--spice", "chilli"), "spice", ("salt", "chilli")),
        (("--on", "done", "echo x", "--on", "burnt", "y"), "on", (("done", "echo x"), ("burnt", "y"))),
        (("--token", "t"), "token", "t"),
    ],
)
def test_each_kind_of_field_is_read(words: tuple[str, ...], name: str, value: object) -> None:
    read = getattr(call(*words), name)
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    "words",
    [
        ("--heat", "49"),
        ("--heat", "251"),
        ("--heat", "60.5"),
        ("--hours", "0"),
        ("--hours", "nan"),
        ("--level", "4"),
        ("--tray", "round"),
        ("--spice", "sugar"),
        ("--on", "never", "x"),
        ("--on", "done"),
        ("--no-fan",),
        ("--inner", "3"),
    ],
)
def test_what_a_field_does_not_allow_is_refused(words: tuple[str, ...]) -> None:
    assert refused(call(*words))


def test_the_help_has_placeholders_ranges_and_defaults() -> None:
    @click.command(cls=SectionedCommand, context_settings={"show_default": True, "max_content_width": 200})
    @options_from(OvenOptions, "Oven")
    def bake(oven_options: OvenOptions) -> None: ...

    text = CliRunner().invoke(bake, ["--help"], terminal_width=200).output
    assert text.index("Oven:") < text.index("--heat CELSIUS") < text.index("Options:") < text.index("--help")
    for part in ("[default: 180; 50<=x<=250]", "(no limit)", "(as the dish needs)", "--on EVENT COMMAND", "[x>0]"):
        assert part.strip("[]") in text
    assert "--inner" not in text


def test_only_some_fields_and_other_defaults() -> None:
    received = []

    @click.command()
    @options_from(OvenOptions, only=("heat", "dish", "grill"), defaults={"heat": 90, "grill": False, "dish": ("x",)})
    def bake(oven_options: OvenOptions) -> None:
        received.append(oven_options)

    assert [parameter.name for parameter in bake.params] == ["heat", "grill", "dish"]
    assert CliRunner().invoke(bake, []).exit_code == 0
    assert received == [OvenOptions(heat=90, dish=("x",), grill=False)]


@pytest.mark.parametrize("extra", [{"only": ("heet",)}, {"defaults": {"heet": 1}}])
def test_a_field_that_there_is_not_is_a_mistake_of_the_programmers(extra: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="OvenOptions has no heet"):
        options_from(OvenOptions, **extra)


def test_a_field_knows_its_flag_and_its_description() -> None:
    (patience,) = [each for each in fields(OvenOptions) if each.name == "patience"]
    assert (flag("save_video"), info_of(patience).show_default) == ("--save-video", "no limit")


@pytest.mark.parametrize(
    ("environ", "name", "value"),
    [
        ({"BAKE_HEAT": "60"}, "heat", 60),
        ({"BAKE_HEAT": ""}, "heat", 180),
        ({"BAKE_FAN": "1"}, "fan", True),
        ({"BAKE_FAN": "false"}, "fan", False),
        ({"BAKE_LIGHT": "no"}, "light", False),
        ({"BAKE_GRILL": "off"}, "grill", False),
        ({"BAKE_DISH": "a 'b c'"}, "dish", ("a", "b c")),
        ({"BAKE_SPICE": "salt"}, "spice", ("salt",)),
        ({"BAKE_ON": "done 'echo x' burnt y"}, "on", (("done", "echo x"), ("burnt", "y"))),
        ({"BAKE_PORT": "81"}, "port", "81"),
        ({"BAKE_TOKEN": "a"}, "token", "a"),
        ({"BAKE_TOKEN": "a", "OVEN_TOKEN": "b"}, "token", "b"),
    ],
)
def test_each_kind_of_field_has_an_environment_variable(environ: dict[str, str], name: str, value: object) -> None:
    assert getattr(call(**environ), name) == value


@pytest.mark.parametrize(
    "environ",
    [
        {"BAKE_HEAT": "warm"},
        {"BAKE_FAN": "perhaps"},
        {"BAKE_SPICE": "salt sugar"},
        {"BAKE_DISH": "a 'b"},
        {"BAKE_ON": "done"},
        {"BAKE_ON": "done a burnt"},
        {"BAKE_ON": "done 'a"},
        {"BAKE_ON": "never a"},
    ],
)
def test_a_bad_environment_variable_is_refused(environ: dict[str, str]) -> None:
    """Also words that do not come in pairs, whose rest click would drop."""
    assert refused(call(**environ))


def test_the_variable_of_json_is_named_after_the_flag() -> None:
    @click.command()
    @json_option("JSON.")
    def bake(as_json: bool) -> None:
        click.echo(as_json)

    assert CliRunner().invoke(bake, [], auto_envvar_prefix="BAKE", env={"BAKE_JSON": "1"}).output == "True\n"


@pytest.fixture
def oven(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Result]:
    """`fer-edge bake`, which takes the dataclass alone."""

    @click.command()
    @options_from(OvenOptions)
    def bake(oven_options: OvenOptions) -> None:
        click.echo(oven_options.heat)

    module = type(sys)("fer_edge_oven")
    module.bake = bake  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "fer_edge_oven", module)
    monkeypatch.setitem(COMMANDS, "bake", ("fer_edge_oven:bake", "Bake."))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return lambda *words, **environ: CliRunner().invoke(main, list(words), env=environ)


def test_one_field_is_a_flag_a_variable_a_key_and_a_line_of_config(oven: Callable[..., Result]) -> None:
    """Without a further edit anywhere."""
    assert oven("bake").stdout == "180\n"
    assert oven("bake", "--heat", "60").stdout == "60\n"
    assert oven("bake", FER_EDGE_BAKE_HEAT="70").stdout == "70\n"
    example = oven("config", "--example", "bake").stdout
    assert "# Heat, °C. At least 50 and at most 250.\n#heat = 180\n" in example
    assert "heat = 180  # default\n" in oven("config", "bake").stdout
    assert "heat = 70  # FER_EDGE_BAKE_HEAT\n" in oven("config", "bake", FER_EDGE_BAKE_HEAT="70").stdout
    Path("fer-edge.toml").write_text("[bake]\nheat = 80\n")
    assert oven("bake").stdout == "80\n"
    values = oven("config", "bake").stdout
    assert "heat = 80  # fer-edge.toml\n" in values
    assert tomllib.loads(values)["bake"]["dish"] == ["pie"]
