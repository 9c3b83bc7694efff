"""Names of other files than pictures that are not UTF-8: models, configuration, a delegate."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from network_camera import PORTRAIT
from waiting import LIMIT

from fer_edge.edge.errors import SourceError, printable, valid_text
from fer_edge.edge.files.documents import json_text
from fer_edge.models import FOLDER

BAD = os.fsdecode(b"caf\xe9\xff")


def fer_edge(*words: str | Path, variables: dict[str, str] | None = None) -> tuple[int, str, str]:
    """The exit code and what is written, which is UTF-8."""
    command = [sys.executable, "-m", "fer_edge.edge.cli", *words]
    done = subprocess.run(command, capture_output=True, env=os.environ | (variables or {}), timeout=LIMIT)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.faults
def test_a_model_and_a_configuration_whose_names_are_not_utf8(tmp_path: Path) -> None:
    model, config = tmp_path / BAD / f"{BAD}.tflite", tmp_path / f"{BAD}.toml"
    model.parent.mkdir()
    for suffix in (".tflite", ".json"):
        shutil.copy(FOLDER / f"mobilenet_v2_int8{suffix}", model.with_suffix(suffix))
    code, lines, _ = fer_edge("predict", PORTRAIT, "--model", model)
    assert code == 0 and lines.startswith(f"{PORTRAIT}: happy ")
    code, lines, _ = fer_edge("models", "verify", model)
    assert code == 0 and lines.startswith(r"ok    caf\xe9\xff.tflite  sha256 ")
    assert json.loads(fer_edge("models", "show", model)[1])["architecture"] == "mobilenet_v2"
    config.write_text("[predict]\nthreads = 1\n")
    code, lines, _ = fer_edge("--config", config, "config", "predict", variables={"FER_EDGE_PREDICT_SAVE": BAD})
    assert code == 0 and lines.startswith(f"# {tmp_path}/caf\\xe9\\xff.toml\n")
    assert tomllib.loads(lines)["predict"]["save"] == r"caf\xe9\xff"


@pytest.mark.faults
@pytest.mark.parametrize("option", ["--model", "--detector", "--delegate", "--accelerator"])
def test_a_name_that_is_not_utf8_and_of_no_file(mistake: Callable[..., str], option: str) -> None:
    mistake("predict", PORTRAIT, option, f"{BAD}.so").encode()


def test_names_become_text() -> None:
    name = os.fsdecode(b"a\xff \xc3\xbc") + "\n\x1b\x85\ud800"
    assert printable(name) == r"a\xff ü\x0a\x1b\x85\ud800"
    assert valid_text(name) == "a\\xff ü\n\x1b\x85\\ud800"
    assert json.loads(json_text({"path": name})) == {"path": valid_text(name)}
    assert str(SourceError(f"{Path(name)}:\n  gone")) == r"a\xff ü \x1b \ud800:   gone"
