"""One file for two outputs, for an output and an input, or for two processes; the permissions of new files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from predictions import CLASSES, GRAY, at, face
from running import ENVIRONMENT, RUN, all_lines, run, start, wait_for
from waiting import LIMIT

from fer_edge.edge.cli import main
from fer_edge.edge.errors import SinkError
from fer_edge.edge.sinks.album import Album
from fer_edge.edge.sinks.csv import CsvSink
from fer_edge.edge.sinks.jsonl import JsonlSink
from fer_edge.edge.sinks.line_writer import LineWriter, Rotation
from fer_edge.edge.sinks.locks import FileLock, FolderLock
from fer_edge.edge.sinks.output_paths import refuse_shared_files
from fer_edge.edge.sinks.picture import write_picture
from fer_edge.edge.sinks.snapshot import SnapshotSink
from fer_edge.models import FOLDER

pytestmark = pytest.mark.faults

YUNET = FOLDER / "face" / "yunet_int8.tflite"

# one file for two options


@pytest.fixture
def refused(mistake: Callable[..., str], clip: Path, tmp_path: Path) -> Callable[..., str]:
    """The error of a run with these outputs, which leaves every file as it was."""

    def error(*words: object) -> str:
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        line = mistake("run", "--source", clip, "--show", "none", *words)
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
        return line

    return error


def test_two_outputs_are_two_files(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "folder").symlink_to(tmp_path)
    one = tmp_path / "one.avi"
    for other in (one, tmp_path / "sub" / ".." / "one.avi", tmp_path / "folder" / "one.avi", os.path.relpath(one)):
        for first, second in (("--jsonl", "--csv"), ("--jsonl", "--save-video"), ("--csv", "--snapshot-dir")):
            assert refused(first, one, second, other).startswith(f"fer-edge: {second}: {other} is written by {first}")
    picture = tmp_path / "one.png"
    assert "is written by --jsonl" in refused("--jsonl", picture, "--save-picture", picture)
    assert "is written by --csv" in refused("--csv", one, "--save-video", one)


def test_two_names_of_a_file_are_one_output(refused: Callable[..., str], tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_text("precious\n")
    (tmp_path / "hard").hardlink_to(old)
    (tmp_path / "soft").symlink_to(old)
    (tmp_path / "dangling").symlink_to(tmp_path / "new")
    for first, second in (("old", "hard"), ("old", "soft"), ("hard", "soft"), ("new", "dangling")):
        assert "is written by --jsonl" in refused("--jsonl", tmp_path / first, "--csv", tmp_path / second)


def test_rotated_names_are_taken(refused: Callable[..., str], tmp_path: Path) -> None:
    rotated = ("--rotate-mb", 1, "--rotate-keep", 3)
    for csv in ("x.1", "x.3"):
        assert "is written by --jsonl" in refused("--jsonl", tmp_path / "x", "--csv", tmp_path / csv, *rotated)
    assert "is written by --csv" in refused("--csv", tmp_path / "x", "--save-video", tmp_path / "x.2", *rotated)
    done = run("--source", "nothere", "--jsonl", tmp_path / "x", "--csv", tmp_path / "x.4", *map(str, rotated))
    assert "written by" not in done.stderr


def test_stdout_takes_one_output(clip: Path, tmp_path: Path) -> None:
    for words in (("--jsonl", "-", "--csv", "-"), ("--csv", "-", "--show", "text")):
        done = run("--source", clip, *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.count("\n") == 1 and "both use stdout" in done.stderr
    log = tmp_path / "log"
    for option in ("--jsonl", "--csv"):
        with log.open("w") as stderr:
            command = [*RUN, "--source", str(clip), "--show", "none", option, str(log)]
            done = subprocess.run(command, stderr=stderr, env=ENVIRONMENT, timeout=LIMIT, check=False)
        assert done.returncode == 2
        assert log.read_text() == f"fer-edge: {option}: {log} is where stderr goes; give another name\n"


def test_text_leaves_a_redirected_stdout_to_json(clip: Path) -> None:
    done = run("--source", clip, "--jsonl", "/dev/stdout", "--max-frames", "3")
    assert done.returncode == 0, done.stderr
    assert [line[:10] for line in done.stdout.splitlines()] == ['{"frame": '] * 3


def test_devices_take_any_number_of_outputs(clip: Path) -> None:
    done = run("--source", clip, "--show", "none", "--jsonl", os.devnull, "--csv", os.devnull, "--max-frames", "2")
    assert done.returncode == 0, done.stderr


# one file for an output and an input


@pytest.mark.parametrize("option", ["--jsonl", "--csv", "--save-video", "--save-picture", "--snapshot-dir"])
def test_no_input_is_overwritten(
    option: str, mistake: Callable[..., str], clip: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, config = model_folder / "mobilenet_v2_int8.tflite", model_folder / "my.toml"
    config.write_text("")
    source, authority = model_folder / "clip.avi", model_folder / "ca.crt"
    shutil.copy(clip, source)
    authority.write_bytes(b"")
    program, other = model_folder / "notify", model_folder / "other.crt"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    other.touch()
    before = {path: path.read_bytes() for path in model_folder.iterdir()}
    words = ("--config", config, "run", "--show", "none", "--source", source, "--mqtt-ca", authority)
    words += ("--on", "happy", f"{program} now", "--source-ca", other)
    ensemble = model_folder / "ensemble.json"
    for path in (source, config, model, model.with_suffix(".json"), authority, other, program, YUNET):
        line = mistake(*words, "--model", model, option, path)
        assert line.startswith(f"fer-edge: {option}: {path} is what --") and line.endswith("reads; give another name")
    for path in (ensemble, model):
        assert "is what --model reads" in mistake(*words, "--model", ensemble, option, path)
    monkeypatch.chdir(model_folder)
    (model_folder / "link").symlink_to(model_folder)
    for name in ("clip.avi", "./clip.avi", "link/clip.avi"):
        for read in (source, f"file:{source}", f"file://{source}", f"gst:filesrc location={source} ! appsink"):
            assert "is what --source reads" in mistake("run", "--source", read, option, name)
    assert {path: path.read_bytes() for path in before} == before


# two processes on one file


def other_process(code: str) -> subprocess.Popen[str]:
    """A process that runs the code, which has an `output` then, and keeps it until its stdin is closed."""
    code = f"{code}; print('open', flush=True); input()"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "open\n"
    return process


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("--jsonl", "o"),
        ("--csv", "o"),
        ("--snapshot-dir", "folder"),
        ("--save-video", "v.avi"),
        ("--save-picture", "p.png"),
    ],
)
def test_the_second_of_two_processes_is_refused(
    option: str, name: str, camera: str, mistake: Callable[..., str], clip: Path, tmp_path: Path
) -> None:
    output = tmp_path / name
    other, lines = "--jsonl" if option == "--csv" else "--csv", tmp_path / "lines"
    first = start("--source", camera, "--show", "none", option, output, other, lines)
    try:
        wait_for(first, lambda: lines.exists() and lines.stat().st_size > 0)
        link = tmp_path / f"link{output.suffix}"
        os.symlink(output, link)
        for path in (output, link):
            for rotated in ((), ("--rotate-mb", 1, other, tmp_path / "other")):
                line = mistake("run", "--source", clip, "--show", "none", *rotated, option, path)
                assert line == f"fer-edge: {path} is in use by another fer-edge process; give each run its own"
    finally:
        first.kill()
        first.communicate()
    # the kernel has released the lock of the process that was killed
    done = CliRunner().invoke(main, ["run", "--source", str(clip), "--show", "none", option, str(output)])
    assert done.exit_code == 0, done.stderr


def test_a_rotated_file_stays_locked(tmp_path: Path) -> None:
    path = tmp_path / "o.jsonl"
    code = (
        "from fer_edge.edge.sinks.line_writer import LineWriter, Rotation; "
        f"output = LineWriter({str(path)!r}, rotation=Rotation(100, 2)); "
        "[output.write(str(number) * 10) for number in range(30)]"
    )
    other = other_process(code)
    before = all_lines(path)
    with pytest.raises(SinkError, match="in use by another"):
        LineWriter(str(path))
    assert all_lines(path) == before
    other.communicate("\n")


def test_locks_of_files_and_folders(tmp_path: Path) -> None:
    """A file that is replaced in the end is locked beside its name, and nothing is left of that."""
    video = tmp_path / "v.mp4"
    code = (
        f"import pathlib; from fer_edge.edge.sinks import locks; output = locks.FileLock(pathlib.Path({str(video)!r}))"
    )
    other = other_process(code)
    (tmp_path / "link.mp4").symlink_to(video)
    for path in (video, tmp_path / "link.mp4"):
        with pytest.raises(SinkError, match=rf"{path} is in use by another fer-edge process"):
            FileLock(path)
    other.communicate("\n")
    lock = FileLock(video)
    lock.close()
    assert sorted(os.listdir(tmp_path)) == ["link.mp4"]
    with FolderLock(tmp_path), pytest.raises(SinkError, match="in use by another"):
        FolderLock(tmp_path)
    FolderLock(tmp_path).close()


def test_a_file_system_without_locks_costs_a_warning(
    tmp_path: Path, messages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's answer there stands in for it, as none can be mounted here."""
    monkeypatch.setattr("fcntl.flock", lambda *_: (_ for _ in ()).throw(OSError(37, "No locks available")))
    LineWriter(str(tmp_path / "o")).close()
    (message,) = messages
    assert f"{tmp_path / 'o'} cannot be locked (No locks available)" in message


# permissions


def test_new_files_are_their_owners_alone(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        JsonlSink(str(tmp_path / "o.jsonl")).close()
        CsvSink(str(tmp_path / "o.csv"), CLASSES).close()
        write_picture(tmp_path / "made" / "here" / "o.png", GRAY)
        Album(tmp_path / "album").add(Path("o.jpg"), at(0.0), [])
        sink = SnapshotSink(tmp_path / "shots" / "today", CLASSES, CLASSES, keep=1)
        for index in range(8):
            sink.show(at(index / 10), [face("happy")])
        sink.close()
    finally:
        os.umask(old)
    made = [(path.is_dir(), oct(path.stat().st_mode & 0o777)) for path in tmp_path.rglob("*")]
    assert sorted(made) == [(False, "0o600")] * 5 + [(True, "0o700")] * 5


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o604])
def test_files_that_exist_keep_their_permissions(tmp_path: Path, mode: int) -> None:
    lines, picture, link = tmp_path / "o.jsonl", tmp_path / "o.png", tmp_path / "link.png"
    link.symlink_to(picture)
    for path in (lines, picture):
        path.touch()
        path.chmod(mode)
    JsonlSink(str(lines)).close()
    write_picture(link, GRAY)
    assert [path.stat().st_mode & 0o777 for path in (lines, picture)] == [mode, mode]
    assert link.is_symlink() and picture.stat().st_size > 0


def test_a_folder_that_is_shared_shares_its_new_files(tmp_path: Path) -> None:
    """chmod g+s, for a group; others have no access there either."""
    tmp_path.chmod(0o2775)
    sink = JsonlSink(str(tmp_path / "o.jsonl"))
    sink.close()
    write_picture(tmp_path / "made" / "o.png", GRAY)
    made = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert made == {"o.jsonl": 0o640, "made": 0o750, "o.png": 0o640}


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_file_that_goes_on_keeps_the_permissions_of_the_one_before(tmp_path: Path, mode: int) -> None:
    """After our own rotation and after somebody else's; one that somebody has created keeps its own."""
    path = tmp_path / "o"
    path.touch()
    path.chmod(mode)
    lines = LineWriter(str(path), rotation=Rotation(30, 3))
    for _ in range(4):
        lines.write("x" * 20)
    path.rename(tmp_path / "moved")
    lines.write("y")
    assert {each.stat().st_mode & 0o777 for each in tmp_path.iterdir()} == {mode}
    path.rename(tmp_path / "moved again")
    path.touch(0o620)
    path.chmod(0o620)
    lines.write("z")
    lines.close()
    assert path.read_text() == "z\n" and path.stat().st_mode & 0o777 == 0o620


def test_a_device_is_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "p.png"
    os.mkfifo(pipe)
    with pytest.raises(SinkError, match="it is no regular file"):
        write_picture(pipe, GRAY)
    assert pipe.is_fifo()


def test_outputs_of_any_command_are_compared(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    refuse_shared_files({"--out": [tmp_path / "b"], "--html": [tmp_path / "c"]}, {"MODEL": [tmp_path / "a"]})
    for outputs in ({"--out": [tmp_path / "a"]}, {"--out": ["-"], "--html": ["-"]}):
        with pytest.raises(SinkError):
            refuse_shared_files(outputs, {"MODEL": [tmp_path / "a"]})
