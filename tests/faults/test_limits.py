"""`fer-edge run` with every output that is a file: signals at random moments, limits of the system, other processes."""

from __future__ import annotations

import ast
import csv
import json
import os
import random
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from fault_tables import ROOT
from predictions import CLASSES
from running import ENVIRONMENT, RUN, start, wait_for
from waiting import LIMIT, until

from fer_edge.edge.errors import shortage
from fer_edge.edge.sinks.csv import COLUMNS
from fer_edge.edge.sinks.snapshot import snapshot_name

pytestmark = [pytest.mark.faults, pytest.mark.slow]

MB = 1_000_000


def outputs(folder: Path, video: str = "v.mp4") -> list[str]:
    """The options of every output that is a file, and of a command."""
    names = {"--jsonl": "o.jsonl", "--csv": "o.csv", "--save-video": video, "--save-picture": "p.png"}
    words = [word for option, name in names.items() for word in (option, str(folder / name))]
    return [*words, "--snapshot-dir", str(folder / "s"), "--hold", "0", "--cooldown", "0", "--on", "happy", "true"]


@contextmanager
def started(*words: str | Path) -> Iterator[subprocess.Popen[str]]:
    """`fer-edge run` in the background, which does not outlive the test."""
    process = start(*words)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def lines_of(path: Path) -> list[str]:
    """The lines of a file, each of which must be whole; none where there is no file."""
    if not path.exists():
        return []
    *lines, end = path.read_bytes().decode().split("\n")
    assert end == "", f"{path.name} ends in the middle of a line"
    return lines


HEADER = [*COLUMNS, *CLASSES]


def check_outputs(folder: Path) -> int:
    """Check that everything in the outputs is whole; the number of frames."""
    frames = [json.loads(line) for line in lines_of(folder / "o.jsonl")]
    assert [frame["frame"] for frame in frames] == sorted({frame["frame"] for frame in frames})
    rows = list(csv.reader(lines_of(folder / "o.csv")))
    assert all(len(row) == len(HEADER) for row in rows) and rows[:1] in ([], [HEADER])
    assert len(rows[1:]) in (sum(len(frame["faces"]) for frame in frames) + each for each in (-1, 0, 1))
    for path in folder.glob("s/*"):
        assert snapshot_name(CLASSES).fullmatch(path.name) is None or cv2.imread(str(path)) is not None
    if (folder / "p.png").exists():
        assert cv2.imread(str(folder / "p.png")) is not None
    return len(frames)


def has_bytes(path: Path, size: int) -> bool:
    return path.exists() and path.stat().st_size >= size


def has_lines(path: Path, count: int) -> bool:
    return path.exists() and path.read_bytes().count(b"\n") >= count


def frames_in(path: Path) -> int:
    """The number of pictures that can be read from a video."""
    capture, count = cv2.VideoCapture(str(path)), 0
    while capture.read()[0]:
        count += 1
    return count


# signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_outputs_are_whole_after_a_signal_at_any_moment(
    number: signal.Signals, clip: Path, tmp_path: Path, cases: Callable[[int, int], int]
) -> None:
    chance = random.Random(int(number))
    for case in range(cases(2, 67)):
        folder = tmp_path / str(case)
        folder.mkdir()
        lines = folder / "o.jsonl"
        video = chance.choice(["v.mp4", "v.avi"])
        with started("--source", clip, "--loop", "--show", "none", *outputs(folder, video)) as process:
            wait_for(process, partial(has_bytes, lines, chance.choice([0, 0, chance.randrange(1, 4000)])))
            time.sleep(chance.random() * 0.3)  # the moment is what is tested
            begun = lines.exists() and lines.stat().st_size > 0
            process.send_signal(number)
            errors = process.communicate(timeout=LIMIT)[1]
        assert "Traceback" not in errors
        expected = {0} if begun and number != signal.SIGKILL else {0, 128 + number, -number}
        assert process.returncode in expected, errors
        shown = check_outputs(folder)
        videos = [path for path in folder.glob("v*") if path.stat().st_size]
        if shown > 12:  # by then the frame rate has been measured, and the first pictures are written
            assert len(videos) == 1 and frames_in(videos[0]) > 0
        left = {path.name for path in folder.iterdir()} - {"o.jsonl", "o.csv", "s", "p.png", "v.mp4", "v.avi"}
        if shown == 0:  # a signal right after the creation of a file leaves it, empty
            left -= {path.name for path in folder.glob("v.part.*") if not path.stat().st_size}
        assert left == set() or number == signal.SIGKILL


def test_a_stopped_process_goes_on(camera: str, tmp_path: Path) -> None:
    """SIGSTOP for longer than a camera's and a viewer's patience of tens of milliseconds; then SIGCONT."""
    with started("--source", camera, "--show", "none", "--web", "127.0.0.1:0", *outputs(tmp_path)) as process:
        lines = tmp_path / "o.jsonl"
        wait_for(process, partial(has_lines, lines, 5))
        process.send_signal(signal.SIGSTOP)
        until(lambda: Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
        time.sleep(2.0)  # what is tested
        before = len(lines_of(lines))
        process.send_signal(signal.SIGCONT)
        wait_for(process, partial(has_lines, lines, before + 10))
        process.terminate()
        errors = process.communicate(timeout=LIMIT)[1]
        assert (process.returncode, "Traceback" in errors) == (0, False), errors
        assert check_outputs(tmp_path) >= before + 5
        assert frames_in(tmp_path / "v.mp4") > 0


# limits


def run_limited(clip: Path, folder: Path, limits: dict[int, int], *words: str) -> subprocess.CompletedProcess[str]:
    """A run with everything on, under limits of the system."""

    def limit() -> None:
        for kind, value in limits.items():
            resource.setrlimit(kind, (value, value))

    command = [*RUN, "--source", str(clip), "--show", "none", "--quiet", *outputs(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=LIMIT, preexec_fn=limit)


@pytest.mark.parametrize("files", [16, 20, 22, 24, 64])
def test_few_open_files(clip: Path, tmp_path: Path, files: int) -> None:
    done = run_limited(clip, tmp_path, {resource.RLIMIT_NOFILE: files})
    check_outputs(tmp_path)
    assert not list(tmp_path.glob(".*")) and not list(tmp_path.glob("*.part*"))
    assert done.returncode in ({0} if files >= 64 else {0, 2}), done.stderr
    assert done.stderr.count("\n") == (done.returncode == 2)
    assert done.returncode == 0 or done.stderr.startswith("fer-edge: ")


@pytest.mark.parametrize("megabytes", [300, 4000])
def test_little_address_space(clip: Path, tmp_path: Path, megabytes: int) -> None:
    """Too little for the libraries. A little more than that, and it is one of them that ends the process."""
    done = run_limited(clip, tmp_path, {resource.RLIMIT_AS: megabytes * MB})
    check_outputs(tmp_path)
    errors = [line for line in done.stderr.splitlines() if not line.startswith("INFO: ")]
    assert done.returncode == (0 if megabytes == 4000 else 2), done.stderr
    assert len(errors) == (done.returncode == 2) and all("not enough memory" in line for line in errors)


def test_what_the_system_lacks_is_said() -> None:
    sizes = {np.empty: ((1 << 40, 1 << 15), np.uint8), cv2.resize: (np.zeros((9, 9), np.uint8), (1 << 30, 1 << 30))}
    for function, arguments in sizes.items():
        with pytest.raises((MemoryError, cv2.error)) as caught:
            function(*arguments)
        assert "not enough memory" in (shortage(caught.value) or "")
    library = OSError("libLiteRt.so: failed to map segment from shared object")
    for error in (library, ImportError(str(library)), OSError(24, "Too many open files"), RuntimeError(NO_THREAD)):
        assert "raise the limit" in (shortage(error) or "")
    assert shortage(OSError(2, "No such file or directory")) is shortage(RuntimeError("?")) is None


NO_THREAD = "can't start new thread"


@pytest.mark.parametrize("size", [1, 5_000, 60_000])
def test_a_limit_on_the_size_of_files(clip: Path, tmp_path: Path, size: int) -> None:
    done = run_limited(clip, tmp_path, {resource.RLIMIT_FSIZE: size})
    check_outputs(tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("fer-edge: ")


# other processes


def test_two_runs_with_the_same_outputs(clip: Path, camera: str, tmp_path: Path) -> None:
    """The second ends with one line, and the first does not notice; so with the port of the live page."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    page = ["--web", f"127.0.0.1:{port}"]
    with started("--source", camera, "--show", "none", *outputs(tmp_path), *page) as first:
        lines = tmp_path / "o.jsonl"
        wait_for(first, partial(has_lines, lines, 5))
        for words in (outputs(tmp_path), page):
            command = [*RUN, "--source", str(clip), "--show", "none", "--quiet", *words]
            done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=LIMIT)
            assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
            assert done.stderr.startswith("fer-edge: ") and " in use" in done.stderr
        before = len(lines_of(lines))
        wait_for(first, partial(has_lines, lines, before + 5))
        first.terminate()
        errors = first.communicate(timeout=LIMIT)[1]
        assert first.returncode == 0, errors
        assert check_outputs(tmp_path) >= before + 5


@pytest.mark.parametrize("model", ["ensemble.json", "mobilenet_v2_int8.tflite"])
def test_models_may_be_replaced_during_a_run(model: str, camera: str, model_folder: Path, tmp_path: Path) -> None:
    """As `cp` does it: emptied, then written again."""
    folder = tmp_path / "out"
    folder.mkdir()
    with started("--source", camera, "--show", "none", "--model", model_folder / model, *outputs(folder)) as process:
        lines = folder / "o.jsonl"
        wait_for(process, partial(has_lines, lines, 5))
        for path in model_folder.glob("*.*"):
            os.truncate(path, 0)
        before = len(lines_of(lines))
        wait_for(process, partial(has_lines, lines, before + 10))
        for path in model_folder.glob("*.tflite"):
            path.write_bytes(bytes(4 * MB))
        before = len(lines_of(lines))
        wait_for(process, partial(has_lines, lines, before + 10))
        process.terminate()
        errors = process.communicate(timeout=LIMIT)[1]
        assert process.returncode == 0, errors
        check_outputs(folder)


# clocks


WALL_CLOCKS = {"time.time", "time.time_ns", "time", "time_ns", "datetime.now", "datetime.utcnow", "date.today"}


def wall_clock_readers() -> set[str]:
    """Modules of the device's runtime that read the clock that may jump, below edge/."""
    found = set()
    for path in (ROOT / "edge").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if called in (
                "time.time",
                "time.time_ns",
                "time",
                "time_ns",
                "datetime.now",
                "datetime.utcnow",
                "date.today",
            ):
                found.add(str(path.relative_to(ROOT / "edge")))
    return found


def test_durations_are_measured_by_the_clock_that_never_jumps() -> None:
    """The other one is read for dates in results and names alone: setting it in a test would set the machine's."""
    dates = {"sinks/csv.py", "sinks/snapshot.py", "sinks/recording/recorder.py", "sinks/mqtt/payload.py"}
    assert wall_clock_readers() == {*dates, "web/state.py", "device/host_info.py", "commands/fleet/watch.py"}
