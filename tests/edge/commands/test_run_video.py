"""`fer-edge run --save-video` that ends in the middle of a recording."""

from __future__ import annotations

import json
import os
import resource
from functools import partial
from pathlib import Path

import cv2
import pytest
from running import run, start, wait_for
from waiting import LIMIT


def decoded(path: Path) -> int:
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    count = 0
    while capture.read()[0]:
        count += 1
    return count


@pytest.mark.faults
@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".avi"])
def test_a_video_that_cannot_grow_keeps_all_outputs_so_far(clip: Path, tmp_path: Path, suffix: str) -> None:
    """As with `ulimit -f`: one line with the cause, and what was written plays."""
    video, lines, table = tmp_path / f"v{suffix}", tmp_path / "o.jsonl", tmp_path / "o.csv"
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (60_000, 60_000))
    outputs = ("--save-video", video, "--jsonl", lines, "--csv", table, "--show", "none")
    done = run("--source", clip, *outputs, preexec_fn=limit)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    frames = decoded(video)
    assert last.startswith(f"fer-edge: {video} cannot be written: File too large")
    assert f"the {frames} pictures before it are kept" in last
    assert 1 <= frames < 20
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [record["frame"] for record in records] == list(range(len(records)))
    assert len(records) > frames
    assert len(table.read_text().splitlines()) == 1 + sum(len(record["faces"]) for record in records)
    assert sorted(os.listdir(tmp_path)) == sorted(["o.csv", "o.jsonl", video.name])


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_a_killed_run_leaves_a_video_that_plays(camera: str, tmp_path: Path, suffix: str) -> None:
    """SIGKILL, as by the kernel when memory runs out; a second run keeps what the first one has left."""
    lines, video, part = tmp_path / "o.jsonl", tmp_path / f"v{suffix}", tmp_path / f"v.part{suffix}"
    process = start("--source", camera, "--jsonl", lines, "--save-video", video)
    try:
        wait_for(process, lambda: lines.exists() and lines.read_text().count("\n") >= 25)
    finally:
        process.kill()
        process.communicate(timeout=LIMIT)
    frames = decoded(part)
    assert frames >= lines.read_text().count("\n") - 2
    done = run("--source", camera, "--show", "none", "--save-video", video, "--max-frames", "12")
    assert done.returncode == 0, done.stderr
    assert decoded(part) == frames
    assert decoded(video) >= 10


def test_segments_of_a_video(clip: Path, tmp_path: Path) -> None:
    words = ("--save-video", tmp_path / "v.mp4", "--save-video-segment", str(1 / 60))
    done = run("--source", clip, "--show", "none", *words)
    assert done.returncode == 0, done.stderr
    segments = sorted(tmp_path.iterdir())
    assert [decoded(segment) for segment in segments] == [12, 8]
    assert all(segment.name.startswith("v-2") for segment in segments)


def test_segments_need_a_video(clip: Path) -> None:
    done = run("--source", clip, "--show", "none", "--save-video-segment", "1")
    assert done.returncode == 2
    assert "--save-video-segment needs --save-video PATH" in done.stderr.splitlines()[-1]
