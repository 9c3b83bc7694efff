"""CSV and JSON Lines files: headers, rotation, unfinished lines, full disks."""

from __future__ import annotations

import csv
import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from predictions import CLASSES, at, face
from running import all_lines

from fer_edge.edge.errors import SinkError
from fer_edge.edge.sinks.csv import COLUMNS, CsvSink
from fer_edge.edge.sinks.jsonl import JsonlSink
from fer_edge.edge.sinks.line_writer import LineWriter, Rotation

# CSV

HEADER = (*COLUMNS, *CLASSES)


def test_csv_has_a_row_per_face(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    sink = CsvSink(str(path), CLASSES)
    sink.show(at(0.3), [face("happy"), face("sad", None, -5)])
    sink.show(at(0.4), [])
    sink.close()
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == HEADER
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
        **{name: "0.880000" if name == "happy" else "0.020000" for name in CLASSES},
    }
    assert datetime.fromisoformat(rows[0]["clock"]).tzinfo is not None


def test_csv_has_plain_fields_and_unix_newlines(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    sink = CsvSink(str(path), CLASSES)
    sink.show(at(0.3), [face("sad", None, -5)])
    sink.close()
    header, row, end = path.read_bytes().decode().split("\n")
    assert (header, end) == (",".join(HEADER), "")
    scores = ",".join("0.880000" if name == "sad" else "0.020000" for name in CLASSES)
    assert row.partition(",")[2] == f"3,0.3000,,-5,50,60,70,0.9000,sad,0.880000,{scores}"


# rotation


@given(st.lists(st.integers(0, 60), max_size=60), st.integers(10, 200), st.integers(0, 4))
def test_rotation_keeps_the_newest_lines_whole(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], size: int, keep: int
) -> None:
    path = tmp_path_factory.mktemp("rotated") / "out"
    lines = LineWriter(str(path), rotation=Rotation(size, keep))
    written = [f"{index:03d}{'x' * length}" for index, length in enumerate(lengths)]
    for line in written:
        lines.write(line)
    lines.close()
    lines_left = all_lines(path)
    assert lines_left == written[len(written) - len(lines_left) :]
    files = sorted(path.parent.iterdir())
    assert len(files) <= keep + 1
    assert len(files) == keep + 1 or lines_left == written
    assert all(each.stat().st_size <= size or len(each.read_text().splitlines()) == 1 for each in files)


def test_every_rotated_csv_file_has_the_header(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    sink = CsvSink(str(path), CLASSES, Rotation(1000, 2))
    for index in range(40):
        sink.show(at(index / 10), [face("happy")])
    sink.close()
    assert sorted(os.listdir(tmp_path)) == ["out.csv", "out.csv.1", "out.csv.2"]
    for each in tmp_path.iterdir():
        assert each.read_text().splitlines()[0] == ",".join(HEADER)
    frames = [int(line.split(",")[1]) for line in all_lines(path) if not line.startswith("clock")]
    assert frames[-1] == 39
    assert all(b - a == 1 for a, b in pairwise(frames))


def test_a_rotated_file_is_continued_without_an_unfinished_line(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text('{"frame": 0}\n{"fra')
    sink = JsonlSink(str(path), Rotation(10_000, 1))
    sink.show(at(0.1), [])
    sink.close()
    assert [json.loads(line)["frame"] for line in path.read_text().splitlines()] == [0, 1]


def test_without_rotation_a_file_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("old\n")
    sink = JsonlSink(str(path))
    sink.show(at(0.1), [])
    sink.close()
    assert json.loads(path.read_text())["frame"] == 1


@pytest.mark.faults
def test_a_run_that_fails_at_its_start_overwrites_nothing(
    tmp_path: Path, clip: Path, mistake: Callable[..., str]
) -> None:
    """Whichever output cannot be opened, and if there is no picture."""
    rows, lines = tmp_path / "o.csv", tmp_path / "o.jsonl"
    for path in (rows, lines):
        path.write_text("results of yesterday\n")
    words = ("run", "--source", clip, "--show", "none", "--quiet", "--jsonl", lines)
    mistake(*words, "--csv", tmp_path / "none" / "o.csv")
    mistake(*words, "--csv", rows, "--save-video", tmp_path / "none" / "v.mp4")
    mistake(*words, "--csv", rows, "--on", "happy", "no-such-program-here")
    mistake(*words, "--csv", rows, "--model", tmp_path / "none.tflite")
    assert rows.read_text() == lines.read_text() == "results of yesterday\n"


def test_a_csv_without_faces_has_its_header(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for target in (str(tmp_path / "o.csv"), "-"):
        sink = CsvSink(target, CLASSES)
        for index in range(3):
            sink.show(at(index / 10), [])
        sink.close()
    assert (tmp_path / "o.csv").read_text() == capfd.readouterr().out == ",".join(HEADER) + "\n"


def test_a_file_with_other_columns_is_rotated(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    for foreign in ("a,b\n1,2\n", "a,b\n1,2", "a", f"{','.join(HEADER)},more\n1"):
        path.write_text(foreign)
        CsvSink(str(path), CLASSES, Rotation(10_000, 1)).close()
        assert (tmp_path / "out.csv.1").read_text() == foreign
        assert path.read_text() == ",".join(HEADER) + "\n"


@pytest.mark.parametrize("text", ["", "clock,fra", ",".join(HEADER), ",".join(HEADER) + "\n2026-01"])
def test_an_unfinished_header_or_row_is_completed(tmp_path: Path, text: str) -> None:
    path = tmp_path / "out.csv"
    path.write_text(text)
    CsvSink(str(path), CLASSES, Rotation(10_000, 1)).close()
    assert os.listdir(tmp_path) == ["out.csv"]
    assert path.read_text() == ",".join(HEADER) + "\n"


def test_a_device_is_not_rotated() -> None:
    with pytest.raises(SinkError, match="cannot be rotated"):
        JsonlSink("/dev/null", Rotation(10, 1))


@pytest.mark.faults
def test_a_pipe_that_does_not_block_gets_every_line() -> None:
    code = (
        "import os; os.set_blocking(1, False); from fer_edge.edge.sinks.line_writer import LineWriter; "
        "lines = LineWriter('-'); [lines.write(str(number) + 1000 * 'x') for number in range(300)]"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert [line.rstrip("x\n") for line in process.stdout] == [str(number) for number in range(300)]
    assert process.wait() == 0


# full disks, for which a limit on the size of files stands in

LIMIT = 1000


def limited(limit: int = LIMIT) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


FULL_DISK = """
import sys; from fer_edge.edge.errors import SinkError; from fer_edge.edge.sinks.line_writer import LineWriter, Rotation
rotation = Rotation(int(sys.argv[2]), 3) if len(sys.argv) > 2 else None
try:
    lines = LineWriter(sys.argv[1], rotation=rotation)
    for index in range(100):
        lines.write(f"{index:020d}")
except SinkError as error:
    print(error, file=sys.stderr)
"""
WHOLE = [f"{index:020d}" for index in range(LIMIT // 21)]


@pytest.mark.faults
@pytest.mark.parametrize("rotate", [(), ("100000",)])
def test_a_full_disk_leaves_whole_lines(tmp_path: Path, rotate: tuple[str, ...]) -> None:
    path = tmp_path / "out"
    command = [sys.executable, "-c", FULL_DISK, str(path), *rotate]
    done = subprocess.run(command, capture_output=True, text=True, check=True, preexec_fn=limited)
    assert done.stderr == f"{path} cannot be written: File too large\n"
    assert path.read_text().split("\n") == [*WHOLE, ""]


@pytest.mark.faults
@pytest.mark.parametrize("mode", ["w", "a"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_under_stdout_leaves_whole_lines(tmp_path: Path, mode: str, unbuffered: str) -> None:
    path = tmp_path / "out"
    path.write_text("before\n")
    with path.open(mode) as stdout:
        command = [sys.executable, "-c", FULL_DISK, "-"]
        done = subprocess.run(
            command,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: limited(LIMIT + 7),
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )
    assert done.stderr == "stdout cannot be written: File too large\n"
    expected = [*WHOLE, ""] if mode == "w" else ["before", *WHOLE, ""]
    assert path.read_text().split("\n") == expected


@pytest.mark.faults
@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("/dev/full", "No space left on device"),
        ("/proc/self/status", "Permission denied|Invalid argument|Input/output error"),
        ("/proc/none", "No such file or directory"),
        ("/", "Is a directory"),
        ("x" * 300, "File name too long"),
    ],
)
def test_the_cause_is_named(target: str, reason: str, mistake: Callable[..., str], clip: Path) -> None:
    for option in ("--jsonl", "--csv"):
        line = mistake("run", "--source", clip, "--show", "none", option, target, "--quiet")
        assert re.fullmatch(rf"fer-edge: {target} cannot be written: ({reason})", line)


@pytest.mark.faults
def test_what_a_disk_takes_only_at_the_end_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As network file systems do; the system's answer stands in for one."""
    lines = LineWriter(str(tmp_path / "o"))
    lines.write("one")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    with pytest.raises(SinkError, match="cannot be written: Input/output error"):
        lines.close()


@pytest.mark.faults
def test_a_file_that_is_not_ours_is_kept(tmp_path: Path) -> None:
    for start in ("notes without an end", "\0" * 100, "dear diary\n", "x" * (2 << 20)):
        path = tmp_path / "o.jsonl"
        path.write_text(start)
        with pytest.raises(SinkError, match="holds something else"):
            JsonlSink(str(path), Rotation(1000, 0))
        assert path.read_text() == start
        JsonlSink(str(path), Rotation(1000, 1)).close()
        assert path.read_text() == "" and (tmp_path / "o.jsonl.1").read_text() == start


@pytest.mark.faults
@pytest.mark.parametrize("torn", ['{"fra', "{", '{"frame": 3}' + 500 * "\0"])
def test_a_power_cut_costs_one_line(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "o.jsonl"
    whole = "".join(json.dumps({"frame": index}) + "\n" for index in range(3))
    path.write_text(whole + torn)
    sink = JsonlSink(str(path), Rotation(10_000, 1))
    sink.show(at(0.3), [])
    sink.close()
    assert [json.loads(line)["frame"] for line in path.read_text().splitlines()] == [0, 1, 2, 3]
