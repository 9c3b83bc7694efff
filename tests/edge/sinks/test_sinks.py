"""Sinks and the overlay, tested by the files they write."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from predictions import CLASSES
from waiting import LIMIT

from fer_edge.edge.errors import SinkError
from fer_edge.edge.sinks import OutputClosed, Sink, guard_stdout, show_frame
from fer_edge.edge.sinks.colours import class_colours
from fer_edge.edge.sinks.draw import annotate
from fer_edge.edge.sinks.jsonl import JsonlSink
from fer_edge.edge.sinks.picture import PictureSink
from fer_edge.edge.sinks.text import TextSink
from fer_edge.edge.sinks.window import WindowSink
from fer_edge.edge.types import Box, Face, Frame, Prediction


def prediction(emotion: str = "happy", box: Box | None = None, track: int | None = 1) -> Prediction:
    scores = np.full(7, 0.02, np.float32)
    scores[CLASSES.index(emotion)] = 0.88
    return Prediction(Face(box or Box(40, 50, 60, 70), 0.9, None, track), scores, CLASSES)


def frame(index: int, fps: float = 10.0, size: tuple[int, int] = (240, 320)) -> Frame:
    return Frame(np.full((*size, 3), 4 * index, np.uint8), index, index / fps)


def test_a_frame_without_recognition_is_no_frame_without_faces(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "out.jsonl"
    sinks: list[Sink] = [JsonlSink(str(path)), TextSink()]
    for index, predictions in enumerate(([], None, None, [prediction()])):
        for sink in sinks:
            show_frame(sink, frame(index), predictions)
    assert [json.loads(line)["frame"] for line in path.read_text().splitlines()] == [0, 3]
    texts = [line.split("s  ")[1] for line in capsys.readouterr().out.splitlines()]
    assert texts == ["no face", "recognition is off", "#1 happy 88%"]
    for sink in sinks:
        sink.close()


def test_jsonl_lines_are_written_at_once(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    sink: Sink = JsonlSink(str(path))
    sink.show(frame(3), [prediction()])
    first = json.loads(path.read_text())
    assert first == {
        "frame": 3,
        "time": 0.3,
        "faces": [
            {
                "box": [40, 50, 60, 70],
                "score": 0.9,
                "track": 1,
                "emotion": "happy",
                "scores": {name: 0.88 if name == "happy" else 0.02 for name in CLASSES},
            }
        ],
    }
    sink.show(frame(4), [])
    sink.close()
    assert [json.loads(line)["faces"] for line in path.read_text().splitlines()][1] == []


def test_jsonl_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="cannot be written: No such file"):
        JsonlSink(str(tmp_path / "no" / "out.jsonl"))
    full = JsonlSink("/dev/full")
    with pytest.raises(SinkError, match="No space left"):
        full.show(frame(0), [])
    full.close()


def test_text_shows_changes_only(capsys: pytest.CaptureFixture[str]) -> None:
    sink: Sink = TextSink()
    for index, emotions in enumerate([["happy"], ["happy"], ["happy", "sad"], ["sad", "happy"], [], []]):
        sink.show(frame(index), [prediction(e, track=CLASSES.index(e)) for e in emotions])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("s  ")[1] for line in lines] == ["#3 happy 88%", "#3 happy 88%   #4 sad 88%", "no face"]


def test_broken_pipe_ends_the_run() -> None:
    with pytest.raises(OutputClosed), guard_stdout():
        raise BrokenPipeError


def test_picture_is_the_last_with_a_face(tmp_path: Path) -> None:
    sink: Sink = PictureSink(tmp_path / "out.png")
    for index, faces in enumerate([[prediction()], [prediction()], []]):
        sink.show(frame(10 * index), faces)
    sink.close()
    assert cv2.imread(str(tmp_path / "out.png"))[-1, -1].tolist() == [40, 40, 40]
    assert os.listdir(tmp_path) == ["out.png"]


def test_no_picture_without_a_face(tmp_path: Path) -> None:
    sink = PictureSink(tmp_path / "out.png")
    sink.show(frame(0), [])
    sink.close()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["out.txt", "out", "no/out.png"])
def test_picture_that_cannot_be_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(SinkError, match="cannot"):
        PictureSink(tmp_path / name)


@pytest.mark.parametrize("display", [None, ":77", "nowhere.invalid:0"])
def test_window_without_a_display_is_one_line(monkeypatch: pytest.MonkeyPatch, display: str | None) -> None:
    """Qt would abort() this very process on a display that cannot be reached."""
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    if display is not None:
        monkeypatch.setenv("DISPLAY", display)
    with pytest.raises(SinkError, match="--show text"):
        WindowSink()


SHOW = """
import numpy as np; from fer_edge.edge.sinks.window import WindowSink; from fer_edge.edge.types import Frame
sink = WindowSink()
for index in range(3):
    sink.show(Frame(np.full((240, 320, 3), 90, np.uint8), index), [])
sink.close()
sink.close()
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="needs Xvfb")
def test_window_on_a_display_opens_quietly() -> None:
    read, write = os.pipe()
    server = subprocess.Popen(["Xvfb", "-displayfd", str(write)], pass_fds=(write,), stderr=subprocess.DEVNULL)
    os.close(write)
    try:
        with os.fdopen(read) as answer:
            display = f":{answer.readline().strip()}"
        environment = os.environ | {"DISPLAY": display}
        done = subprocess.run([sys.executable, "-c", SHOW], capture_output=True, text=True, env=environment)
    finally:
        server.terminate()
        server.wait(LIMIT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("size", [(48, 48), (240, 320), (480, 640), (1080, 1920)])
def test_overlay_fits_every_size(size: tuple[int, int]) -> None:
    height, width = size
    boxes = [
        Box(width // 3, height // 3, width // 4, height // 3),
        Box(-width // 8, -height // 8, width // 4, height // 4),
        Box(width - width // 6, height - height // 6, width // 4, height // 4),
        Box(0, 0, width, height),
        Box(width + 5, height + 5, 10, 10),
        Box(-50, 10, 20, 20),
    ]
    plain = Frame(np.full((height, width, 3), 90, np.uint8))
    drawn = annotate(plain, [prediction(CLASSES[i], box) for i, box in enumerate(boxes)])
    assert drawn.shape == plain.pixels.shape
    assert drawn.dtype == np.uint8
    assert (plain.pixels == 90).all()  # the frame itself is not changed
    assert (drawn != 90).any()


def test_overlay_shows_the_emotion_in_its_colour() -> None:
    colours = class_colours(CLASSES)
    for emotion in CLASSES:
        drawn = annotate(Frame(np.zeros((480, 640), np.uint8)), [prediction(emotion, Box(200, 150, 160, 160))])
        assert drawn[150 + 80, 200].tolist() == list(colours[emotion])  # the box's left side
        bars = drawn[150:310, 370:470].reshape(-1, 3)
        assert (bars == colours[emotion]).all(axis=1).sum() > 200  # its bar is the long one
        others = [(bars == colours[other]).all(axis=1).sum() for other in CLASSES if other != emotion]
        assert max(others) < 50


def test_overlay_without_faces_is_the_frame() -> None:
    plain = frame(3)
    assert (annotate(plain, []) == plain.pixels).all()
