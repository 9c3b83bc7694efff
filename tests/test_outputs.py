"""Outputs beside the display: CSV, rotation, snapshots and commands, judged by files and processes."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from network_camera import PORTRAIT
from test_run import clip, run  # noqa: F401  clip is a fixture
from waiting import LIMIT, until

from fer_edge.edge.aside import Aside
from fer_edge.edge.cli import main
from fer_edge.edge.errors import SinkError
from fer_edge.edge.sinks import hook
from fer_edge.edge.sinks.hook import HookSink
from fer_edge.edge.sinks.jsonl import JsonlSink
from fer_edge.edge.sinks.lines import Lines, Rotation
from fer_edge.edge.sinks.snapshot import OURS, SnapshotSink
from fer_edge.edge.sinks.table import COLUMNS, CsvSink
from fer_edge.edge.types import EMOTIONS, Box, Face, Frame, Prediction

GRAY = np.full((240, 320, 3), 90, np.uint8)


def face(emotion: str, track: int | None = 1, x: int = 40, width: int = 60) -> Prediction:
    scores = np.full(7, 0.02, np.float32)
    scores[EMOTIONS.index(emotion)] = 0.88
    return Prediction(Face(Box(x, 50, width, 70), 0.9, None, track), scores)


def at(seconds: float) -> Frame:
    return Frame(GRAY, round(10 * seconds), seconds)


# CSV


def test_csv_has_a_line_a_face(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    sink = CsvSink(str(path))
    sink.show(at(0.3), [face("happy"), face("sad", None, -5)])
    sink.show(at(0.4), [])
    sink.close()
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [(row["track"], row["emotion"], row["x"]) for row in rows] == [("1", "happy", "40"), ("", "sad", "-5")]
    assert rows[0] | {"clock": ""} == {
        "clock": "",
        "frame": "3",
        "time": "0.3000",
        "track": "1",
        "score": "0.9000",
        "x": "40",
        "y": "50",
        "width": "60",
        "height": "70",
        "emotion": "happy",
        "confidence": "0.880000",
        **{name: "0.880000" if name == "happy" else "0.020000" for name in EMOTIONS},
    }
    assert datetime.fromisoformat(rows[0]["clock"]).tzinfo is not None


# rotation


def all_lines(path: Path) -> list[str]:
    """The lines of the file and of those before it, the oldest first."""
    old = sorted(path.parent.glob(f"{path.name}.*"), key=lambda each: -int(each.suffix[1:]))
    return [line for each in [*old, path] for line in each.read_text().splitlines()]


@given(st.lists(st.integers(0, 60), max_size=60), st.integers(10, 200), st.integers(0, 4))
def test_rotation_keeps_the_newest_lines_whole(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], size: int, keep: int
) -> None:
    path = tmp_path_factory.mktemp("rotated") / "out"
    lines = Lines(str(path), rotation=Rotation(size, keep))
    written = [f"{index:03d}{'x' * length}" for index, length in enumerate(lengths)]
    for line in written:
        lines.write(line)
    lines.close()
    found = all_lines(path)
    assert found == written[len(written) - len(found) :]
    files = sorted(path.parent.iterdir())
    assert len(files) <= keep + 1
    assert len(files) == keep + 1 or found == written
    assert all(each.stat().st_size <= size or len(each.read_text().splitlines()) == 1 for each in files)


def test_every_rotated_csv_file_has_the_header(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    sink = CsvSink(str(path), Rotation(1000, 2))
    for index in range(40):
        sink.show(at(index / 10), [face("happy")])
    sink.close()
    assert sorted(os.listdir(tmp_path)) == ["out.csv", "out.csv.1", "out.csv.2"]
    for each in tmp_path.iterdir():
        assert each.read_text().splitlines()[0] == ",".join(COLUMNS)
    frames = [int(line.split(",")[1]) for line in all_lines(path) if not line.startswith("clock")]
    assert frames[-1] == 39
    assert all(b - a == 1 for a, b in pairwise(frames))


def test_a_rotated_file_is_continued_without_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text('{"frame": 0}\n{"fra')
    sink = JsonlSink(str(path), Rotation(10_000, 1))
    sink.show(at(0.1), [])
    sink.close()
    assert [json.loads(line)["frame"] for line in path.read_text().splitlines()] == [0, 1]


def test_without_rotation_a_file_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("old\n")
    JsonlSink(str(path)).close()
    assert path.read_text() == ""


def test_a_table_of_other_columns_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("a,b\n1,2\n")
    CsvSink(str(path), Rotation(10_000, 1)).close()
    assert (tmp_path / "out.csv.1").read_text() == "a,b\n1,2\n"
    assert path.read_text() == ",".join(COLUMNS) + "\n"


def test_what_is_no_file_is_not_renamed() -> None:
    with pytest.raises(SinkError, match="is no regular file and cannot be rotated"):
        JsonlSink("/dev/null", Rotation(10, 1))


FULL_DISK = """
import resource, sys; from fer_edge.edge.errors import SinkError; from fer_edge.edge.sinks.lines import Lines
limit = int(sys.argv[2]); resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
lines = Lines(sys.argv[1])
try:
    for index in range(100):
        lines.write(f"{index:020d}")
except SinkError as error:
    print(error)
"""


def test_a_full_disk_leaves_whole_lines(tmp_path: Path) -> None:
    """A limit on the file's size stands for the disk."""
    path = tmp_path / "out"
    limit = 1000
    command = [sys.executable, "-c", FULL_DISK, str(path), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"{path} cannot be written: File too large\n"
    assert path.read_text() == "".join(f"{index:020d}\n" for index in range(limit // 21))


# beside the loop


def test_aside_refuses_while_it_is_busy() -> None:
    going, may_end, done = threading.Event(), threading.Event(), []

    def work(item: int) -> None:
        going.set()
        assert may_end.wait(LIMIT)
        done.append(item)

    aside = Aside(work, "test")
    assert aside.offer(1)
    assert going.wait(LIMIT)
    assert not aside.offer(2)
    may_end.set()
    aside.close(LIMIT)
    assert done == [1]


def test_an_error_aside_reaches_the_loop() -> None:
    def work(item: int) -> None:
        raise SinkError(f"no {item}")

    aside = Aside(work, "test")
    assert aside.offer(1)
    with pytest.raises(SinkError, match="no 1"):
        aside.close(LIMIT)


# snapshots


def snapshots(folder: Path) -> list[str]:
    """The emotions of the stored pictures, the oldest first."""
    return [match[1] for name in sorted(os.listdir(folder)) if (match := OURS.fullmatch(name))]


def shown(sink: SnapshotSink | HookSink, story: list[str]) -> None:
    """Each emotion for a second, at 10 frames a second, a picture or command waited for where one is due."""
    for index in range(10 * len(story)):
        sink.show(at(index / 10), [face(story[index // 10])])
        settle(sink)


def settle(sink: SnapshotSink | HookSink) -> None:
    """Until its threads are idle: a test's frames come faster than any camera's."""
    asides = [sink._writer] if isinstance(sink, SnapshotSink) else [each._runner for each in sink._hooks]
    for aside in asides:
        assert aside._free.acquire(timeout=LIMIT)
        aside._free.release()


def test_a_snapshot_when_an_emotion_begins(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "snapshots"
    sink = SnapshotSink(folder, EMOTIONS, keep=10)
    shown(sink, ["neutral", "happy", "sad"])
    sink.close()
    assert snapshots(folder) == ["neutral", "happy", "sad"]
    assert folder.stat().st_mode & 0o777 == 0o700
    picture = cv2.imread(str(next(folder.iterdir())))
    assert picture.shape == GRAY.shape
    assert (picture != 90).any()  # the face's box is drawn


def test_snapshots_of_chosen_emotions_rest_and_are_bounded(tmp_path: Path) -> None:
    sink = SnapshotSink(tmp_path / "chosen", ["happy"], keep=10)
    shown(sink, ["neutral", "happy", "sad", "happy"])
    sink.close()
    assert snapshots(tmp_path / "chosen") == ["happy", "happy"]

    sink = SnapshotSink(tmp_path / "rest", EMOTIONS, keep=10, rest=2.5)
    shown(sink, ["neutral", "happy", "sad", "angry", "fear"])
    sink.close()
    assert snapshots(tmp_path / "rest") == ["neutral", "angry"]

    folder = tmp_path / "bounded"
    folder.mkdir()
    (folder / "holiday.jpg").write_bytes(b"mine")
    sink = SnapshotSink(folder, EMOTIONS, keep=2)
    shown(sink, ["neutral", "happy", "sad", "angry", "fear"])
    sink.close()
    assert snapshots(folder) == ["angry", "fear"]
    assert (folder / "holiday.jpg").exists()


def test_a_snapshot_that_somebody_else_removes_meanwhile_stops_nothing(tmp_path: Path) -> None:
    """A link to nowhere stands for it: its name is there, and its time cannot be asked."""
    (tmp_path / "20200101-000000-000-happy-1.jpg").symlink_to("nowhere")
    sink = SnapshotSink(tmp_path, EMOTIONS, keep=10)
    shown(sink, ["neutral", "happy"])
    sink.close()
    assert snapshots(tmp_path) == ["happy", "neutral", "happy"]


def test_snapshots_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match="cannot be made: File exists"):
        SnapshotSink(tmp_path / "file", EMOTIONS, keep=1)
    sink = SnapshotSink(tmp_path / "gone", EMOTIONS, keep=1)
    (tmp_path / "gone").rmdir()
    (tmp_path / "gone").touch()
    with pytest.raises(SinkError, match="gone"):
        shown(sink, ["happy", "sad"])


# commands

REPORT = "import os, sys; print(sys.argv[1:], *(f'{n}={v}' for n, v in sorted(os.environ.items()) if 'FER_EDGE' in n))"


def report(path: Path, *words: str) -> str:
    """A command that writes its arguments and what it is told into a file, a line each time."""
    script = path.with_suffix(".py")
    script.write_text(f"{REPORT[:-1]}, file=open({str(path)!r}, 'a'))")
    return " ".join([sys.executable, str(script), *words])


def test_a_command_learns_what_began(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_EDGE_MQTT_PASSWORD", "secret")
    told: list[str] = []
    command = report(tmp_path / "out", "'two words'", "$FER_EDGE_EMOTION; echo $(id)")
    sink = HookSink([("happy", command), ("fear", "false")], told.append)
    shown(sink, ["neutral", "happy", "sad", "happy"])
    sink.close()
    line = (
        "['two words', '$FER_EDGE_EMOTION;', 'echo', '$(id)'] "
        "FER_EDGE_CONFIDENCE=0.8800 FER_EDGE_EMOTION=happy FER_EDGE_TRACK=1\n"
    )
    assert (tmp_path / "out").read_text() == 2 * line
    assert told == []


def test_a_command_rests(tmp_path: Path) -> None:
    sink = HookSink([("happy", report(tmp_path / "out"))], print, rest=60.0)
    shown(sink, ["happy", "sad", "happy", "sad", "happy"])
    sink.close()
    assert len((tmp_path / "out").read_text().splitlines()) == 1


def test_a_command_that_fails_is_told() -> None:
    told: list[str] = []
    sink = HookSink([("happy", "sh -c 'exit 3'"), ("happy", "sh -c 'kill $$'")], told.append)
    shown(sink, ["happy"])
    sink.close()
    assert sorted(told) == [
        "--on happy \"sh -c 'exit 3'\" ended with 3",
        "--on happy \"sh -c 'kill $$'\" was ended by signal 15",
    ]


@pytest.mark.parametrize("limit", ["PATIENCE", "FAREWELL"])
def test_a_command_that_hangs_is_killed_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    """After its time, or when the program ends; meanwhile frames go on, and it is not started twice."""
    monkeypatch.setattr(hook, limit, 5.0)
    told: list[str] = []
    pids = tmp_path / "pids"
    sink = HookSink([("happy", f"sh -c 'sleep 500 & echo $! $$ >> {pids}; wait'")], told.append)
    for index in range(40):
        sink.show(at(index / 10), [face(("happy", "sad")[index // 10 % 2])])
    until(lambda: pids.exists() and pids.read_text().endswith("\n"))
    if limit == "PATIENCE":
        settle(sink)
    sink.close()
    assert told == [told[0]]
    assert told[0].endswith("was ended by signal 9")
    (line,) = pids.read_text().splitlines()
    until(lambda: not any(alive(int(pid)) for pid in line.split()))  # a killed process takes a moment to die


def alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and waits for its parent's interest does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("command", ["", "'", "no-such-program-here", "/etc/passwd x"])
def test_what_is_no_command_is_one_line(command: str) -> None:
    with pytest.raises(SinkError, match="--on happy"):
        HookSink([("happy", command)], print)


# the whole program


def test_a_run_gives_them_all(clip: Path, tmp_path: Path) -> None:  # noqa: F811
    files = ("--csv", tmp_path / "o.csv", "--jsonl", tmp_path / "o.jsonl", "--max-mb", "0.002", "--keep", "20")
    pictures = ("--snapshot-dir", tmp_path / "snapshots", "--snapshot-on", "happy")
    done = run("--source", clip, "--show", "none", *files, *pictures, "--on", "happy", report(tmp_path / "told"))
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["frame"] for line in all_lines(tmp_path / "o.jsonl")] == list(range(20))
    rows = [line.split(",") for line in all_lines(tmp_path / "o.csv") if not line.startswith("clock")]
    assert [int(row[1]) for row in rows] == list(range(15))
    assert snapshots(tmp_path / "snapshots") == ["happy"]
    assert (tmp_path / "told").read_text().endswith("FER_EDGE_EMOTION=happy FER_EDGE_TRACK=1\n")
    assert f"pictures of people are stored in {tmp_path / 'snapshots'}, up to 100 of them" in done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--max-mb", "1"), "--max-mb needs a file"),
        (("--snapshot-on", "happy"), "--snapshot-on needs --snapshot-dir"),
        (("--on", "joy", "true"), "'joy' is not one of"),
        (("--on", "happy", "no-such-program-here"), "expected a program and its arguments"),
        (("--csv", "/no/such/folder/o.csv"), "/no/such/folder/o.csv cannot be written: No such file or directory"),
    ],
)
def test_mistakes_are_told(clip: Path, words: tuple[str, ...], told: str) -> None:  # noqa: F811
    done = CliRunner().invoke(main, ["run", "--source", str(clip), "--show", "none", *words])
    assert done.exit_code == 2
    assert told in done.stderr.splitlines()[-1]


def test_nothing_begins_in_pictures(mistake: Callable[..., str]) -> None:
    told = mistake("run", "--source", PORTRAIT, "--show", "none", "--on", "happy", "true", "--snapshot-dir", "x")
    assert told.startswith("fer-edge: --snapshot-dir, --on: nothing begins or ends in single pictures")
