"""Status line, colours and log levels of a real process on a real pseudo-terminal."""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import sys
import termios
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import cv2
import pytest
from network_camera import PORTRAIT, free_port, serving
from waiting import LIMIT

from fer_edge.edge import terminal
from fer_edge.edge.terminal import track

COLOUR = re.compile(r"\x1b\[\d+m")
STATUS = re.compile(r"\r\x1b\[K +[\d.–]+ frames/s [^\r\n]*\r")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (320, 240))
    for _ in range(20):
        writer.write(cv2.resize(cv2.imread(str(PORTRAIT)), (320, 240)))
    writer.release()
    return path


def on_terminal(
    *words: str | Path,
    command: Sequence[str] = ("run",),
    program: Sequence[str] = ("-m", "fer_edge.edge.cli"),
    columns: int = 80,
    code: int = 0,
    watch: Callable[[str, subprocess.Popen[bytes]], object] = lambda output, process: None,
    **environ: str,
) -> str:
    """The output of a command with a terminal as stdin, stdout and stderr.

    Args:
        *words: Arguments after `command`.
        command: The subcommand.
        program: What Python runs.
        columns: Width of the terminal.
        code: Exit code that is expected.
        watch: Called with the output so far and the process.
        **environ: Environment variables to add.
    """
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, columns))
    environment = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "NO_COLOR", "COLUMNS")}
    arguments = [sys.executable, *program, *command, *map(str, words)]
    process = subprocess.Popen(
        arguments, stdout=slave, stderr=slave, stdin=slave, env=environment | {"TERM": "xterm"} | environ
    )
    os.close(slave)
    output = b""
    while True:
        try:
            output += os.read(master, 4096)
        except OSError:  # the other end is closed
            break
        watch(output.decode(errors="ignore"), process)
    os.close(master)
    assert process.wait(LIMIT) == code, output
    return output.decode()


def test_the_status_line_is_overwritten_in_place(clip: Path) -> None:
    output = on_terminal("--source", clip, "--show", "text")
    assert STATUS.search(output)
    assert "1 face: \x1b[" in output
    assert re.search(r"\x1b\[K +0.00 s  #1 ", output), "a line of text removes the status line first"
    assert output.rstrip("\n").endswith("\r\x1b[K\r"), "the status line is removed at the end"
    assert "20 frames" in output


@pytest.mark.slow
def test_no_color_and_dumb_terminals(clip: Path) -> None:
    output = on_terminal("--source", clip, "--show", "none", NO_COLOR="1")
    assert STATUS.search(output)
    assert not COLOUR.search(output)
    assert "\x1b" not in on_terminal("--source", clip, "--show", "none", TERM="dumb")


@pytest.mark.slow
def test_a_disconnected_source_is_shown_in_the_status_line() -> None:
    """The run is ended as soon as it is shown."""
    with ExitStack() as camera:
        address = camera.enter_context(serving("http", free_port()))
        disconnected = re.compile(rf"\r\x1b\[K\x1b\[33m{address} has been disconnected for [1-9]\d* s\x1b\[0m\r")
        terminated: list[subprocess.Popen[bytes]] = []

        def watch(output: str, process: subprocess.Popen[bytes]) -> None:
            if STATUS.search(output):
                camera.close()
            if disconnected.search(output) and not terminated:
                terminated.append(process)
                process.terminate()

        on_terminal("--source", address, "--show", "none", "--reconnect-timeout", str(LIMIT), watch=watch)


@pytest.mark.slow
def test_many_pictures_are_counted(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        shutil.copy(PORTRAIT, tmp_path / name)
    (tmp_path / "c.jpg").write_text("no picture")
    output = on_terminal(tmp_path, command=["predict"], code=2)
    for done, name in enumerate("abc"):
        left = r", \d:\d\d:\d\d left" if done else ""
        assert re.search(rf"\r\x1b\[K{done} of 3 pictures{left}\r\x1b\[K{tmp_path / name}\.jpg", output)
    assert " of 1 pictures" not in on_terminal(tmp_path / "a.jpg", command=["predict"])
    assert " of 3 pictures\r" not in on_terminal(tmp_path, command=["predict"], code=2, TERM="dumb")


@pytest.mark.slow
def test_long_work_on_data_has_a_bar(synthetic_csv: Path, tmp_path: Path) -> None:
    header, *rows = synthetic_csv.read_text().splitlines()
    path = tmp_path / "long.csv"
    path.write_text("\n".join([header, *rows * 6]) + "\n")
    output = on_terminal(path, tmp_path / "tree", command=["data", "prepare"])
    assert re.search(r"parsing, bytes: +\d+%\|.*\| \d+/[1-9]\d* ", output)
    assert re.search(r"writing pictures: +\d+%\|.*\| \d+/1176 ", output)
    output = on_terminal("mobilenet_v2", "--data", path, command=["evaluate"])
    assert re.search(r"mobilenet_v2: +\d+%\|.*\| \d+/252 ", output)


LOG = """
import logging
from fer_edge.edge.terminal import configure_logging, track
configure_logging()
for item in track("abc", "letters", 3):
    logging.getLogger("fer_edge.edge").info(f"item {item}")
"""


def test_log_lines_do_not_tear_a_progress_bar() -> None:
    written = on_terminal(program=("-c", LOG), command=())
    lines = [line.rsplit("\r", 1)[-1] for line in written.split("\r\n")]
    assert [line for line in lines if line.startswith("item ")] == ["item a", "item b", "item c"]


def test_without_a_terminal_progress_is_logged_now_and_then(
    messages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "REPORT_INTERVAL", 0)
    assert list(track("ab", "letters", 2)) == ["a", "b"]
    assert any(line.startswith("letters: 1/2, ") for line in messages)
    messages.clear()
    monkeypatch.setattr(terminal, "REPORT_INTERVAL", 60)
    assert list(track("ab", "letters", 2)) == ["a", "b"]
    assert not messages


def test_a_narrow_terminal_gets_a_line_that_fits(clip: Path) -> None:
    output = on_terminal("--source", clip, "--show", "none", columns=20)
    lines = STATUS.findall(output)
    assert lines
    assert all(len(COLOUR.sub("", line).strip("\r").removeprefix("\x1b[K")) < 20 for line in lines)


@pytest.mark.slow
def test_quiet_and_verbose(clip: Path) -> None:
    assert on_terminal("--source", clip, "--show", "none", "--quiet") == ""
    assert "versions: Python" in on_terminal("--source", clip, "--show", "none", "-v")


@pytest.mark.slow
def test_no_terminal_no_status(clip: Path) -> None:
    command = [sys.executable, "-m", "fer_edge.edge.cli", "run", "--source", str(clip), "--show", "text"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout + done.stderr
    assert "versions" not in done.stderr
    both = subprocess.run([*command, "-q", "-v"], capture_output=True, text=True)
    assert both.returncode == 2
    assert "exclude each other" in both.stderr
