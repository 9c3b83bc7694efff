"""The program as a shell starts it: signals at any moment, streams that are closed, full or without a reader."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from network_camera import PORTRAIT
from running import ENVIRONMENT, all_lines
from training import command
from waiting import LIMIT, default_signal_handlers, until

from fer_edge.edge.expression.model_spec import MODEL_NAMES

pytestmark = pytest.mark.faults

SIGNALS = (signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

COMMANDS = (
    ("--help",),
    ("--version",),
    ("run", "--source", PORTRAIT, "--show", "none"),
    ("predict", PORTRAIT),
    ("models", "verify"),
    ("config", "run"),
    ("cameras",),
    ("doctor",),
    ("bench", "--help"),
)


def shell(redirection: str, *words: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """fer-edge with a shell's redirection, such as `2>&-`."""
    line = ["sh", "-c", f'exec "$@" {redirection}', "sh", *command(*words)]
    environ = ENVIRONMENT | options.pop("env", {})
    return subprocess.run(line, capture_output=True, text=True, timeout=LIMIT, env=environ, **options)


def is_of_python_alone(errors: str) -> bool:
    """Whether a traceback is of the interpreter's own start, before it has come to a line of the program."""
    return "fer_edge" not in re.sub(r"__editable__\S*|bin/fer-edge", "", errors)


@pytest.mark.slow
def test_a_signal_at_any_moment_of_the_start_and_the_end_is_quiet(cases: Callable[[int, int], int]) -> None:
    """Of several commands, sometimes twice."""
    chance = random.Random(11)
    for _ in range(cases(12, 200)):
        words, number = chance.choice(COMMANDS), chance.choice(SIGNALS)
        with default_signal_handlers():
            process = subprocess.Popen(
                command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
            )
        for wait in (chance.uniform(0, 0.6), chance.uniform(0, 0.1))[: chance.choice((1, 1, 2))]:
            try:
                process.wait(wait)  # a moment by chance, no condition
            except subprocess.TimeoutExpired:
                process.send_signal(number)
        _, errors = process.communicate(timeout=LIMIT)
        if "Traceback" in errors and is_of_python_alone(errors):
            continue
        assert process.returncode in (0, 1, 128 + number, -number), (words, errors)
        assert process.returncode != 1 or words == ("doctor",), (words, errors)
        assert not re.search("Traceback|Aborted|Exception|fer-edge: ", errors), (words, errors)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_source_opens_ends_with_its_code(number: signal.Signals) -> None:
    """The camera accepts the connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent, default_signal_handlers():
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        words = command("run", "--source", address, "--show", "none")
        process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
        try:
            connection, _ = silent.accept()
            with connection:
                process.send_signal(number)
                _, errors = process.communicate(timeout=LIMIT)
        finally:
            process.kill()
    assert (process.returncode, errors) == (128 + number, "")


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "<&- 2>&-"])
def test_logs_that_cannot_be_written_are_dropped(redirection: str) -> None:
    for words, code, lines in (
        (("--version",), 0, 1),
        (("models", "list"), 0, len(MODEL_NAMES) + 1),  # and the ensemble
        (("run", "--source", PORTRAIT), 0, 1),
        (("run", "--source", "nothing.mp4"), 2, 0),
    ):
        done = shell(redirection, *words)
        assert (done.returncode, done.stderr, len(done.stdout.splitlines())) == (code, "", lines), words


@pytest.mark.parametrize("redirection", ["<&- >&-", ">/dev/full"])
@pytest.mark.parametrize(
    "words",
    [("--help",), ("config", "run"), ("predict", PORTRAIT), ("run", "--source", PORTRAIT, "--jsonl", "-")],
    ids=lambda each: each[0],
)
def test_results_that_cannot_be_printed_are_one_line(redirection: str, words: tuple[object, ...]) -> None:
    done = shell(redirection, *words)
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if line.startswith("fer-edge: ")]
    assert len(lines) == 1 and lines[0].startswith("fer-edge: stdout "), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("redirection", [">&- 2>&-", ">/dev/full 2>/dev/full", ">&-"])
def test_files_are_written_whatever_becomes_of_the_text(redirection: str, tmp_path: Path) -> None:
    lines = tmp_path / "faces.jsonl"
    done = shell(redirection, "run", "--source", PORTRAIT, "--jsonl", lines)
    assert done.returncode == 0, done.stderr
    assert json.loads(lines.read_text())["faces"]
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_run_outlives_the_reader_of_its_log(camera: str, tmp_path: Path) -> None:
    """Text and log in one pipe, as `2>&1 | logger` has it: its reader ends, or stops reading."""
    for keeps_open in (False, True):
        path = tmp_path / f"{keeps_open}.jsonl"
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        with default_signal_handlers():
            process = subprocess.Popen(
                command("run", "--source", camera, "--jsonl", path, "-v"),
                stdout=writing,
                stderr=writing,
                env=ENVIRONMENT,
            )
        try:
            until(lambda path=path: path.exists() and len(all_lines(path)) > 3)
            if keeps_open:
                fill(writing)
            else:
                os.close(reading)
            seen = len(all_lines(path))
            until(lambda path=path, seen=seen: len(all_lines(path)) > seen + 10)
            process.send_signal(signal.SIGTERM)
            assert process.wait(LIMIT) == 0
        finally:
            process.kill()
            os.close(writing)
    os.close(reading)


def fill(descriptor: int) -> None:
    """Fill a pipe."""
    try:
        while os.write(descriptor, bytes(4096)):
            pass
    except BlockingIOError:
        return


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1"])
def test_stdout_by_another_name_is_not_nowhere(name: str) -> None:
    done = shell(">&-", "run", "--source", PORTRAIT, "--show", "none", "--csv", name)
    assert done.returncode == 2 and done.stderr.startswith("fer-edge: stdout is closed")


def test_a_working_folder_that_is_gone_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    line = ["sh", "-c", 'cd gone && rmdir ../gone && exec "$@"', "sh", *command("run", "--source", "x.mp4")]
    done = subprocess.run(line, capture_output=True, text=True, timeout=LIMIT, env=ENVIRONMENT, cwd=tmp_path)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_every_encoding_of_the_terminal_will_do(encoding: str, tmp_path: Path) -> None:
    """Also names that are not in it, or not in any."""
    environ = {"PYTHONIOENCODING": encoding, "LC_ALL": "C", "PYTHONUTF8": "0"}
    for words in (("run", "--source", PORTRAIT), ("config", "run")):
        assert "Traceback" not in shell("", *words, env=environ, encoding="latin-1").stderr, words
    for name in ("ü😀.jpg", os.fsdecode(b"\xff\xfe.jpg")):
        done = shell("", "predict", tmp_path / name, env=environ, encoding="latin-1")
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr


@pytest.mark.parametrize("name", ["a\x1b[31m\nb.jpg", "a\r\x9b\u202eb.jpg"])
def test_no_name_controls_the_terminal(name: str, tmp_path: Path) -> None:
    picture = tmp_path / name
    picture.write_bytes(PORTRAIT.read_bytes())
    found = shell("", "predict", picture)
    missing = shell("", "predict", f"{picture}.jpg")
    run = shell("", "run", "--source", picture, "--show", "none")
    assert (found.returncode, len(found.stdout.splitlines()), len(missing.stderr.splitlines())) == (0, 1, 1)
    assert not set(found.stdout + found.stderr + missing.stderr + run.stderr) & set("\x1b\r\x9b\u202e")


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Code in a program of its own that has reached the point from which signals unwind."""
    start = "import signal, time\nfrom fer_edge.edge.program import interrupts\n"
    start += "interrupts.end_at_once(); interrupts.unwind()\n"
    with default_signal_handlers():
        return subprocess.run([sys.executable, "-c", start + code], capture_output=True, text=True, timeout=LIMIT)


@pytest.mark.parametrize(("name", "error"), [("SIGINT", "KeyboardInterrupt"), ("SIGTERM", "SystemExit")])
def test_a_signal_in_a_finalizer_is_not_lost(name: str, error: str) -> None:
    """Python can only print what is raised there."""
    code = f"""
class Closing:
    def __del__(self):
        signal.raise_signal(signal.{name})
try:
    Closing()
    time.sleep(60)
except {error}:
    print("unwound")
"""
    done = python(code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "unwound\n", "")


@pytest.mark.parametrize("handled", ["nullcontext()", "GracefulShutdown()"])
def test_a_signal_in_code_from_a_string_asks_for_no_other_exit_code(handled: str) -> None:
    """After a KeyboardInterrupt in `exec`, as when a dataclass is made, Python ends as if by SIGINT, though caught."""
    code = f"""
from contextlib import nullcontext
from fer_edge.edge.commands.signals import GracefulShutdown
with {handled}:
    try:
        exec("signal.raise_signal(signal.SIGINT)")
    except KeyboardInterrupt:
        print("unwound")
"""
    done = python(code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "unwound\n", "")


@pytest.mark.parametrize("after", ["signal.SIG_DFL", "interrupts._exit"])
def test_a_signal_in_a_finalizer_ends_nothing_that_has_ended_meanwhile(after: str) -> None:
    """As a run does, whose handler has noted the signal before Python lost the exception."""
    code = f"""
def note(number, at):
    raise KeyboardInterrupt
signal.signal(signal.SIGINT, note)
class Closing:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)
Closing()
signal.signal(signal.SIGINT, {after})
time.sleep(0.2)
print("ended by itself")
"""
    done = python(code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ended by itself\n", "")


def test_the_third_signal_ends_what_does_not_end() -> None:
    code = """
for _ in range(5):
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        print("hangs", flush=True)
"""
    done = python(code)
    assert (done.returncode, done.stdout, done.stderr) == (130, "hangs\nhangs\n", "")
