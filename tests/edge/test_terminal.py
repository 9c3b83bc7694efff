"""What a run tells on a terminal, and keeps to itself elsewhere: a real process on a real pseudo-terminal."""

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
    heed: Callable[[str, subprocess.Popen[bytes]], object] = lambda seen, process: None,
    **environ: str,
) -> str:
    """What the command writes on a terminal that is stdout and stderr alike.

    heed: takes what is there so far, and the process.
    """
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    environment = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "NO_COLOR", "COLUMNS")}
    whole = [sys.executable, *program, *command, *map(str, words)]
    process = subprocess.Popen(
        whole, stdout=theirs, stderr=theirs, stdin=theirs, env=environment | {"TERM": "xterm"} | environ
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            seen += os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        heed(seen.decode(errors="ignore"), process)
    os.close(ours)
    assert process.wait(LIMIT) == code, seen
    return seen.decode()


def test_a_terminal_has_a_line_that_is_overwritten(clip: Path) -> None:
    seen = on_terminal("--source", clip, "--show", "text")
    assert STATUS.search(seen)
    assert "1 face: \x1b[" in seen
    assert re.search(r"\x1b\[K +0.00 s  #1 ", seen), "a line of text starts with the removal of the status line"
    assert seen.rstrip("\n").endswith("\r\x1b[K\r"), "and nothing of it is left"
    assert "20 frames" in seen


def test_no_colour_where_none_is_wanted_and_no_line_where_it_cannot_be_overwritten(clip: Path) -> None:
    seen = on_terminal("--source", clip, "--show", "none", NO_COLOR="1")
    assert STATUS.search(seen)
    assert not COLOUR.search(seen)
    assert "\x1b" not in on_terminal("--source", clip, "--show", "none", TERM="dumb")


def test_a_source_that_is_away_is_told_in_the_line() -> None:
    """Until it is told, the run waits for it; then it is ended."""
    with ExitStack() as filming:
        address = filming.enter_context(serving("http", free_port()))
        disconnected = re.compile(rf"\r\x1b\[K\x1b\[33m{address} has been away for [1-9]\d* s\x1b\[0m\r")
        ending: list[subprocess.Popen[bytes]] = []

        def heed(seen: str, process: subprocess.Popen[bytes]) -> None:
            if STATUS.search(seen):
                filming.close()
            if disconnected.search(seen) and not ending:
                ending.append(process)
                process.terminate()

        on_terminal("--source", address, "--show", "none", "--reconnect-timeout", str(LIMIT), heed=heed)


def test_many_pictures_are_counted(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        shutil.copy(PORTRAIT, tmp_path / name)
    (tmp_path / "c.jpg").write_text("no picture")
    seen = on_terminal(tmp_path, command=["predict"], code=2)
    for done, name in enumerate("abc"):
        assert f"\r\x1b[K{done} of 3 pictures\r\x1b[K{tmp_path / name}.jpg" in seen
    assert " of 1 pictures" not in on_terminal(tmp_path / "a.jpg", command=["predict"])
    assert " of 3 pictures\r" not in on_terminal(tmp_path, command=["predict"], code=2, TERM="dumb")


def test_long_work_on_data_has_a_bar(synthetic_csv: Path, tmp_path: Path) -> None:
    header, *rows = synthetic_csv.read_text().splitlines()
    path = tmp_path / "long.csv"
    path.write_text("\n".join([header, *rows * 6]) + "\n")
    seen = on_terminal(path, tmp_path / "tree", command=["data", "prepare"])
    assert re.search(r"parsing, bytes: +\d+%\|.*\| \d+/[1-9]\d* ", seen)
    assert re.search(r"writing pictures: +\d+%\|.*\| \d+/1176 ", seen)
    seen = on_terminal("mobilenet_v2", "--data", path, command=["evaluate"])
    assert re.search(r"mobilenet_v2: +\d+%\|.*\| \d+/252 ", seen)


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
    monkeypatch.setattr(terminal, "SECONDS_BETWEEN_REPORTS", 0)
    assert list(track("ab", "letters", 2)) == ["a", "b"]
    assert any(line.startswith("letters: 1/2, ") for line in messages)
    messages.clear()
    monkeypatch.setattr(terminal, "SECONDS_BETWEEN_REPORTS", 60)
    assert list(track("ab", "letters", 2)) == ["a", "b"]
    assert not messages


def test_a_narrow_terminal_gets_a_line_that_fits(clip: Path) -> None:
    seen = on_terminal("--source", clip, "--show", "none", columns=20)
    lines = STATUS.findall(seen)
    assert lines
    assert all(len(COLOUR.sub("", line).strip("\r").removeprefix("\x1b[K")) < 20 for line in lines)


def test_quiet_tells_nothing_and_verbose_more(clip: Path) -> None:
    assert on_terminal("--source", clip, "--show", "none", "--quiet") == ""
    assert "versions: Python" in on_terminal("--source", clip, "--show", "none", "-v")


def test_no_terminal_no_status(clip: Path) -> None:
    command = [sys.executable, "-m", "fer_edge.edge.cli", "run", "--source", str(clip), "--show", "text"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout + done.stderr
    assert "versions" not in done.stderr
    both = subprocess.run([*command, "-q", "-v"], capture_output=True, text=True)
    assert both.returncode == 2
    assert "exclude each other" in both.stderr
