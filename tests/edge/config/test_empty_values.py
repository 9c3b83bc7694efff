"""Empty values, as an unset shell variable leaves them, in every option and argument of every command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from commands import every_command

from fer_edge.edge.cli import main
from fer_edge.edge.config.option_values import as_toml, options

pytestmark = pytest.mark.faults

BLANKS = ("", " ", "\t \n", "\u3000")


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))


def one_line(words: tuple[str, ...], **environ: str) -> str:
    done = CliRunner().invoke(main, words, env=environ)
    assert (done.exit_code, done.stdout) == (2, ""), (words, done.output)
    (line,) = done.stderr.splitlines()
    assert line.startswith("fer-edge: ")
    return line


@pytest.mark.tensorflow
def test_no_command_takes_an_empty_word() -> None:
    """Options and arguments, in every spelling."""
    tried = 0
    for words, command in every_command(main):
        for parameter in command.params:
            for blank in BLANKS:
                if isinstance(parameter, click.Argument):
                    assert one_line((*words, blank))
                elif not parameter.is_flag and not parameter.count:
                    flag = max(parameter.opts, key=len)
                    first = ["x"] * (parameter.nargs - 1)
                    assert flag in one_line((*words, flag, *first, blank))
                    if parameter.nargs == 1:
                        assert flag in one_line((*words, f"{flag}={blank}"))
                tried += 1
    assert tried > 4 * 100


@pytest.mark.parametrize(
    "words", [("--config", "", "run"), ("--config=", "run"), ("",), ("config", ""), ("run", "--", "")]
)
def test_nor_does_fer_edge_itself(words: tuple[str, ...]) -> None:
    assert "empty" in one_line(words)


@pytest.mark.tensorflow
def test_no_key_of_the_file_takes_an_empty_text(tmp_path: Path) -> None:
    """Nor an empty text in a list."""
    from fer_edge.edge.config.tables import settings
    from fer_edge.edge.errors import ConfigError

    path = tmp_path / "fer-edge.toml"
    for words, command in every_command(main):
        for key, option in options(command).items():
            if words[0] in ("config", "doctor") or option.is_flag or option.count:
                continue
            for blank in BLANKS:
                value: Any = [*["x"] * (option.nargs - 1), blank] if option.nargs != 1 else blank
                path.write_text(f"[{'.'.join(words)}]\n{key} = {as_toml([value] if option.multiple else value)}\n")
                with pytest.raises(ConfigError, match=key):
                    settings(path, main, words)


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for most programs, so that FER_EDGE_RUN_CAMERA= fer-edge run does without it; a blank one is a mistake."""
    for name in ("JSONL", "SOURCE", "THREADS", "LOOP", "SNAPSHOT_ON", "ON", "SAVE_VIDEO"):
        monkeypatch.setenv(f"FER_EDGE_RUN_{name}", "")
    shown = CliRunner().invoke(main, ["config", "run"]).stdout
    assert "FER_EDGE_RUN" not in shown


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JSONL", " "),
        ("SAVE_VIDEO", "\t"),
        ("THREADS", " "),
        ("SNAPSHOT_ON", "happy ''"),
        ("ON", "happy ''"),
        ("SNAPSHOT_ON", " "),
        ("LOOP", " "),
    ],
)
def test_a_blank_variable_is_one_line(name: str, value: str, mistake: Callable[..., str]) -> None:
    for words in (("run", "--source", "x.mp4"), ("config", "run")):
        assert f"FER_EDGE_RUN_{name}" in one_line(words, **{f"FER_EDGE_RUN_{name}": value})


def test_a_blank_variable_of_the_program_is_one_line() -> None:
    assert "FER_EDGE_CONFIG" in one_line(("run",), FER_EDGE_CONFIG=" ")
