"""An output that another program renames, removes or empties while it is written: logrotate, rm, a replaced folder."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from predictions import CLASSES, at, face
from running import all_lines, start, wait_for

from fer_edge.edge.errors import SinkError
from fer_edge.edge.sinks.csv import COLUMNS, CsvSink
from fer_edge.edge.sinks.jsonl import JsonlSink
from fer_edge.edge.sinks.line_writer import LineWriter, Rotation

pytestmark = pytest.mark.faults

ROTATIONS = [None, Rotation(10_000, 2)]
HEADER = ",".join((*COLUMNS, *CLASSES))


def rename(path: Path) -> None:
    path.rename(path.with_name("old"))


def rename_and_create(path: Path) -> None:
    rename(path)
    path.touch()


def replace(path: Path) -> None:
    """As editors and `sed -i` do: the same lines in another file."""
    shutil.copy(path, path.with_name("new"))
    path.with_name("new").replace(path)


def copy_and_truncate(path: Path) -> None:
    shutil.copy(path, path.with_name("old"))
    os.truncate(path, 0)


def link_elsewhere(path: Path) -> None:
    rename(path)
    path.symlink_to(path.with_name("elsewhere"))


@pytest.mark.parametrize("change", [rename, rename_and_create, replace, copy_and_truncate, link_elsewhere])
@pytest.mark.parametrize("rotation", ROTATIONS)
def test_no_row_is_lost_when_a_file_is_rotated_by_others(
    tmp_path: Path, change: Callable[[Path], None], rotation: Rotation | None
) -> None:
    path, sink = tmp_path / "o.csv", CsvSink(str(tmp_path / "o.csv"), CLASSES, rotation)
    for index in range(20):
        if index in (7, 12):
            change(path)
            (tmp_path / "old").rename(tmp_path / f"old{index}") if (tmp_path / "old").exists() else None
        sink.show(at(index / 10), [face("happy")])
    sink.close()
    files = [each for each in sorted(tmp_path.iterdir()) if not each.is_symlink()]
    rows = [each.read_text().splitlines() for each in files]
    assert {lines[0] for lines in rows} == {HEADER}
    assert {int(row.split(",")[1]) for lines in rows for row in lines[1:]} == set(range(20))
    assert path.read_text().startswith(HEADER) and int(path.read_text().splitlines()[-1].split(",")[1]) == 19


@pytest.mark.parametrize("rotation", ROTATIONS)
def test_a_removed_file_is_begun_again(tmp_path: Path, rotation: Rotation | None, messages: list[str]) -> None:
    path, sink = tmp_path / "o.jsonl", JsonlSink(str(tmp_path / "o.jsonl"), rotation)
    for index in range(10):
        if index == 4:
            path.unlink()
        sink.show(at(index / 10), [])
    sink.close()
    assert [json.loads(line)["frame"] for line in path.read_text().splitlines()] == list(range(4, 10))
    assert messages == [f"{path} was renamed or removed, and is begun again"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_removed_between_check_and_write_loses_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "o"
    lines, write, removed = LineWriter(str(path)), os.write, []

    def remove_and_write(descriptor: int, data: bytes) -> int:
        if not removed:
            removed.append(path.unlink())
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", remove_and_write)
    lines.write("one")
    lines.write("two")
    lines.close()
    assert path.read_text() == "one\ntwo\n"


def test_a_replaced_folder_is_followed_and_a_missing_one_ends_the_run(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    lines = LineWriter(str(folder / "o"))
    lines.write("one")
    folder.rename(tmp_path / "old")
    folder.mkdir()
    lines.write("two")
    assert (folder / "o").read_text() == "two\n"
    shutil.rmtree(folder)
    with pytest.raises(SinkError, match=r"o cannot be written: No such file or directory"):
        lines.write("three")
    lines.close()
    assert (tmp_path / "old" / "o").read_text() == "one\n"


def test_a_new_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "o.csv"
    sink = CsvSink(str(path), CLASSES)
    path.unlink()
    path.write_text("dear diary\n")
    with pytest.raises(SinkError, match="holds something else"):
        sink.show(at(0.1), [face("happy")])
    assert path.read_text() == "dear diary\n"


@pytest.mark.parametrize("rotation", ROTATIONS)
def test_a_file_that_becomes_a_pipe_ends_the_run(tmp_path: Path, rotation: Rotation | None) -> None:
    """Its reader may never come."""
    path = tmp_path / "o.jsonl"
    sink = JsonlSink(str(path), rotation)
    sink.show(at(0), [])
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(SinkError, match="was replaced by a pipe"):
        sink.show(at(1), [])
    sink.close()


@pytest.mark.parametrize("removed", ["file", "folder"])
def test_a_run_never_goes_on_in_a_removed_file(camera: str, tmp_path: Path, removed: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "o.jsonl"
    process = start("--source", camera, "--show", "none", "--jsonl", path)
    wait_for(process, lambda: path.exists() and len(path.read_text().splitlines()) > 2)
    path.rename(tmp_path / "old")
    if removed == "folder":
        folder.rmdir()
        assert process.wait(60) == 2
        lines = (tmp_path / "old").read_text().splitlines()
    else:
        wait_for(process, lambda: path.exists() and len(path.read_text().splitlines()) > 2)
        process.terminate()
        assert process.wait(60) == 0
        lines = (tmp_path / "old").read_text().splitlines() + all_lines(path)
    frames = [json.loads(line)["frame"] for line in lines]
    assert frames == sorted(set(frames))
    error = process.communicate()[1].splitlines()[-1]
    assert (error == f"fer-edge: {path} cannot be written: No such file or directory") == (removed == "folder")
