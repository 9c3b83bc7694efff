"""Snapshots and commands when an emotion begins, by their files and processes; all outputs at once."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import threading
from collections.abc import Callable
from datetime import datetime, tzinfo
from pathlib import Path

import cv2
import pytest
from click.testing import CliRunner
from network_camera import PORTRAIT
from predictions import CLASSES, GRAY, at, face
from running import all_lines, run
from waiting import LIMIT, until

from fer_edge.edge.cli import main
from fer_edge.edge.errors import SinkError
from fer_edge.edge.sinks import command as command_module
from fer_edge.edge.sinks import snapshot as snapshot_module
from fer_edge.edge.sinks.background_worker import BackgroundWorker
from fer_edge.edge.sinks.command import CommandSink
from fer_edge.edge.sinks.snapshot import SnapshotSink, snapshot_name

# background worker


def test_a_busy_worker_refuses_items() -> None:
    started, may_end, done = threading.Event(), threading.Event(), []

    def work(item: int) -> None:
        started.set()
        assert may_end.wait(LIMIT)
        done.append(item)

    worker = BackgroundWorker(work, "test")
    assert worker.submit(1)
    assert started.wait(LIMIT)
    assert not worker.submit(2)
    may_end.set()
    worker.close(LIMIT)
    assert done == [1]


@pytest.mark.parametrize("kind", [SinkError, ZeroDivisionError, SystemExit])
def test_an_error_in_the_worker_reaches_the_loop(kind: type[BaseException]) -> None:
    def work(item: int) -> None:
        raise kind(f"no {item}")

    worker = BackgroundWorker(work, "test")
    for item in (1, 2):
        assert worker.submit(item)
        until(lambda: not worker.busy)
        with pytest.raises(kind, match=f"no {item}"):
            worker.submit(0)
    worker.close(LIMIT)


# snapshots


def snapshots(folder: Path) -> list[str]:
    """The emotions of the stored pictures, the oldest first."""
    return [match[1] for name in sorted(os.listdir(folder)) if (match := snapshot_name(CLASSES).fullmatch(name))]


def play(sink: SnapshotSink | CommandSink, story: list[str]) -> None:
    """Show each emotion for a second, at 10 frames/s; pictures and commands are waited for."""
    for index in range(10 * len(story)):
        sink.show(at(index / 10), [face(story[index // 10])])
        until(lambda: not sink.busy)  # frames come faster here than from any camera


def test_a_snapshot_when_an_emotion_begins(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "snapshots"
    sink = SnapshotSink(folder, CLASSES, CLASSES, keep=10)
    play(sink, ["neutral", "happy", "sad"])
    sink.close()
    assert snapshots(folder) == ["neutral", "happy", "sad"]
    assert folder.stat().st_mode & 0o777 == 0o700
    picture = cv2.imread(str(next(folder.iterdir())))
    assert picture.shape == GRAY.shape
    assert (picture != 90).any()  # the face's box is drawn


def test_snapshot_emotions_cooldown_and_keep(tmp_path: Path) -> None:
    sink = SnapshotSink(tmp_path / "chosen", CLASSES, ["happy"], keep=10)
    play(sink, ["neutral", "happy", "sad", "happy"])
    sink.close()
    assert snapshots(tmp_path / "chosen") == ["happy", "happy"]

    sink = SnapshotSink(tmp_path / "cooldown", CLASSES, CLASSES, keep=10, cooldown=2.5)
    play(sink, ["neutral", "happy", "sad", "angry", "fear"])
    sink.close()
    assert snapshots(tmp_path / "cooldown") == ["neutral", "angry"]

    folder = tmp_path / "bounded"
    folder.mkdir()
    (folder / "holiday.jpg").write_bytes(b"mine")
    sink = SnapshotSink(folder, CLASSES, CLASSES, keep=2)
    play(sink, ["neutral", "happy", "sad", "angry", "fear"])
    sink.close()
    assert snapshots(folder) == ["angry", "fear"]
    assert (folder / "holiday.jpg").exists()


def test_a_snapshot_that_another_program_removes_meanwhile_is_no_error(tmp_path: Path) -> None:
    """A dangling link stands in for it: its name is listed, and its time cannot be read."""
    (tmp_path / "20200101-000000-000-happy-1.jpg").symlink_to("nowhere")
    sink = SnapshotSink(tmp_path, CLASSES, CLASSES, keep=10)
    play(sink, ["neutral", "happy"])
    sink.close()
    assert snapshots(tmp_path) == ["happy", "neutral", "happy"]


def test_snapshots_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match="cannot be created: File exists"):
        SnapshotSink(tmp_path / "file", CLASSES, CLASSES, keep=1)
    sink = SnapshotSink(tmp_path / "gone", CLASSES, CLASSES, keep=1)
    (tmp_path / "gone").rmdir()
    (tmp_path / "gone").touch()
    with pytest.raises(SinkError, match="gone"):
        play(sink, ["happy", "sad"])


@pytest.mark.faults
@pytest.mark.parametrize("years", [-60, 0, 60])
def test_the_newest_snapshots_stay_whatever_the_clock_said(tmp_path: Path, years: int) -> None:
    """Old pictures lie in the future, or the clock stands before them: with their names, times of files, or both."""
    old = [tmp_path / f"{2026 + years}0101-00000{number}-000-sad-1.jpg" for number in range(4)]
    for number, path in enumerate(old):
        path.touch()
        time = datetime(2026 + years, 1, 1).timestamp() + number
        os.utime(path, (time, time))
    for rest in (["sad", "happy", "fear"], ["happy", "fear", "angry"], ["fear", "angry", "neutral"]):
        sink = SnapshotSink(tmp_path, CLASSES, CLASSES, keep=3)
        play(sink, rest[-1:] if rest[0] != "sad" else ["happy", "fear"])
        sink.close()
        by_time = sorted(tmp_path.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        assert [snapshot_name(CLASSES).fullmatch(path.name)[1] for path in by_time] == rest  # type: ignore[index]


@pytest.mark.faults
def test_a_clock_that_goes_back_overwrites_no_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopped(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Stopped:
            return cls(1970, 1, 1)

    monkeypatch.setattr(snapshot_module, "datetime", Stopped)
    sink = SnapshotSink(tmp_path, CLASSES, CLASSES, keep=10)
    play(sink, ["happy", "sad", "happy", "sad", "happy"])
    sink.close()
    assert sorted(snapshots(tmp_path)) == ["happy"] * 3 + ["sad"] * 2


@pytest.mark.faults
def test_what_others_put_beside_snapshots_is_never_removed(tmp_path: Path) -> None:
    """A folder and a link with names of snapshots, and files whose names are almost ones."""
    (tmp_path / "20200101-000000-000-happy-1.jpg").mkdir()
    (tmp_path / "20200101-000000-000-happy-2.jpg").symlink_to("holiday.jpg")
    for name in ("holiday.jpg", "20200101-000000-000-happy-3.jpg.bak", "20200101-000000-000-joy-3.jpg"):
        (tmp_path / name).write_bytes(b"mine")
    before = set(os.listdir(tmp_path))
    sink = SnapshotSink(tmp_path, CLASSES, CLASSES, keep=1)
    play(sink, ["happy", "sad", "fear"])
    sink.close()
    (kept,) = set(os.listdir(tmp_path)) - before
    assert before < set(os.listdir(tmp_path)) and "-fear-" in kept


@pytest.mark.faults
@pytest.mark.parametrize("rename", [True, False])
def test_a_snapshot_folder_that_is_removed_is_created_again(tmp_path: Path, rename: bool, messages: list[str]) -> None:
    folder = tmp_path / "shots"
    sink = SnapshotSink(folder, CLASSES, CLASSES, keep=2)
    play(sink, ["happy"])
    if rename:
        folder.rename(tmp_path / "old")
    else:
        shutil.rmtree(folder)
    for index in range(10, 20):
        sink.show(at(index / 10), [face("sad")])
    until(lambda: not sink.busy)
    assert snapshots(folder) == ["sad"] and folder.stat().st_mode & 0o777 == 0o700
    with pytest.raises(SinkError, match="in use by another"):
        SnapshotSink(folder, CLASSES, CLASSES, keep=2)
    sink.close()
    assert messages == [f"{folder} was renamed or removed, and is begun again"]


# commands

REPORT = "import os, sys; print(sys.argv[1:], *(f'{n}={v}' for n, v in sorted(os.environ.items()) if 'FER_EDGE' in n))"


def report(path: Path, *words: str) -> str:
    """A command that appends a line with its arguments and variables to a file."""
    script = path.with_suffix(".py")
    script.write_text(f"{REPORT[:-1]}, file=open({str(path)!r}, 'a'))")
    return " ".join([sys.executable, str(script), *words])


def test_a_command_gets_the_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, messages: list[str]) -> None:
    monkeypatch.setenv("FER_EDGE_MQTT_PASSWORD", "secret")
    command = report(tmp_path / "out", "'two words'", "$FER_EDGE_EMOTION; echo $(id)")
    sink = CommandSink([("happy", command), ("fear", "false")])
    play(sink, ["neutral", "happy", "sad", "happy"])
    sink.close()
    line = (
        "['two words', '$FER_EDGE_EMOTION;', 'echo', '$(id)'] "
        "FER_EDGE_CONFIDENCE=0.8800 FER_EDGE_EMOTION=happy FER_EDGE_TRACK=1\n"
    )
    assert (tmp_path / "out").read_text() == 2 * line
    assert messages == []


def test_command_cooldown(tmp_path: Path) -> None:
    sink = CommandSink([("happy", report(tmp_path / "out"))], cooldown=60.0)
    play(sink, ["happy", "sad", "happy", "sad", "happy"])
    sink.close()
    assert len((tmp_path / "out").read_text().splitlines()) == 1


def test_a_command_that_fails_is_logged(messages: list[str]) -> None:
    sink = CommandSink([("happy", "sh -c 'exit 3'"), ("happy", "sh -c 'kill $$'")])
    play(sink, ["happy"])
    sink.close()
    assert sorted(messages) == [
        "--on happy sh exited with code 3",
        "--on happy sh was ended by signal 15",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("limit", ["COMMAND_TIMEOUT", "CLOSE_TIMEOUT"])
def test_a_command_that_hangs_is_killed_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, messages: list[str], limit: str
) -> None:
    """After its timeout, or when the program ends; meanwhile frames are processed, and it is not started twice."""
    monkeypatch.setattr(command_module, limit, 5.0)
    pids = tmp_path / "pids"
    sink = CommandSink([("happy", f"sh -c 'sleep 500 & echo $! $$ >> {pids}; wait'")])
    for index in range(40):
        sink.show(at(index / 10), [face(("happy", "sad")[index // 10 % 2])])
    until(lambda: pids.exists() and pids.read_text().endswith("\n"))
    if limit == "COMMAND_TIMEOUT":
        until(lambda: not sink.busy)
    sink.close()
    (message,) = messages
    assert message.endswith("was ended by signal 9")
    (line,) = pids.read_text().splitlines()
    until(lambda: not any(alive(int(pid)) for pid in line.split()))  # a killed process takes a moment to die


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


@pytest.mark.faults
@pytest.mark.parametrize("ends", ["timeout", "close"])
def test_processes_that_commands_leave_behind_do_not_add_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, messages: list[str], ends: str
) -> None:
    """Each of a thousand events would start one more."""
    monkeypatch.setattr(command_module, "COMMAND_TIMEOUT", 1.0 if ends == "timeout" else 500.0)
    monkeypatch.setattr(command_module, "CLOSE_TIMEOUT", 0.5)
    pids = tmp_path / "pids"
    sink = CommandSink([("happy", f"sh -c 'sleep 500 & echo $! >> {pids}'")], hold_time=0.0)
    for index in range(1000):
        sink.show(at(index / 10), [face(("happy", "sad")[index % 2])])
    until(lambda: pids.exists() and pids.read_text().endswith("\n"))
    if ends == "timeout":
        until(lambda: not sink.busy)
        assert messages == [f"--on happy sh {LEFT_BEHIND}"]
    sink.close()
    (pid,) = pids.read_text().splitlines()
    until(lambda: not alive(int(pid)))


LEFT_BEHIND = "left processes behind, which were killed after 1 s"


@pytest.mark.faults
def test_a_command_may_finish_in_the_background(tmp_path: Path, messages: list[str]) -> None:
    sink = CommandSink([("happy", f"sh -c '(sleep 0.3; touch {tmp_path}/done) &'")])
    play(sink, ["happy"])
    assert (tmp_path / "done").exists()
    sink.close()
    assert messages == []


@pytest.mark.faults
def test_a_command_that_cannot_be_started_does_not_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, messages: list[str]
) -> None:
    """Its program is removed, is no program, or the environment has become too large for any."""
    gone, text = tmp_path / "gone", tmp_path / os.fsdecode(b"no script \xff")
    gone.symlink_to("/bin/true")
    text.write_text("print('hello')")
    text.chmod(0o755)
    sink = CommandSink([("happy", str(gone)), ("sad", shlex.quote(str(text))), ("fear", "true")])
    gone.unlink()
    play(sink, ["happy", "sad", "fear"])
    monkeypatch.setenv("HUGE", "x" * 200_000)
    play(sink, ["sad", "fear"])
    sink.close()
    reasons = [message.rpartition(": ")[2] for message in messages]
    assert reasons == ["No such file or directory", "Exec format error", *["Argument list too long"] * 2]


@pytest.mark.faults
@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        ("true \0", "is empty or holds"),
        ("/", "chmod \\+x"),
        ("'S3CRET", "no closing quotation"),
        ("no-such-program-here S3CRET", "no program of that name in PATH"),
        ("/no/such/program S3CRET", "no such program"),
        ("./play.sh S3CRET", "no such program in "),
        ("/etc/passwd S3CRET", "chmod \\+x"),
        ("/etc S3CRET", "chmod \\+x"),
        ("cd /tmp", "shell syntax"),
        ("KEY=S3CRET curl host", "shell syntax"),
        ("(aplay S3CRET)", "shell syntax"),
    ],
)
def test_an_invalid_command_says_what_is_wrong(command: str, why: str) -> None:
    """Without its arguments, which may hold a password."""
    with pytest.raises(SinkError, match=f"--on happy.*{why}") as caught:
        CommandSink([("happy", command)])
    assert "S3CRET" not in str(caught.value)


# the whole program


def test_all_outputs_of_a_run(clip: Path, tmp_path: Path) -> None:
    files = (
        "--csv",
        tmp_path / "o.csv",
        "--jsonl",
        tmp_path / "o.jsonl",
        "--rotate-mb",
        "0.002",
        "--rotate-keep",
        "20",
    )
    pictures = ("--snapshot-dir", tmp_path / "snapshots", "--snapshot-on", "happy")
    done = run("--source", clip, "--show", "none", *files, *pictures, "--on", "happy", report(tmp_path / "command"))
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["frame"] for line in all_lines(tmp_path / "o.jsonl")] == list(range(20))
    rows = [line.split(",") for line in all_lines(tmp_path / "o.csv") if not line.startswith("clock")]
    assert [int(row[1]) for row in rows] == list(range(15))
    assert snapshots(tmp_path / "snapshots") == ["happy"]
    assert (tmp_path / "command").read_text().endswith("FER_EDGE_EMOTION=happy FER_EDGE_TRACK=1\n")
    assert f"pictures of people are stored in {tmp_path / 'snapshots'}, up to 100 of them" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--rotate-mb", "1"), "--rotate-mb needs a file"),
        (("--csv", "o.csv", "--rotate-mb", "nan"), "'--rotate-mb': nan is no number"),
        (("--csv", "o.csv", "--rotate-mb", "1e308"), "'--rotate-mb': 1e+308 is not in the range"),
        (("--duration", "nan"), "'--duration': nan is no number"),
        (("--snapshot-on", "happy"), "--snapshot-on needs --snapshot-dir"),
        (("--on", "joy", "true"), "--on: ensemble has no class of that name; expected one of angry, disgust"),
        (("--on", "happy", "no-such-program-here"), "there is no program of that name in PATH"),
        (("--csv", "/no/such/folder/o.csv"), "/no/such/folder/o.csv cannot be written: No such file or directory"),
    ],
)
def test_mistakes_are_errors(clip: Path, words: tuple[str, ...], message: str) -> None:
    done = CliRunner().invoke(main, ["run", "--source", str(clip), "--show", "none", *words])
    assert done.exit_code == 2
    assert message in done.stderr.splitlines()[-1]


def test_pictures_have_no_events(mistake: Callable[..., str]) -> None:
    message = mistake("run", "--source", PORTRAIT, "--show", "none", "--on", "happy", "true", "--snapshot-dir", "x")
    assert "--snapshot-dir, --on: " in message and "single pictures" in message
