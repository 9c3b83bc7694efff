"""`fer-edge run` as a user meets it: a real process, real signals, the shipped ensemble."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import cv2
import pytest
from network_camera import COUNTS, PORTRAIT
from predictions import CLASSES
from running import ENVIRONMENT, RUN, run, scene, start, wait_for
from waiting import LIMIT

from fer_edge.edge.sinks.video import MAX_GAP


def decoded(path: Path) -> int:
    capture = cv2.VideoCapture(str(path))
    count = 0
    while capture.read()[0]:
        count += 1
    return count


def test_clip_to_jsonl_video_and_picture(clip: Path, tmp_path: Path) -> None:
    outputs = ("--jsonl", "-", "--save-video", tmp_path / "v.mp4", "--save-picture", tmp_path / "p.png")
    done = run("--source", clip, *outputs)
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [record["frame"] for record in records] == list(range(20))
    assert [record["time"] for record in records] == pytest.approx([i / 10 for i in range(20)], abs=1e-3)
    assert [len(record["faces"]) for record in records] == [1] * 15 + [0] * 5
    assert len({record["faces"][0]["track"] for record in records[:15]}) == 1
    (face,) = records[0]["faces"]
    assert list(face["scores"]) == list(CLASSES)
    assert sum(face["scores"].values()) == pytest.approx(1, abs=1e-4)
    assert face["emotion"] == max(face["scores"], key=face["scores"].get)
    x, y, width, height = face["box"]
    assert x < 20 + 240 * 0.44 < x + width  # her nose
    assert y < 240 * 0.24 < y + height
    assert decoded(tmp_path / "v.mp4") == 20
    assert cv2.imread(str(tmp_path / "p.png")).shape == (240, 320, 3)
    assert sorted(os.listdir(tmp_path)) == ["p.png", "v.mp4"]
    for word in (
        "source: ",
        "model: ensemble",
        "detector: yunet, every 4 to 16 frames",
        "20 frames, 15 faces",
        "detect ",
        "classify",
    ):
        assert word in done.stderr


@pytest.mark.slow
def test_text_is_quiet(clip: Path) -> None:
    done = run("--source", clip, "--show", "text")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert 2 <= len(lines) < 15
    assert lines[-1].endswith("no face")
    assert run("--source", clip, "--show", "none").stdout == ""


@pytest.mark.parametrize(("limit", "frames"), [(("--max-frames", "7"), 7), (("--duration", "0.5"), 5)])
def test_limits(clip: Path, limit: tuple[str, str], frames: int) -> None:
    done = run("--source", clip, "--jsonl", "-", *limit)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == frames


def test_cut_clip_keeps_its_results_and_exits_2(clip: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.avi"
    cut.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    done = run("--source", cut, "--jsonl", "-", "--save-video", tmp_path / "v.mp4")
    assert done.returncode == 2
    count = len(done.stdout.splitlines())
    assert 5 <= count < 15
    assert (
        done.stderr.splitlines()[-1]
        == f"fer-edge: {cut} is cut off or damaged: only {count} of 20 frames could be read"
    )
    assert decoded(tmp_path / "v.mp4") == count


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--camera", "99"), "camera 99 gives no pictures: V4L2: /dev/video99 does not exist"),
        (("--camera", "/dev/video99"), "/dev/video99 does not exist"),
        (("--source", "nowhere.mp4"), "nowhere.mp4: no such file"),
        (("--source", __file__), "is not a readable video"),
        (("--source", "http://127.0.0.1:9/"), "cannot be opened as a stream"),
        (("--source", PORTRAIT, "--model", "no_such_model"), "unknown model 'no_such_model'"),
        (("--source", PORTRAIT, "--detector", "no_such_detector"), "no_such_detector"),
    ],
)
def test_mistakes_cost_one_line(mistake: Callable[..., str], words: tuple[str | Path, ...], message: str) -> None:
    assert message in mistake("run", *words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--save-video", "/no/such/folder/v.mp4"), "not a writable folder"),
        (("--save-video", "v.mpeg"), "expected a name that ends in .mp4, "),
        (("--save-video", "/dev/full"), "expected a name that ends in .mp4, "),
        (("--save-picture", "/no/such/folder/p.png"), "not a writable folder"),
        (("--jsonl", "/no/such/folder/o.jsonl"), "cannot be written"),
        (("--show", "window"), "there is no display"),
    ],
)
def test_outputs_that_cannot_be_cost_one_line(
    mistake: Callable[..., str], clip: Path, words: tuple[str, str], message: str
) -> None:
    assert message in mistake("run", "--source", clip, *words)


@pytest.mark.parametrize("option", ["--jsonl", "--csv", "--save-video", "--save-picture"])
@pytest.mark.parametrize("source", ["film.avi", "."])
def test_no_source_is_overwritten(
    mistake: Callable[..., str], clip: Path, tmp_path: Path, source: str, option: str
) -> None:
    """By whatever name it is given: a folder's picture, a link."""
    film, photo, link = tmp_path / "film.avi", tmp_path / "photo.png", tmp_path / "link"
    film.write_bytes(clip.read_bytes())
    photo.write_bytes(cv2.imencode(".png", scene(0))[1].tobytes())
    link.symlink_to("photo.png" if source == "." else source)
    before = film.read_bytes(), photo.read_bytes()
    line = mistake("run", "--source", tmp_path / source, option, link)
    assert line == f"fer-edge: {option}: {link} is what --source reads; give another name"
    assert (film.read_bytes(), photo.read_bytes()) == before


def test_a_mistake_costs_one_line_in_a_process_of_its_own() -> None:
    done = run("--source", "http://127.0.0.1:9/")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("fer-edge: http://127.0.0.1:9/ cannot be opened as a stream")


def test_full_disk_under_stdout_is_one_line(clip: Path) -> None:
    with open("/dev/full", "w") as full:
        command = [*RUN, "--source", str(clip), "--jsonl", "-"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, timeout=LIMIT)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "fer-edge: stdout cannot be written: No space left on device"
    assert "Traceback" not in done.stderr


def test_options_that_exclude_each_other(clip: Path) -> None:
    for words in (("--camera", "0"), ("--show", "text", "--jsonl", "-")):
        done = run("--source", clip, *words)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr


def test_reader_that_has_seen_enough(clip: Path) -> None:
    """As in `fer-edge run … | head -1`."""
    process = start("--source", clip, "--jsonl", "-")
    assert process.stdout is not None
    assert process.stderr is not None
    assert json.loads(process.stdout.readline())["frame"] == 0
    process.stdout.close()
    errors = process.stderr.read()
    assert process.wait(LIMIT) == 0
    assert "Traceback" not in errors
    assert "BrokenPipe" not in errors


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "suffix"), [(signal.SIGINT, ".mp4"), (signal.SIGTERM, ".avi"), (signal.SIGHUP, ".mp4")]
)
def test_signals_leave_whole_files(camera: str, tmp_path: Path, number: signal.Signals, suffix: str) -> None:
    """A live stream, stopped by the user: exit code 0, complete JSON lines, a video that plays."""
    lines, video = tmp_path / "o.jsonl", tmp_path / f"v{suffix}"
    process = start("--source", camera, "--jsonl", lines, "--save-video", video)
    try:
        wait_for(process, lambda: lines.exists() and lines.read_text().count("\n") >= 15)
        process.send_signal(number)
        _, errors = process.communicate(timeout=LIMIT)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    assert len(records) >= 15
    indices = [record["frame"] for record in records]
    assert indices == sorted(set(indices))
    assert f"{len(records)} frames" in errors
    fps = cv2.VideoCapture(str(video)).get(cv2.CAP_PROP_FPS)
    seconds = sum(min(b["time"] - a["time"], MAX_GAP) for a, b in pairwise(records))
    assert decoded(video) == pytest.approx(fps * seconds + 1, rel=0.01, abs=1)  # the file rounds its rate
    assert sorted(os.listdir(tmp_path)) == sorted(["o.jsonl", video.name])


def fell_silent(lines: Path) -> bool:
    """Whether the last picture of /silent was seen; of a later connection where loading the networks took so long."""
    whole = lines.read_text().split("\n")[:-1] if lines.exists() else []
    return any(json.loads(line)["frame"] % COUNTS["/silent"] == COUNTS["/silent"] - 1 for line in whole)


@pytest.mark.slow
def test_signal_while_nothing_comes(camera: str, tmp_path: Path) -> None:
    lines = tmp_path / "o.jsonl"
    process = start("--source", f"{camera}silent", "--jsonl", lines)
    try:
        wait_for(process, lambda: fell_silent(lines))
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=LIMIT)
    finally:
        process.kill()
    assert process.returncode == 0, errors


@pytest.mark.slow
def test_camera_that_falls_silent_exits_2(camera: str, tmp_path: Path) -> None:
    video = tmp_path / "v.mp4"
    done = run("--source", f"{camera}silent", "--show", "none", "--save-video", video, "--reconnect-timeout", 0)
    assert done.returncode == 2
    assert "no picture for" in done.stderr.splitlines()[-1]
    assert decoded(video) >= 1


def test_pictures_are_not_tracked(tmp_path: Path) -> None:
    for name in ("b.png", "a.png"):
        cv2.imwrite(str(tmp_path / name), scene(0))
    (tmp_path / "c.png").write_bytes(b"no picture")
    done = run("--source", tmp_path, "--jsonl", "-")
    assert done.returncode == 2
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [face["track"] for record in records for face in record["faces"]] == [None, None]
    assert "1 of 3 pictures could not be read" in done.stderr.splitlines()[-1]
