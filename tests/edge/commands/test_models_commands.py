"""The commands of `fer-edge models` that the room convert has: listed without it, imported when they are called."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from fer_edge.edge.cli import main
from fer_edge.edge.commands.models import CONVERT_COMMANDS

HEAVY = ("tensorflow", "keras", "tf_keras", "onnx", "fer_edge.convert.conversion")


def imported(*words: str, **environment: str) -> tuple[str, str]:
    """Standard output, and the modules that were imported, of fer-edge in a process of its own."""
    code = f"import sys; from fer_edge.edge.cli import main; main({list(words)!r}, prog_name='fer-edge')"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, env=os.environ | environment
    )
    return done.stdout, done.stderr


def test_they_are_listed_without_importing_the_room() -> None:
    listing, modules = imported("models", "--help")
    assert "fer_edge.convert" not in modules
    for name, (_, line) in CONVERT_COMMANDS.items():
        assert name in listing and line.split()[0] in listing


def test_they_are_completed_without_importing_the_room() -> None:
    words = {"COMP_WORDS": "fer-edge models s", "COMP_CWORD": "2", "_FER_EDGE_COMPLETE": "bash_complete"}
    names, modules = imported(**words)
    assert names.split() == ["plain,show", "plain,sensitivity"]
    assert "fer_edge.convert" not in modules


@pytest.mark.parametrize("name", CONVERT_COMMANDS)
def test_their_help_needs_no_tensorflow(name: str) -> None:
    text, modules = imported("models", name, "--help")
    assert f"fer-edge models {name} [OPTIONS]" in text
    assert not [module for module in HEAVY if f" {module}\n" in modules]


def test_the_file_has_tables_for_them(tmp_path: Path) -> None:
    config = tmp_path / "fer-edge.toml"
    config.write_text('[models.onnx]\nout = "elsewhere"\n')
    shown = CliRunner().invoke(main, ["--config", str(config), "config", "models", "onnx"])
    assert shown.exit_code == 0, shown.output
    assert "[models.onnx]" in shown.stdout and 'out = "elsewhere"' in shown.stdout
    config.write_text('[models.onnx]\nouter = "elsewhere"\n')
    refused = CliRunner().invoke(main, ["--config", str(config), "models", "onnx", "none.tflite"])
    assert refused.exit_code == 2 and "did you mean out?" in refused.stderr
