"""The command itself: what it loads, and how it says what is missing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from network_camera import PORTRAIT

from fer_edge.edge.cli import COMMANDS, main, missing_dependency
from fer_edge.edge.commands.run import run
from fer_edge.edge.config.click_types import FloatRange
from fer_edge.edge.config.example import DEVICE_COMMANDS
from fer_edge.edge.config.option_values import options
from fer_edge.edge.device.installation import install_extra
from fer_edge.models import FOLDER


def without(module: str, *words: str) -> subprocess.CompletedProcess[str]:
    """fer-edge in a process where a module cannot be imported."""
    code = f"import sys; sys.modules[{module!r}] = None; from fer_edge.edge.cli import main; main({list(words)!r})"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_that_agrees_with_the_listing(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0, result.output
    listing = CliRunner().invoke(main, ["--help"]).output
    assert re.search(rf"^  {name} ", listing, re.MULTILINE)
    command = main.get_command(click.Context(main), name)
    assert command is not None
    if COMMANDS[name][0].startswith("fer_edge.edge."):
        assert command.get_short_help_str(limit=200).rstrip(".") == COMMANDS[name][1].rstrip(".")


@pytest.mark.parametrize("name", DEVICE_COMMANDS)
def test_values_in_the_devices_help_have_names(name: str) -> None:
    """SECONDS and not FLOAT RANGE; the range stands behind the sentence."""
    command = main.get_command(click.Context(main), name)
    assert command is not None
    inner = command.commands if isinstance(command, click.Group) else {"": command}
    for words in inner:
        text = CliRunner().invoke(main, [name, *([words] if words else []), "--help"], terminal_width=80).output
        assert not re.search(r"^ +-.* (INTEGER|FLOAT|TEXT|RANGE)\b", text, re.MULTILINE), text
        assert max(map(len, text.splitlines())) <= 80


def test_runs_options_stand_under_headings_in_one_column() -> None:
    """Each once, as without headings, and none outside."""
    text = CliRunner().invoke(main, ["run", "--help"], prog_name="fer-edge").output
    sections = re.findall(r"^(\w[\w ]+):\n((?: .*\n)+)", text, re.MULTILINE)
    flags = {heading: re.findall(r"^  (?:-\w, )?(--[\w-]+)", lines, re.MULTILINE) for heading, lines in sections}
    assert list(flags)[:3] == ["Camera or source", "Pipeline", "Outputs"]
    assert list(chain(*flags.values())) == [f"--{key}" for key in options(run)] + ["--help"]
    columns = {
        len(match[1]) for match in re.finditer(r"^(  -\S.*?  +)(?=\S)", text, re.MULTILINE) if len(match[1]) < 35
    }
    assert columns == {34}


def test_a_number_without_limits_shows_none() -> None:
    @click.command()
    @click.option("--drop", type=FloatRange(), help="Points.")
    @click.option("--rate", type=FloatRange(0), help="A second.")
    def some() -> None: ...

    output = CliRunner().invoke(some, ["--help"]).output
    assert "Points.\n" in output and "A second.  [x>=0]\n" in output
    example = CliRunner().invoke(main, ["config", "--example", "convert"]).output
    assert not [line for line in example.splitlines() if line.endswith(" .")]


def test_missing_keras_is_one_sentence() -> None:
    done = without("keras", "train", "mobilenet_v2", "--data", "x.csv")
    assert done.returncode == 2
    assert done.stderr.strip() == f"fer-edge: this command needs Keras: {install_extra('train')}"


def test_no_message_fetches_fer_edge_from_an_index() -> None:
    """Somebody else may own the name there; commands are made by `device.installation`."""
    rooms = ("edge", "train", "convert", "benchmarks")
    texts = {path: path.read_text("utf-8") for room in rooms for path in (FOLDER.parent / room).rglob("*.py")}
    assert not [path for path, text in texts.items() if re.search(r"pip install[^\n]*fer-edge|fer-edge\[", text)]


@pytest.mark.parametrize(
    "words",
    [
        ("bench", "robustness", "--data", "no.csv", "--plot", "x.png"),
        ("bench", "early-exit", "--data", "no.csv", "--plot", "x.png"),
        ("evaluate", "mobilenet_v2", "--data", "no.csv", "--plots", "."),
    ],
)
def test_what_cannot_be_drawn_is_said_before_the_work(words: tuple[str, ...]) -> None:
    done = without("matplotlib", *words)
    assert done.returncode == 2 and "this command needs matplotlib" in done.stderr, "and not that there is no no.csv"


def test_missing_opencv_library_names_the_package() -> None:
    text = missing_dependency(ImportError("libGL.so.1: cannot open shared object file: No such file or directory"))
    assert text.endswith("sudo apt-get install libgl1")


def test_missing_runtime_is_one_sentence() -> None:
    code = (
        "import sys; sys.modules.update({'ai_edge_litert': None, 'tflite_runtime': None});"
        "from fer_edge.edge.cli import main; main(['models', 'verify', 'mobilenet_v2'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert "no TFLite runtime" in done.stderr
    assert "Traceback" not in done.stderr


def test_unknown_command_is_refused() -> None:
    assert CliRunner().invoke(main, ["dance"]).exit_code == 2


@pytest.mark.faults
def test_config_stands_before_the_command(mistake: Callable[..., str]) -> None:
    for words in (("run",), ("bench", "latency"), ("predict", PORTRAIT)):
        command = " ".join(map(str, words[:2] if words[0] == "bench" else words[:1]))
        line = mistake(*words, "--config", "x.toml")
        assert "--config stands before the command: " in line and line.endswith(f" --config PATH {command}")
        assert mistake(*words, "--config=x.toml") == line


LONG = 300 * "x"


@pytest.mark.parametrize(
    "words",
    [
        ("predict", LONG),
        ("run", "--source", LONG),
        ("run", "--source", PORTRAIT, "--model", f"{LONG}.tflite"),
        ("--config", LONG, "predict", PORTRAIT),
    ],
)
def test_a_name_that_the_system_refuses_is_one_line(mistake: Callable[..., str], words: tuple[str, ...]) -> None:
    assert LONG in mistake(*words)


def test_no_name_shows_its_password(mistake: Callable[..., str]) -> None:
    assert "S3CRET" not in mistake("run", "--source", f"maker:S3CRET@camera{LONG}")


def test_an_error_that_names_no_file_is_nobodys_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> list[Path]:
        raise OSError("a bug")

    monkeypatch.setattr("fer_edge.edge.commands.models.shipped_models", broken)
    assert str(CliRunner().invoke(main, ["models", "list"]).exception) == "a bug"


def test_completion_names_commands_without_importing_them() -> None:
    code = "import sys; from fer_edge.edge.cli import main; main(prog_name='fer-edge')"
    environment = {**os.environ, "COMP_WORDS": "fer-edge r", "COMP_CWORD": "1"}

    def complete(**more: str) -> str:
        command = [sys.executable, "-X", "importtime", "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, env=environment | more)
        assert "fer_edge.train" not in done.stderr
        return done.stdout

    script = complete(_FER_EDGE_COMPLETE="bash_source")
    assert "complete -o nosort -F _fer_edge_completion fer-edge" in script
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    assert complete(_FER_EDGE_COMPLETE="bash_complete").split() == ["plain,run", "plain,runs"]
    words = {"COMP_WORDS": "fer-edge run --sh", "COMP_CWORD": "2"}
    assert complete(_FER_EDGE_COMPLETE="bash_complete", **words).split() == ["plain,--show"]
