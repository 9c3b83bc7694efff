"""Model files that crash the runtime, never end, take all memory or give no numbers: each costs one line."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256 as hash_of
from pathlib import Path

import pytest
from predictions import CLASSES

from fer_edge.edge.errors import ModelError
from fer_edge.edge.expression.classifier import TFLiteClassifier, open_member
from fer_edge.edge.faces.face_models import FACE_FOLDER, FACE_MODELS
from fer_edge.edge.tflite import probe
from fer_edge.edge.tflite.card import ModelCard, sha256, write_card
from fer_edge.edge.tflite.interpreter import open_interpreter
from fer_edge.edge.types import Acceleration
from fer_edge.models import FOLDER, SHIPPED

FILES = Path(__file__).parents[2] / "support" / "files" / "models"
PORTRAIT = FOLDER.parent / "benchmarks" / "astronaut.jpg"
MOBILENET = FOLDER / "mobilenet_v2_int8.tflite"
Mistake = Callable[..., str]


def with_card(path: Path) -> Path:
    """The file with a card that has its sha256, as anybody can write one."""
    write_card(path, ModelCard(path.stem, "unknown", sha256(path), CLASSES))
    return path


def fer_edge(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "fer_edge.edge.cli", *map(str, words)], capture_output=True, text=True)


@pytest.fixture(autouse=True)
def _no_memory_of_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(probe, "_tried", set())


@pytest.mark.faults
def test_a_model_that_crashes_the_runtime_is_one_line(tmp_path: Path) -> None:
    model = with_card(Path(shutil.copy(FILES / "damaged.tflite", tmp_path)))
    for words in (
        ["models", "verify", model],
        ["predict", PORTRAIT, "--model", model],
        ["run", "--source", PORTRAIT, "--model", model],
        ["bench", "latency", model],
    ):
        done = fer_edge(*words)
        *progress, line = done.stderr.splitlines()
        assert (done.returncode, done.stdout) == (2, "") and len(progress) <= 1, done.stderr
        assert f"{model} crashes the TFLite runtime (SIGSEGV)" in line
    with pytest.raises(ModelError, match="SIGSEGV"):
        open_interpreter(model)
    with pytest.raises(ModelError, match=r"SIGSEGV|bias"):
        TFLiteClassifier(model, 1, Acceleration(accelerator="cpu"))


@pytest.mark.faults
def test_a_model_without_end_is_one_line(tmp_path: Path, mistake: Mistake, monkeypatch: pytest.MonkeyPatch) -> None:
    program = "from fer_edge.edge.tflite import trial; trial.CPU_SECONDS = 1; trial.main()"
    monkeypatch.setattr(probe, "_PROGRAM", program)
    model = with_card(Path(shutil.copy(FILES / "endless.tflite", tmp_path)))
    assert f"{model} does not end" in mistake("predict", PORTRAIT, "--model", model)


@pytest.mark.faults
def test_a_model_that_takes_all_memory_is_one_line(tmp_path: Path, mistake: Mistake) -> None:
    model = with_card(Path(shutil.copy(FILES / "gigabytes.tflite", tmp_path)))
    assert str(model) in mistake("predict", PORTRAIT, "--model", model)


@pytest.mark.faults
def test_a_model_that_gives_no_numbers_is_one_line(tmp_path: Path, mistake: Mistake) -> None:
    model = with_card(Path(shutil.copy(FILES / "nan.tflite", tmp_path)))
    assert f"{model} gives no numbers" in mistake("predict", PORTRAIT, "--model", model)
    done = fer_edge("run", "--source", PORTRAIT, "--model", model, "--jsonl", "-")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{model} gives no numbers" in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_model_never_ends_the_process(tmp_path: Path, cases: Callable[[int, int], int], seed: int) -> None:
    """Bytes at random places, a file that is cut off, and 32-bit numbers, which are the flatbuffer's offsets."""
    rng, whole = random.Random(seed), MOBILENET.read_bytes()
    names = []
    for index in range(cases(1, 70)):
        content = bytearray(whole)
        if seed == 0:
            content = content[: rng.randrange(100, len(whole))]
        for _ in range(rng.choice((1, 10, 100)) if seed else 0):
            place = rng.randrange(8, len(whole) - 8) & ~3
            content[place : place + 4] = rng.choice((b"\xff\xff\xff\x7f", rng.randbytes(4), bytes(4)))
        path = tmp_path / f"{index}.tflite"
        path.write_bytes(content)
        names.append(with_card(path))
    done = fer_edge("models", "verify", *names)
    assert done.returncode in (0, 2), done.stderr
    assert (
        done.stdout.count("ok  ") + done.stderr.count("FAIL") == len(names) == (done.stdout + done.stderr).count("\n")
    )


@pytest.mark.faults
@pytest.mark.parametrize("kind", ["folder", "pipe", "empty", "text", "/dev/zero", "/dev/full"])
def test_what_is_no_model_file_is_one_line(tmp_path: Path, mistake: Mistake, kind: str) -> None:
    path = tmp_path / "a.tflite"
    write_card(path, ModelCard("a", "unknown", "0" * 64, CLASSES))
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind.startswith("/dev"):
        path.symlink_to(kind)
    else:
        path.write_bytes({"empty": b"", "text": b"no model at all"}[kind])
    assert str(path) in mistake("predict", PORTRAIT, "--model", path)
    with pytest.raises(ModelError, match=str(path)):
        open_interpreter(path)


def test_a_model_of_other_shapes_is_one_line(tmp_path: Path, mistake: Mistake) -> None:
    for name in FACE_MODELS:
        model = with_card(Path(shutil.copy(FACE_FOLDER / name, tmp_path)))
        assert f"{model} maps " in mistake("predict", PORTRAIT, "--model", model)


def test_shipped_files_run_without_a_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    files = [*FOLDER.glob("*.tflite"), *FACE_FOLDER.glob("*.tflite")]
    assert {hash_of(path.read_bytes()).hexdigest() for path in files} == SHIPPED
    monkeypatch.setattr(probe, "_PROGRAM", "raise SystemExit(1)")
    for path in files:
        open_interpreter(path)


def test_a_trial_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in later processes; and where the cache folder cannot be written, once in each."""
    path = tmp_path / "own.tflite"
    path.write_bytes(MOBILENET.read_bytes() + b"\0")
    open_member(with_card(path))
    (marker,) = (each for each in (tmp_path / "cache").rglob("*") if each.is_file())
    assert marker.name.startswith(sha256(path)) and marker.stat().st_size == 0
    monkeypatch.setattr(probe, "_PROGRAM", "raise SystemExit(1)")
    monkeypatch.setattr(probe, "_tried", set())
    open_member(path)
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/none")
    with pytest.raises(ModelError, match="cannot be run"):
        open_member(path)
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/none")
    open_member(path)
