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
from waiting import LIMIT

from fer_edge.edge.errors import SinkError
from fer_edge.edge.sinks import OutputClosed, Sink, guard_stdout
from fer_edge.edge.sinks.colours import COLOURS
from fer_edge.edge.sinks.draw import annotate
from fer_edge.edge.sinks.jsonl import JsonlSink
from fer_edge.edge.sinks.picture import PictureSink
from fer_edge.edge.sinks.text import TextSink
from fer_edge.edge.sinks.video import MAX_GAP, VideoSink
from fer_edge.edge.sinks.window import WindowSink
from fer_edge.edge.types import EMOTIONS, Box, Face, Frame, Prediction


def prediction(emotion: str = "happy", box: Box | None = None, track: int | None = 1) -> Prediction:
    scores = np.full(7, 0.02, np.float32)
    scores[EMOTIONS.index(emotion)] = 0.88
    return Prediction(Face(box or Box(40, 50, 60, 70), 0.9, None, track), scores)


def frame(index: int, fps: float = 10.0, size: tuple[int, int] = (240, 320)) -> Frame:
    return Frame(np.full((*size, 3), 4 * index, np.uint8), index, index / fps)


def decoded(path: Path) -> tuple[list[np.ndarray], float]:
    capture = cv2.VideoCapture(str(path))
    pictures = []
    while (result := capture.read())[0]:
        pictures.append(result[1])
    return pictures, capture.get(cv2.CAP_PROP_FPS)


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
                "scores": {name: 0.88 if name == "happy" else 0.02 for name in EMOTIONS},
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
        sink.show(frame(index), [prediction(e, track=EMOTIONS.index(e)) for e in emotions])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("s  ")[1] for line in lines] == ["#3 happy 88%", "#3 happy 88%   #4 sad 88%", "no face"]


def test_broken_pipe_ends_the_run() -> None:
    with pytest.raises(OutputClosed), guard_stdout():
        raise BrokenPipeError


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".MP4"])
def test_video_of_a_file_keeps_every_frame(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    sink: Sink = VideoSink(path, 10.0)
    for index in range(20):
        sink.show(frame(index), [prediction()])
    assert not path.exists()
    assert (tmp_path / f"out.part{suffix}").exists()
    sink.close()
    sink.close()
    pictures, fps = decoded(path)
    assert (len(pictures), fps) == (20, 10.0)
    assert [float(p[200:, 200:].mean()) for p in pictures] == pytest.approx([4 * i for i in range(20)], abs=6)
    assert os.listdir(tmp_path) == [path.name]


def test_live_video_plays_in_real_time(tmp_path: Path) -> None:
    """Twelve frames at 10 frames/s, a second without any, then ten more: 3.1 s in all."""
    path = tmp_path / "out.mp4"
    sink = VideoSink(path, None)
    for index in [*range(12), *range(22, 32)]:
        sink.show(frame(index), [])
    sink.close()
    pictures, fps = decoded(path)
    assert fps == pytest.approx(10, abs=0.1)
    assert len(pictures) == 32
    assert float(pictures[30].mean()) == pytest.approx(120, abs=4)


def test_live_video_leaves_out_the_hours_without_a_camera(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "out.avi", None)
    for when in (*(index / 10 for index in range(15)), *(5000 + index / 10 for index in range(15))):
        sink.show(Frame(np.zeros((48, 64, 3), np.uint8), 0, when), [])
    sink.close()
    assert len(decoded(tmp_path / "out.avi")[0]) == pytest.approx(15 + 10 * MAX_GAP + 15, abs=2)


def test_short_live_video_is_written(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "out.mp4", None)
    for index in range(3):
        sink.show(frame(index, 20.0), [])
    sink.close()
    pictures, fps = decoded(tmp_path / "out.mp4")
    assert (len(pictures), fps) == (3, 20.0)


def test_video_without_frames_leaves_nothing(tmp_path: Path) -> None:
    VideoSink(tmp_path / "out.mp4", None).close()
    assert os.listdir(tmp_path) == []


def test_video_takes_odd_and_changing_sizes(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "out.avi", 1.0)
    for size in ((121, 161), (240, 320), (300, 100), (121, 161)):
        sink.show(Frame(np.full(size, 200, np.uint8)), [])  # gray, too
    sink.close()
    pictures, _ = decoded(tmp_path / "out.avi")
    assert [p.shape for p in pictures] == [(120, 160, 3)] * 4
    assert pictures[2][60, 80].mean() == pytest.approx(200, abs=4)
    assert pictures[2][60, 5].mean() < 8  # the border beside the picture


def test_video_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"\.mp4 or \.avi"):
        VideoSink(tmp_path / "out.mkv", None)
    with pytest.raises(SinkError, match="is not a writable folder"):
        VideoSink(tmp_path / "no" / "out.mp4", None)
    with pytest.raises(SinkError, match="is not a writable folder"):
        VideoSink(Path("/proc/self/mem/out.mp4"), None)


FULL_DISK = """
import resource, sys; from pathlib import Path; import numpy as np
from fer_edge.edge.errors import SinkError; from fer_edge.edge.sinks.video import MAX_GAP, VideoSink
from fer_edge.edge.sources.capture import quiet_opencv; from fer_edge.edge.types import Frame
quiet_opencv()
limit = int(sys.argv[2]); resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
sink = VideoSink(Path(sys.argv[1]), 10.0); rng = np.random.default_rng(0)
try:
    for index in range(30):
        sink.show(Frame(rng.integers(0, 255, (240, 320, 3), np.uint8), index), [])
    sink.close()
except SinkError as error:
    print(error)
"""


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_video_on_a_full_disk_is_an_error(tmp_path: Path, suffix: str) -> None:
    """OpenCV reports no error when the disk is full; a limit on the file's size stands in for the disk."""
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path / f"out{suffix}"), "400000"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "is the disk full?" in done.stdout
    assert done.stderr == ""


def test_disk_nearly_full_stops_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = VideoSink(tmp_path / "out.mp4", 10.0)
    for index in range(5):
        sink.show(frame(index), [])
    monkeypatch.setattr("fer_edge.edge.sinks.video.MIN_FREE_BYTES", 1 << 62)
    with pytest.raises(SinkError, match="the disk is full after 5 frames"):
        sink.show(frame(5), [])
    sink.close()
    assert len(decoded(tmp_path / "out.mp4")[0]) == 5


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
    drawn = annotate(plain, [prediction(EMOTIONS[i], box) for i, box in enumerate(boxes)])
    assert drawn.shape == plain.pixels.shape
    assert drawn.dtype == np.uint8
    assert (plain.pixels == 90).all()  # the frame itself is not changed
    assert (drawn != 90).any()


def test_overlay_shows_the_emotion_in_its_colour() -> None:
    for emotion in EMOTIONS:
        drawn = annotate(Frame(np.zeros((480, 640), np.uint8)), [prediction(emotion, Box(200, 150, 160, 160))])
        assert drawn[150 + 80, 200].tolist() == list(COLOURS[emotion])  # the box's left side
        bars = drawn[150:310, 370:470].reshape(-1, 3)
        assert (bars == COLOURS[emotion]).all(axis=1).sum() > 200  # its bar is the long one
        others = [(bars == COLOURS[other]).all(axis=1).sum() for other in EMOTIONS if other != emotion]
        assert max(others) < 50


def test_overlay_without_faces_is_the_frame() -> None:
    plain = frame(3)
    assert (annotate(plain, []) == plain.pixels).all()
