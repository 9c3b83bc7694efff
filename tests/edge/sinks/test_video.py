"""Annotated videos, by the files that are there afterwards."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import IO

import cv2
import numpy as np
import pytest
from waiting import LIMIT, until

from fer_edge.edge.errors import SinkError
from fer_edge.edge.sinks import Sink
from fer_edge.edge.sinks.recording import avi, part_file
from fer_edge.edge.sinks.recording.timeline import recorded_rate
from fer_edge.edge.sinks.video import MAX_GAP, MAX_RECORDING_GAP, MIN_SIDE, VideoSink
from fer_edge.edge.types import Frame

STEP = 8
"""Gray levels between two frames: more than a codec changes one."""


def frame(index: int, time: float) -> Frame:
    return Frame(np.full((48, 64, 3), STEP * (index % 32), np.uint8), index, time)


def decoded(path: Path) -> tuple[list[int], float]:
    """The frames in a video, by their numbers from 0 to 31, and its rate."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    frames = []
    while (result := capture.read())[0]:
        frames.append(round(float(result[1].mean()) / STEP))
    return frames, capture.get(cv2.CAP_PROP_FPS)


def record(path: Path, times: list[float], fps: float | None, segment: float | None = None) -> None:
    sink: Sink = VideoSink(path, fps, segment)
    try:
        for index, time in enumerate(times):
            sink.show(frame(index, time), [])
    finally:
        sink.close()
    sink.close()


def show_all(sink: Sink, count: int) -> None:
    """Show frames at 10 frames/s."""
    for index in range(count):
        sink.show(frame(index, index / 10), [])


def steady(count: int, fps: float) -> list[float]:
    return [index / fps for index in range(count)]


@pytest.mark.parametrize("suffix", [".mp4", ".MP4", ".m4v", ".mov", ".mkv", ".webm", ".avi"])
def test_a_recording_keeps_every_frame(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    sink: Sink = VideoSink(path, 10.0)
    show_all(sink, 30)
    assert os.listdir(tmp_path) == [f"out.part{suffix}"]
    sink.close()
    assert decoded(path) == (list(range(30)), 10.0)
    assert os.listdir(tmp_path) == [path.name]
    assert path.stat().st_mode & 0o777 == 0o600
    capture = cv2.VideoCapture(str(path))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 30
    assert capture.set(cv2.CAP_PROP_POS_FRAMES, 17)
    assert round(float(capture.read()[1].mean()) / STEP) == 17  # the index leads there


# the rate, and each frame's time


def test_a_live_video_plays_in_real_time(tmp_path: Path) -> None:
    """Twelve frames at 10 frames/s, a second that shows the last one, then ten more: 3.1 s in all."""
    path = tmp_path / "out.mp4"
    record(path, [*steady(12, 10), *(2.2 + time for time in steady(10, 10))], None)
    assert decoded(path) == ([*range(12), *[11] * 10, *range(12, 22)], 10.0)


@pytest.mark.faults
@pytest.mark.parametrize(("fps", "limit"), [(None, MAX_GAP), (10.0, MAX_RECORDING_GAP)])
def test_an_hour_without_a_frame_is_left_out(
    tmp_path: Path, messages: list[str], fps: float | None, limit: float
) -> None:
    path = tmp_path / "out.avi"
    record(path, [*steady(15, 10), *(3600 + time for time in steady(15, 10))], fps)
    frames, _ = decoded(path)
    assert frames == [*range(14), *[14] * round(10 * limit), *range(15, 30)]
    assert len(messages) == 1 and "are left out" in messages[0]


@pytest.mark.faults
@pytest.mark.parametrize("fps", [None, 20.0, 15.0, 60000.0])
@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".avi"])
def test_a_variable_rate_keeps_its_moments(tmp_path: Path, suffix: str, fps: float | None) -> None:
    """A camera that slows down, and a phone's video: each frame is shown at its time, to one picture of the video."""
    rng = random.Random(suffix)
    times = [0.0]
    for index in range(31):
        times.append(times[-1] + (rng.uniform(0.04, 0.06) if index < 14 else rng.uniform(0.1, 0.3)))
    record(tmp_path / f"out{suffix}", times, fps)
    frames, rate = decoded(tmp_path / f"out{suffix}")
    assert len(frames) / rate == pytest.approx(times[-1], abs=2 / rate)
    shown = [frames.index(number) / rate - times[number] for number in set(frames)]
    assert max(map(abs, shown)) <= 1.5 / rate
    assert len(shown) >= 31  # two frames may fall on one picture


@pytest.mark.faults
@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".mkv", ".avi"])
def test_a_slow_board_encodes_no_frame_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    """Encoding takes 100 ms: the camera comes down from 30 to 5 frames/s, each of which is shown for longer."""
    monkeypatch.setattr("fer_edge.edge.sinks.video.monotonic", map(float, count(0, 0.1)).__next__)
    times = [*steady(10, 30), *(0.5 + index / 5 for index in range(20))]
    record(tmp_path / f"out{suffix}", times, None)
    capture = cv2.VideoCapture(str(tmp_path / f"out{suffix}"), cv2.CAP_FFMPEG)
    shown = []
    while (result := capture.read())[0]:
        shown.append((round(float(result[1].mean()) / STEP), capture.get(cv2.CAP_PROP_POS_MSEC) / 1000))
    assert [number for number, _ in shown][-15:] == list(range(15, 30))
    assert [time for _, time in shown][-15:] == pytest.approx(times[-15:], abs=1 / 30)


@pytest.mark.faults
@pytest.mark.parametrize("header", [60000.0, float(Fraction(105611, 500)), 0.0, -1.0, float("nan"), float("inf"), 1e-9])
@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".avi", ".mkv"])
def test_a_header_rate_that_cannot_be_is_measured(tmp_path: Path, suffix: str, header: float) -> None:
    record(tmp_path / f"out{suffix}", steady(30, 24), header)
    frames, rate = decoded(tmp_path / f"out{suffix}")
    assert frames == list(range(30))
    assert rate == pytest.approx(24, abs=0.01)


@pytest.mark.parametrize(
    ("header", "real", "rate"),
    [
        (29.97, 29.97, 29.97),
        (23.976, 23.976, 23.976),
        (211.222, 211.222, 211.222),
        (25.0, 50.0, 50.0),
        (1000.0, 600.0, 240.0),
        (1.0, 0.1, 1.0),
        (60.0, 20.0, 60.0),
    ],
)
def test_the_rate_of_a_recording(header: float, real: float, rate: float) -> None:
    assert recorded_rate(header, steady(10, real)) == pytest.approx(rate, abs=0.001)


def test_frames_without_times_follow_at_the_headers_rate(tmp_path: Path) -> None:
    record(tmp_path / "out.mp4", [0.0] * 5 + [-1.0] * 15, 25.0)
    assert decoded(tmp_path / "out.mp4") == (list(range(20)), 25.0)


@pytest.mark.parametrize("fps", [None, 1.0])
def test_a_source_with_a_frame_in_half_a_minute_keeps_its_moments(tmp_path: Path, fps: float | None) -> None:
    times = [30.0 * index for index in range(12)]
    record(tmp_path / "out.mp4", times, fps)
    frames, rate = decoded(tmp_path / "out.mp4")
    assert [frames.index(number) / rate for number in range(12)] == times


def test_a_slow_source_is_in_the_file_soon(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "out.avi", None)
    sink.show(frame(0, 0.0), [])
    sink.show(frame(1, 5.0), [])
    assert set(decoded(tmp_path / "out.part.avi")[0]) == {0, 1}
    sink.close()


@pytest.mark.parametrize("fps", [None, 20.0])
def test_a_short_video_is_written(tmp_path: Path, fps: float | None) -> None:
    record(tmp_path / "out.mp4", steady(3, 20), fps)
    assert decoded(tmp_path / "out.mp4") == ([0, 1, 2], 20.0)


def test_no_frames_leave_no_file(tmp_path: Path) -> None:
    VideoSink(tmp_path / "out.mp4", None).close()
    assert os.listdir(tmp_path) == []


def test_odd_and_changing_sizes(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "out.avi", 1.0)
    for index, size in enumerate(((121, 161), (240, 320), (300, 100), (121, 161))):
        sink.show(Frame(np.full(size, 200, np.uint8), index, float(index)), [])  # gray, too
    sink.close()
    capture = cv2.VideoCapture(str(tmp_path / "out.avi"))
    pictures = [capture.read()[1] for _ in range(4)]
    assert [p.shape for p in pictures] == [(120, 160, 3)] * 4
    assert pictures[2][60, 80].mean() == pytest.approx(200, abs=4)
    assert pictures[2][60, 5].mean() < 8  # the border beside the picture


def test_an_avi_goes_on_beyond_the_size_of_its_first_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(avi, "RIFF_BYTES", 5_000)
    path = tmp_path / "out.avi"
    record(path, steady(32, 10), 10.0)
    assert path.read_bytes().count(b"AVIX") >= 2
    assert decoded(path) == (list(range(32)), 10.0)


# a recording that ends in the middle

WRITER = """
import sys; from pathlib import Path; import numpy as np
from fer_edge.edge.sinks.video import VideoSink; from fer_edge.edge.types import Frame
sink = VideoSink(Path(sys.argv[1]), 10.0)
for index in range(100_000):
    sink.show(Frame(np.full((48, 64, 3), 8 * (index % 32), np.uint8), index, index / 10), [])
    print(index, flush=True)
"""


def numbers(stdout: IO[str], until: int) -> int:
    """The last number that was read, which is `until` or one after it."""
    return next(number for line in stdout if (number := int(line)) >= until)


@pytest.mark.faults
@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".mkv", ".avi"])
def test_a_killed_recording_has_all_but_the_last_frames(
    tmp_path: Path, suffix: str, cases: Callable[[int, int], int]
) -> None:
    for trial in range(cases(1, 50)):
        path, part = tmp_path / f"{trial}{suffix}", tmp_path / f"{trial}.part{suffix}"
        command = [sys.executable, "-c", WRITER, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            written = numbers(process.stdout, until=random.Random(f"{suffix}{trial}").randrange(15, 200))
            process.send_signal(signal.SIGKILL)
        frames, rate = decoded(part)
        assert rate == 10.0
        assert len(frames) >= written - 1
        assert frames == [index % 32 for index in range(len(frames))]

        record(path, steady(20, 10), 10.0)  # the next run of a service
        assert decoded(part)[0] == frames
        assert decoded(path)[0] == list(range(20))


LIMITED = """
import resource, sys; from pathlib import Path; import numpy as np
from fer_edge.edge.errors import SinkError; from fer_edge.edge.sinks.video import VideoSink
from fer_edge.edge.types import Frame
limit = int(sys.argv[2]); resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
sink = VideoSink(Path(sys.argv[1]), 10.0); rng = np.random.default_rng(0)
try:
    try:
        for index in range(200):
            sink.show(Frame(rng.integers(0, 255, (120, 160, 3), np.uint8), index, index / 10), [])
    finally:
        sink.close()
except SinkError as error:
    print(error)
"""


@pytest.mark.faults
@pytest.mark.parametrize("limit", [100_000, 123_456])
@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".mkv", ".avi"])
def test_a_video_that_meets_a_size_limit_is_kept(tmp_path: Path, suffix: str, limit: int) -> None:
    path = tmp_path / f"out{suffix}"
    command = [sys.executable, "-c", LIMITED, str(path), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LIMIT)
    (line,) = done.stdout.splitlines()
    assert done.stderr == ""
    assert "File too large" in line and "--save-video-segment" in line
    assert os.listdir(tmp_path) == [path.name]
    assert path.stat().st_size > 0.5 * limit
    assert f"the {len(decoded(path)[0])} pictures before it are kept" in line


class FailingWrite:
    """`os.write` that takes so many bytes in all, in pieces, and then fails."""

    def __init__(self, room: int, code: int) -> None:
        self._room, self._code, self._write = room, code, os.write

    def __call__(self, descriptor: int, data: memoryview) -> int:
        if self._room <= 0:
            raise OSError(self._code, os.strerror(self._code))
        written = self._write(descriptor, data[: min(self._room, 700)])
        self._room -= written
        return written


@pytest.mark.faults
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".mkv", ".avi"])
def test_an_error_of_the_disk_is_named_and_ends_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, code: int
) -> None:
    path = tmp_path / f"out{suffix}"
    sink = VideoSink(path, 10.0)
    monkeypatch.setattr(os, "write", FailingWrite(7_777, code))
    with pytest.raises(SinkError, match=os.strerror(code)):
        show_all(sink, 1_000)
    sink.close()
    frames, _ = decoded(path)
    assert len(frames) >= 5
    assert frames == [index % 32 for index in range(len(frames))]


def test_a_recording_goes_to_the_disk_as_it_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut costs what came after the last time."""
    sizes: list[int] = []
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: sizes.append(os.fstat(descriptor).st_size))
    monkeypatch.setattr(part_file, "SYNC_INTERVAL", 0.0)
    sink = VideoSink(tmp_path / "out.mp4", 10.0)
    show_all(sink, 12)
    until(lambda: sizes)
    before = len(sizes)
    for index in range(12, 24):
        sink.show(frame(index, index / 10), [])
    until(lambda: len(sizes) > before and sizes[-1] > sizes[0])
    sink.close()


@pytest.mark.faults
@pytest.mark.parametrize("name", ["fdatasync", "fsync"])
def test_an_error_that_the_disk_reports_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """As a network's file system does, or a card that is worn out."""

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(part_file, "SYNC_INTERVAL", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(os, name, fail)
        with pytest.raises(SinkError, match=os.strerror(errno.EIO)):
            record(tmp_path / "out.mp4", steady(30, 10), 10.0)


@pytest.mark.faults
def test_a_recording_that_fails_does_not_replace_an_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(tmp_path / "out.mp4", steady(30, 10), 10.0)
    sink = VideoSink(tmp_path / "out.mp4", 10.0)
    monkeypatch.setattr(os, "write", FailingWrite(7_777, errno.ENOSPC))
    with pytest.raises(SinkError, match=r"are kept in out\.part\.mp4, and the file that is there, too"):
        show_all(sink, 1_000)
    sink.close()
    assert decoded(tmp_path / "out.mp4")[0] == list(range(30))
    assert len(decoded(tmp_path / "out.part.mp4")[0]) >= 5


@pytest.mark.faults
def test_no_room_for_the_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for suffix in (".mp4", ".webm", ".mkv", ".avi"):
        path = tmp_path / f"out{suffix}"
        with monkeypatch.context() as patch:
            sink = VideoSink(path, 10.0)
            show_all(sink, 30)
            recorder = sink._recorder
            assert recorder is not None
            recorder._encoder.close()
            patch.setattr(os, "write", FailingWrite(0, errno.ENOSPC))
            recorder._finish_file()
        assert decoded(path)[0] == list(range(30))


def test_a_disk_that_is_nearly_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = VideoSink(tmp_path / "out.mp4", 10.0)
    show_all(sink, 15)
    monkeypatch.setattr("fer_edge.edge.sinks.recording.part_file.MIN_FREE_BYTES", 1 << 62)
    with pytest.raises(SinkError, match=r"No space left on device, .* the 15 pictures before it are kept"):
        sink.show(frame(15, 1.5), [])
    sink.close()
    assert decoded(tmp_path / "out.mp4")[0] == list(range(15))


@pytest.mark.faults
@pytest.mark.parametrize("segment", [None, 5.0])
def test_a_recording_whose_file_is_removed(tmp_path: Path, segment: float | None) -> None:
    """By `rm`: what is still open is copied, and one line says so; by `rm -r`: one line."""
    sink = VideoSink(tmp_path / "out.mp4", 10.0, segment)
    show_all(sink, 11)
    (tmp_path / "out.part.mp4").unlink()
    with pytest.raises(SinkError, match=r"out\.part\.mp4 was removed; the 11 pictures before it are kept"):
        sink.show(frame(11, 1.1), [])
    sink.close()
    (video,) = tmp_path.iterdir()
    assert decoded(video)[0] == list(range(11))

    (tmp_path / "gone").mkdir()
    sink = VideoSink(tmp_path / "gone" / "out.mp4", 10.0, segment)
    show_all(sink, 12)
    shutil.rmtree(tmp_path / "gone")
    with pytest.raises(SinkError, match="was removed"):
        sink.show(frame(12, 1.2), [])
    with pytest.raises(SinkError, match="No such file"):
        sink.close()


# segments


@pytest.mark.faults
@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".avi"])
def test_segments_play_by_themselves(tmp_path: Path, suffix: str) -> None:
    for _ in range(2):  # nothing is overwritten by the next run
        record(tmp_path / f"out{suffix}", steady(32, 10), 10.0, segment=1.0)
    names = sorted(os.listdir(tmp_path))
    parts = [decoded(tmp_path / name)[0] for name in names]
    assert [number for part in parts for number in part] == [*range(32), *range(32)]
    assert all(len(part) >= 10 for part in parts if part[-1] != 31)
    assert len(names) in (6, 8)  # a JPEG is always a key picture; other codecs have one in twelve
    assert all(name.startswith("out-2") and name.endswith(suffix) for name in names)
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in names} == {0o600}


# names


@pytest.mark.faults
def test_a_name_that_cannot_be_a_video(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "full.mp4").symlink_to("/dev/full")
    (tmp_path / "null.mp4").symlink_to("/dev/null")
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "lost.mp4").symlink_to("no/such/folder/x.mp4")
    before = sorted(os.listdir(tmp_path))
    for name in (*before, "out.mpeg", "out", "no/out.mp4", "pipe.mp4/out.mp4", f"{'n' * 252}.mp4"):
        with pytest.raises(SinkError) as caught:
            VideoSink(tmp_path / name, None)
        assert str(caught.value).startswith(str(tmp_path / name)) and "\n" not in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == before
    with pytest.raises(SinkError, match="is not a writable folder"):
        VideoSink(Path("/proc/self/mem/out.mp4"), None)


def test_a_link_is_followed_and_permissions_stay(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    target = tmp_path / "disk" / "real.mp4"
    target.touch()
    target.chmod(0o640)
    (tmp_path / "out.mp4").symlink_to(target)
    record(tmp_path / "out.mp4", steady(20, 10), 10.0)
    assert (tmp_path / "out.mp4").is_symlink()
    assert decoded(target)[0] == list(range(20))
    record(tmp_path / "out.mp4", steady(20, 10), 10.0, segment=60.0)
    assert {path.parent for path in tmp_path.rglob("*-2*.mp4")} == {tmp_path / "disk"}
    assert target.stat().st_mode & 0o777 == 0o640


@pytest.mark.faults
@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".avi"])
def test_a_video_whose_name_is_not_utf8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    """OpenCV 5 dies of such a name, also of that of the folder for temporary files."""
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    path = folder / os.fsdecode(b"\xe4\xf6" + suffix.encode())
    record(path, steady(20, 10), 10.0)
    assert os.listdir(folder) == [path.name]
    path.rename(tmp_path / f"out{suffix}")
    assert decoded(tmp_path / f"out{suffix}")[0] == list(range(20))


@pytest.mark.parametrize("folder", ["none", "/proc/self"])
def test_a_system_without_a_folder_for_pipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / folder))
    record(tmp_path / "out.mp4", steady(20, 10), 10.0)
    assert os.listdir(tmp_path) == ["out.mp4"]
    assert decoded(tmp_path / "out.mp4")[0] == list(range(20))


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (17, 19), (2160, 3840)])
@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".avi"])
def test_sizes_of_pictures(tmp_path: Path, suffix: str, size: tuple[int, int]) -> None:
    sink = VideoSink(tmp_path / f"out{suffix}", 10.0)
    for index in range(2):
        sink.show(Frame(np.full((*size, 3), 90, np.uint8), index, index / 10), [])
    sink.close()
    picture = cv2.VideoCapture(str(tmp_path / f"out{suffix}")).read()[1]
    assert picture.shape == (*(max(MIN_SIDE, side // 2 * 2) for side in size), 3)


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".avi"])
def test_a_size_that_no_encoder_takes(tmp_path: Path, suffix: str, capfd: pytest.CaptureFixture[str]) -> None:
    sink = VideoSink(tmp_path / f"out{suffix}", 10.0)
    sink.show(Frame(np.zeros((16, 70_000, 3), np.uint8), 0, 0.0), [])
    with pytest.raises(SinkError, match="70000x16"):
        sink.close()
    assert os.listdir(tmp_path) == []


def test_an_encoder_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules["fer_edge.edge.sinks.recording.encoder"].FOURCC, "mpeg4", "zzzz")
    sink = VideoSink(tmp_path / "out.mp4", 10.0)
    with pytest.raises(SinkError, match=r"cannot encode 64x48 mpeg4; .*\.avi"):
        show_all(sink, 20)
    sink.close()
    assert os.listdir(tmp_path) == []
