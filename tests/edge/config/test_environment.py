"""Where an option's value comes from: command line, environment, file, default; and what a bad variable costs."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from fer_edge.edge.cli import main
from fer_edge.edge.commands.run import run
from fer_edge.edge.config.click_options import environment_variable
from fer_edge.edge.config.file import NAME
from fer_edge.edge.config.option_values import as_toml, options
from fer_edge.models import FOLDER

PORTRAIT = FOLDER.parent / "benchmarks" / "astronaut.jpg"

PLACES: list[tuple[str, dict[str, tuple[str, Any, Any]]]] = [
    ("threads", {"line": ("3", 3, 3), "environment": ("4", 4, 4), "file": ("5", 5, 5)}),
    ("mirror", {"line": ("", True, True), "environment": ("0", False, False), "file": ("", True, True)}),
    ("early-exit", {"line": ("", True, True), "environment": ("no", False, False), "file": ("", True, True)}),
    ("camera", {"line": ("1", "1", "1"), "environment": ("2", "2", "2"), "file": ("3", "3", "3")}),
    (
        "snapshot-on",
        {
            "line": ("sad", ("sad",), ["sad"]),
            "environment": ("fear happy", ("fear", "happy"), ["fear", "happy"]),
            "file": ("angry", ("angry",), ["angry"]),
        },
    ),
    (
        "on",
        {
            "line": ("sad x", (("sad", "x"),), [["sad", "x"]]),
            "environment": ("happy 'echo a b'", (("happy", "echo a b"),), [["happy", "echo a b"]]),
            "file": ("fear y", (("fear", "y"),), [["fear", "y"]]),
        },
    ),
]
"""An option, and from each place the text, the value that a command gets, and the same in TOML."""

NUMBERS = st.none() | st.integers(1, 64)


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file and no variable of this machine's user gets in the way."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    for name in list(os.environ):
        if name.startswith("FER_EDGE_"):
            monkeypatch.delenv(name)


def fer_edge(*words: str | Path, **environ: str) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], env=environ)


def received(monkeypatch: pytest.MonkeyPatch, *words: str, **environ: str) -> dict[str, Any]:
    """The parameters that `fer-edge run` is called with."""
    parameters: dict[str, Any] = {}
    monkeypatch.setattr(run, "invoke", lambda context: parameters.update(context.params))
    done = fer_edge("run", *words, **environ)
    assert done.exit_code == 0, done.output
    return parameters


def one_line(result: Result) -> str:
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    (line,) = result.stderr.splitlines()
    return line


@pytest.mark.parametrize(("key", "places"), PLACES, ids=[key for key, _ in PLACES])
def test_the_line_goes_before_the_environment_and_that_before_the_file(
    monkeypatch: pytest.MonkeyPatch, key: str, places: dict[str, tuple[str, Any, Any]]
) -> None:
    name, variable = key.replace("-", "_"), f"FER_EDGE_RUN_{key.replace('-', '_').upper()}"
    text, from_line, _ = places["line"]
    words = (f"--{key}", *text.split())
    environ = {variable: places["environment"][0]}
    default = received(monkeypatch)[name]
    Path(NAME).write_text(f"[run]\n{key} = {as_toml(places['file'][2])}\n")
    assert received(monkeypatch)[name] == places["file"][1]
    assert received(monkeypatch, **environ)[name] == places["environment"][1]
    assert received(monkeypatch, *words, **environ)[name] == from_line
    assert received(monkeypatch, *words)[name] == from_line
    assert received(monkeypatch, **{variable: ""})[name] == places["file"][1], "an empty variable is not set"
    output = fer_edge("config", "run", "--show-secrets", **environ).stdout
    assert tomllib.loads(output)["run"][key] == places["environment"][2]
    assert re.search(rf"^{key} = .*  # {variable}$", output, re.MULTILINE)
    Path(NAME).unlink()
    assert received(monkeypatch, **environ)[name] == places["environment"][1]
    assert received(monkeypatch)[name] == default


@given(
    line=st.none() | st.integers(1, 64),
    variable=st.none() | st.just("") | st.integers(1, 64),
    file=st.none() | st.integers(1, 64),
)
def test_the_first_place_that_has_a_value_gives_it(
    line: int | None, variable: str | int | None, file: int | None
) -> None:
    environ = {} if variable is None else {"FER_EDGE_RUN_THREADS": str(variable)}
    Path(NAME).write_text("" if file is None else f"[run]\nthreads = {file}\n")
    words = [] if line is None else ["--threads", str(line)]
    with pytest.MonkeyPatch.context() as patch:
        threads = received(patch, *words, **environ)["threads"]
    assert threads == next(value for value in (line, variable or None, file, 2) if value is not None)


@pytest.mark.parametrize(
    ("file", "environ", "words"),
    [
        ("camera = 99", {"FER_EDGE_RUN_SOURCE": str(PORTRAIT)}, ()),
        ("", {"FER_EDGE_RUN_CAMERA": "99"}, ("--source", str(PORTRAIT))),
        ("latency-budget = 9", {"FER_EDGE_RUN_EARLY_EXIT": "no"}, ("--source", str(PORTRAIT))),
    ],
)
def test_of_options_that_exclude_each_other_the_weaker_place_gives_way(
    file: str, environ: dict[str, str], words: tuple[str, ...]
) -> None:
    Path(NAME).write_text(f"[run]\n{file}\n")
    done = fer_edge("run", "--show", "none", *words, **environ)
    assert done.exit_code == 0, done.output


def test_the_configuration_file_may_come_from_the_environment(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("[run]\nthreads = 7\n")
    Path(NAME).write_text("[run]\nthreads = 5\n")
    output = fer_edge("config", "run", FER_EDGE_CONFIG="other.toml").stdout
    assert output.startswith("# other.toml\n") and "threads = 7  # other.toml\n" in output
    assert "threads = 5" in fer_edge("--config", NAME, "config", "run", FER_EDGE_CONFIG="other.toml").stdout
    assert "threads = 5" in fer_edge("config", "run", FER_EDGE_CONFIG="").stdout
    assert "no such file" in one_line(fer_edge("run", FER_EDGE_CONFIG="nowhere.toml"))


def test_an_option_of_a_groups_command_has_a_variable_too() -> None:
    assert fer_edge("models", "list", FER_EDGE_MODELS_LIST_JSON="1").stdout.startswith("[{")
    assert (
        "json = true  # FER_EDGE_MODELS_LIST_JSON"
        in fer_edge("config", "models", "list", FER_EDGE_MODELS_LIST_JSON="1").stdout
    )


@pytest.mark.parametrize(
    ("variable", "text", "words"),
    [
        ("FER_EDGE_RUN_THREADS", "many", "'many' is not a valid integer"),
        ("FER_EDGE_RUN_THREADS", "0", "0 is not in the range 1<=x<=64"),
        ("FER_EDGE_RUN_SMOOTH", "-1", "-1"),
        ("FER_EDGE_RUN_SHOW", "film", "'film' is not one of"),
        ("FER_EDGE_RUN_EARLY_EXIT", "perhaps", "'perhaps'"),
        ("FER_EDGE_RUN_ON", "happy", "groups of 2"),
        ("FER_EDGE_RUN_ON", "happy 'echo", "no closing quotation"),
    ],
)
def test_a_bad_variable_is_named_in_one_line(variable: str, text: str, words: str) -> None:
    """And nothing is printed before it."""
    for command in (("run", "--source", PORTRAIT), ("config", "run")):
        line = one_line(fer_edge(*command, **{variable: text}))
        assert line.startswith(f"fer-edge: {variable}: ") and words in line


def test_a_bad_value_on_the_command_line_is_not_the_variables_fault() -> None:
    done = fer_edge("run", "--threads", "many", FER_EDGE_RUN_THREADS="3")
    assert done.exit_code == 2
    assert "Invalid value for '--threads'" in done.stderr and "FER_EDGE_RUN_THREADS" not in done.stderr


@pytest.mark.parametrize(
    "text", ["glum 'curl -u u:s3cret h'", "happy curl s3cret x", "happy 'curl s3cret", "happy s3cret -u"]
)
def test_no_password_of_a_bad_variable_is_repeated(clip: Path, text: str) -> None:
    """These lines go into the journal."""
    line = one_line(fer_edge("run", "--source", clip, "--show", "none", FER_EDGE_RUN_ON=text))
    assert "s3cret" not in line
    assert "s3cret" not in fer_edge("config", "run", FER_EDGE_RUN_ON=text).output


def test_what_is_not_set_says_what_happens_then() -> None:
    assert "#camera is not set: 0 without --source\n" in fer_edge("config", "run").stdout
    assert re.search(r"^#network is not set: .+$", fer_edge("config", "service", "install").stdout, re.MULTILINE)


def test_secrets_are_masked() -> None:
    environ = {"FER_EDGE_WEB_TOKEN": "s3cret", "FER_EDGE_RUN_MQTT": "mqtt://u:s3cret@broker/home"}
    output = fer_edge("config", "run", **environ).stdout
    assert "s3cret" not in output
    assert 'web-token = "…"  # FER_EDGE_WEB_TOKEN\n' in output
    assert "broker/home" in output


def test_a_variable_named_version_is_not_the_option(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may have one."""
    assert fer_edge("config", "--example", "run", FER_EDGE_VERSION="1").stdout.startswith(f"# {NAME}")


def commands(context: click.Context) -> Iterator[click.Context]:
    """The context of every command below this one."""
    if not isinstance(context.command, click.Group):
        yield context
        return
    for name in context.command.list_commands(context):
        command = context.command.get_command(context, name)
        assert command is not None
        yield from commands(click.Context(command, context, name))


def test_every_option_is_named_in_the_environment_as_on_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the function's parameter is called."""
    for context in commands(click.Context(main, info_name="fer-edge", **main.context_settings)):
        for key, option in options(context.command).items():
            name = f"{context.auto_envvar_prefix}_{key}".upper().replace("-", "_").replace(" ", "_")
            assert name.startswith("FER_EDGE_")
            with monkeypatch.context() as patch:
                patch.setenv(name, "x")
                assert environment_variable(option, context) == name
