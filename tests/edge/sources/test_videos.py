"""Video files as cameras, phones and editors write them: interlaced, trimmed, with odd rates and time stamps."""

from __future__ import annotations

import math
import os
import shutil
import struct
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import Any

import cv2
import mp4
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from running import run, scene

from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources import container, deinterlaced, open_source, video
from fer_edge.edge.sources.media_clock import MediaClock, measured_rate, usual_rate
from fer_edge.edge.sources.options import SourceOptions
from fer_edge.edge.sources.pipe import open_pipe
from fer_edge.edge.types import Frame

FILES = Path(__file__).parents[2] / "support" / "files"
SIZE = (160, 120)


def write(path: Path, count: int = 40, fps: float = 25.0, codec: str = "") -> Path:
    """A video whose frames get lighter; an MP4 has a key frame every 12 frames."""
    codec = codec or {".avi": "MJPG", ".mp4": "mp4v", ".mkv": "mp4v", ".ts": "mp4v", ".mpg": "MPG2"}[path.suffix]
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), fps, SIZE)
    assert writer.isOpened()
    for index in range(count):
        writer.write(np.full((*SIZE[::-1], 3), 20 + 5 * index, np.uint8))
    writer.release()
    return path


def read(path: Path) -> tuple[list[Frame], str | None]:
    with open_source(source=path) as source:
        return list(source), source.problem


def cut(path: Path, share: float) -> Path:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size) | 1])
    return path


@pytest.mark.faults
@pytest.mark.parametrize("name", ["interlaced.mpg", "interlaced.mp4"])
def test_an_interlaced_video_is_read(name: str, tmp_path: Path) -> None:
    """Or refused in one line, where OpenCV cannot convert it and has no filter: never black pictures."""
    shutil.copy(FILES / name, tmp_path / "it's, [a]; name:1.mpg")
    done = run("--source", tmp_path / "it's, [a]; name:1.mpg", "--jsonl", "-")
    if deinterlaced.must_be_filtered() and not _has_filters():
        assert done.returncode == 2 and "is interlaced" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 15 and '"faces": [{' in done.stdout.splitlines()[-1]
    frames, problem = read(FILES / name)
    expected = cv2.resize(scene(0), (192, 144), interpolation=cv2.INTER_AREA)
    assert problem is None
    assert all(np.abs(frame.pixels.astype(int) - expected).mean() < 10 for frame in frames)  # lossy coding
    assert [frame.time for frame in frames] == pytest.approx([index / 25 for index in range(15)], abs=2e-3)


def _has_filters() -> bool:
    filtered = deinterlaced.open_filtered(FILES / "interlaced.mpg", True)
    return filtered is not None


@pytest.mark.faults
def test_an_interlaced_video_that_cannot_be_filtered_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(deinterlaced.CAPTURE_OPTIONS, "threads;1")
    if not deinterlaced.must_be_filtered():
        assert len(read(FILES / "interlaced.mpg")[0]) == 15
        return
    with pytest.raises(SourceError, match="is interlaced"):
        read(FILES / "interlaced.mpg")


@pytest.mark.faults
def test_an_interlaced_stream_is_read_or_refused() -> None:

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:  # without a length it is no recording
            self.send_response(200)
            self.send_header("Content-Type", "video/mpeg")
            self.end_headers()
            self.wfile.write((FILES / "interlaced.mpg").read_bytes())

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/it's,[a];tv:1\\%20"
        if deinterlaced.must_be_filtered() and not _has_filters():
            with pytest.raises(SourceError, match="is interlaced"):
                open_source(source=address)
        else:
            with open_source(SourceOptions(source=address, reconnect_timeout=0)) as source:
                frame = next(iter(source))
            expected = cv2.resize(scene(0), (192, 144), interpolation=cv2.INTER_AREA)
            assert np.abs(frame.pixels.astype(int) - expected).mean() < 10  # lossy coding
        server.shutdown()


@pytest.mark.faults
def test_a_raw_stream_has_the_times_of_its_rate(tmp_path: Path) -> None:
    """As rpicam-vid writes it; FFmpeg's filters would make up time stamps at twice the rate."""
    frames, problem = read(FILES / "raw.h264")
    assert problem is None
    assert [frame.time for frame in frames] == pytest.approx([index / 25 for index in range(10)])


@pytest.mark.faults
@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_video_is_shown_as_its_header_rotates_it(tmp_path: Path, degrees: int) -> None:
    path = tmp_path / "v.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25.0, SIZE)
    picture = np.zeros((*SIZE[::-1], 3), np.uint8)
    picture[:60, :80] = 200
    for _ in range(3):
        writer.write(picture)
    writer.release()
    (frame, *_), problem = read(mp4.replace_boxes(path, mp4.rotation(path, degrees)))
    assert problem is None
    assert np.abs(frame.pixels.astype(int) - np.rot90(picture, -degrees // 90)).mean() < 5


@pytest.mark.faults
@pytest.mark.parametrize(("start", "length"), [(0, 15), (14, 26), (8, 20), (0, 40)])
def test_a_clip_trimmed_by_its_edit_list_is_whole(tmp_path: Path, start: int, length: int) -> None:
    path = write(tmp_path / "v.mp4")
    tick = mp4.track_scale(path) // 25
    frames, problem = read(mp4.replace_boxes(path, mp4.edit_list(start * tick, length / 25)))
    assert problem is None
    assert len(frames) == pytest.approx(length, abs=1)
    assert frames[0].pixels.mean() == pytest.approx(20 + 5 * start, abs=6)


@pytest.mark.faults
def test_a_trimmed_clip_that_is_cut_off_is_reported(tmp_path: Path) -> None:
    path = write(tmp_path / "v.mp4")
    mp4.replace_boxes(path, mp4.edit_list(10 * mp4.track_scale(path) // 25, 25 / 25))
    index_first(path)
    frames, problem = read(cut(path, 0.6))
    assert 0 < len(frames) < 20 and problem is not None and f"{len(frames)} of 25" in problem


@pytest.mark.faults
@pytest.mark.parametrize("share", [1.0, 0.6])
def test_a_trimmed_clip_on_a_server_is_whole_unless_it_is_cut_off(tmp_path: Path, share: float) -> None:
    path = write(tmp_path / "v.mp4")
    mp4.replace_boxes(path, mp4.edit_list(10 * mp4.track_scale(path) // 25, 15 / 25))
    index_first(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=tmp_path)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with open_source(source=f"http://127.0.0.1:{server.server_port}/v.mp4") as source:
            frames = list(source)
        server.shutdown()
    assert (len(frames), source.problem) == (15, None) if share == 1 else source.problem is not None


@pytest.mark.faults
@pytest.mark.parametrize("suffix", [".ts", ".mpg"])
def test_a_file_on_a_server_without_byte_ranges_ends(tmp_path: Path, suffix: str) -> None:
    """Although its format knows no number of frames, as streams do not."""
    write(tmp_path / f"v{suffix}")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=tmp_path)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with open_source(source=f"http://127.0.0.1:{server.server_port}/v{suffix}") as source:
            assert not source.live
            assert (len(list(source)), source.problem) == (40, None)
        server.shutdown()


def index_first(path: Path) -> None:
    """Move the index to the front, as for web servers: only then a video can be read that is cut off."""
    contents = dict(mp4.boxes(path.read_bytes()))
    index = bytearray(contents[b"moov"])
    table = index.index(b"stco") + 8
    for at in range(table + 4, table + 4 + 4 * int.from_bytes(index[table : table + 4]), 4):
        index[at : at + 4] = (int.from_bytes(index[at : at + 4]) + len(index) + 8).to_bytes(4)
    contents = {b"ftyp": contents.pop(b"ftyp"), b"moov": bytes(index), **contents} | {b"moov": bytes(index)}
    path.write_bytes(b"".join((len(data) + 8).to_bytes(4) + kind + data for kind, data in contents.items()))


@pytest.mark.faults
@pytest.mark.parametrize("suffix", [".avi", ".mkv", ".ts", ".mpg"])
def test_a_video_that_is_cut_off_is_reported(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"v{suffix}")
    frames, problem = read(path)
    assert problem is None and len(frames) == 40
    frames, problem = read(cut(path, 0.5))
    assert 0 < len(frames) < 40
    assert problem is not None and "cut off" in problem


@given(st.data())
def test_a_damaged_index_is_no_crash(data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        path = write(Path(folder) / "v.mp4", 3)
        content = bytearray(path.read_bytes())
        index = content.index(b"moov")
        for _ in range(data.draw(st.integers(1, 8))):
            content[data.draw(st.integers(index, len(content) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(content[: data.draw(st.integers(index, len(content)))])
        frames = container.presented_frames(BytesIO(path.read_bytes()))
        assert frames is None or 0 < frames <= container.MAX_SAMPLES


@given(
    st.sampled_from([b"\x1a\x45\xdf\xa3", b"FLV\x01", container.ASF_HEADER, container.PS_START, b"\x47", b"", b"moov"]),
    st.binary(max_size=64),
)
def test_a_short_file_is_no_crash(start: bytes, rest: bytes) -> None:
    with NamedTemporaryFile() as file:
        file.write(start + rest)
        file.flush()
        assert container.lacks_its_end(Path(file.name)) in (None, False, True)
        assert container.presented_frames(BytesIO(start + rest)) is None


@pytest.mark.faults
@pytest.mark.parametrize("suffix", [".avi", ".mkv", ".ts", ".mp4"])
def test_a_damaged_frame_is_no_silent_end(tmp_path: Path, suffix: str) -> None:
    """Where the decoder gives up, the run does not end as if that were all."""
    path = write(tmp_path / f"v{suffix}", codec="MJPG" if suffix != ".ts" else "mp4v")
    data = bytearray(path.read_bytes())
    middle = data.index(b"\xff\xd8", len(data) // 2) if suffix != ".ts" else len(data) // 2
    data[middle : middle + 400] = bytes(400) if suffix != ".ts" else data[middle : middle + 400]
    path.write_bytes(data)
    frames, problem = read(path)
    assert len(frames) >= 38 or problem is not None


@pytest.mark.faults
def test_a_phone_slow_motion_keeps_its_times_and_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "v.mp4")
    ends = [round(mp4.track_scale(path) * index * 500 / 105611) for index in range(41)]
    gaps = [after - before for before, after in pairwise(ends)]
    mp4.replace_boxes(path, mp4.durations(gaps) | mp4.edit_list(0, 40 * 500 / 105611))
    with open_source(source=path) as source:
        assert source.fps == pytest.approx(105611 / 500, rel=0.01)  # its time scale has 12,800 ticks
        times = [frame.time for frame in source]
    assert times == pytest.approx([index * 500 / 105611 for index in range(40)], abs=1e-3)
    done = run("--source", path, "--jsonl", "-")
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 40


@pytest.mark.faults
def test_a_variable_rate_keeps_its_moments(tmp_path: Path) -> None:
    path = write(tmp_path / "v.mp4")
    tick = mp4.track_scale(path) // 25
    gaps = [tick * (1 + 6 * (index % 7 == 3)) for index in range(40)]
    frames, problem = read(mp4.replace_boxes(path, mp4.durations(gaps) | mp4.edit_list(0, sum(gaps) / tick / 25)))
    assert problem is None
    moments = [sum(gaps[:index]) / tick / 25 for index in range(40)]
    assert [frame.time for frame in frames] == pytest.approx(moments, abs=1e-3)


@pytest.mark.faults
@pytest.mark.parametrize("header", [0.0, -1.0, math.nan, math.inf, 60000.0, 90000.0, 1e12, 1e-9])
def test_an_absurd_header_rate_is_replaced_by_that_of_the_time_stamps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, header: float
) -> None:
    """As OpenCV gives it for DV and for WebM of a browser, whose container has a clock instead of a rate."""
    monkeypatch.setattr(video, "read_header", lambda capture: video.Header(header, 40, 0))
    with open_source(source=write(tmp_path / "v.mp4")) as source:
        assert source.fps == pytest.approx(25.0)
        assert [frame.time for frame in source] == pytest.approx([index / 25 for index in range(40)], abs=1e-3)


def test_rates_are_bounded() -> None:
    assert usual_rate(29.97) == 29.97 and usual_rate(math.nan) is None and usual_rate(60000) is None
    assert measured_rate([0.0, 0.04, 0.08, 5.0, 5.04]) == pytest.approx(25)
    assert measured_rate([0.0, 1e-6, 2e-6]) == 1000
    assert measured_rate([0.0, 0.0, 0.0]) is None and measured_rate([]) is None
    assert measured_rate([0.0, 60.0, 120.0]) == pytest.approx(1 / 60)  # time lapse


@pytest.mark.faults
@pytest.mark.parametrize(
    ("stamps", "times"),
    [
        ([0, 0.04, 0.2, 0.24], [0, 0.04, 0.2, 0.24]),
        ([0, 0, 0, 0], [0, 0.04, 0.08, 0.12]),  # none at all
        ([0, 0.04, 0, 0.12], [0, 0.04, 0.08, 0.12]),  # one missing
        ([0, 0.04, math.nan, 0.12], [0, 0.04, 0.08, 0.12]),
        ([1.2, 1.24, 1.28], [1.2, 1.24, 1.28]),
        ([0, 0.04, 0.04, 0.12], [0, 0.04, 0.08, 0.12]),  # repeated
        ([0, 5, 5.04, 0.04, 0.08], [0, 5, 5.04, 5.08, 5.12]),  # joined recordings
        ([0, 0.04, 1e12, 0.12, 0.16], [0, 0.04, 0.08, 0.12, 0.16]),  # absurd
        ([9e17, 9e17 + 1024, 9e17 + 2048], [0, 1024, 2048]),
        ([-0.08, 0.04, 0.08], [0, 0.04, 0.08]),
        ([0, 600, 1200], [0, 600, 1200]),  # a camera that records motion only
    ],
)
def test_times_rise_whatever_the_stamps(stamps: list[float], times: list[float]) -> None:
    clock = MediaClock(25.0)
    assert [clock.time(stamp) for stamp in stamps] == pytest.approx(times)


def test_times_that_were_counted_meet_the_stamps_again() -> None:
    clock = MediaClock(10.0)  # the header's rate is too low
    times = [clock.time(stamp) for stamp in (0, 0.04, 0, 0, *(0.16 + 0.04 * index for index in range(20)))]
    assert all(before < after for before, after in pairwise(times))
    assert times[-1] == pytest.approx(0.16 + 0.04 * 19)


@pytest.mark.faults
def test_a_black_video_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "v.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, SIZE)
    for _ in range(5):
        writer.write(np.zeros((*SIZE[::-1], 3), np.uint8))
    writer.release()
    done = run("--source", path)
    assert done.returncode == 2
    assert [line for line in done.stderr.splitlines() if "black in all of its 5 frames" in line]


@pytest.mark.faults
def test_what_is_no_video_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(SourceError, match="is empty"):
        video.open_video(tmp_path / "empty.mp4")
    with pytest.raises(SourceError, match="neither a file nor a pipe"):
        video.open_video(Path("/dev/zero"))
    with pytest.raises(SourceError, match="neither a file nor a pipe"):
        video.open_video(tmp_path)
    with pytest.raises(SourceError, match="nothing was written"):
        open_pipe(tmp_path / "pipe.mp4", 0.05)


@pytest.mark.faults
def test_a_video_can_be_read_from_a_pipe(tmp_path: Path) -> None:
    content = write(tmp_path / "v.mkv").read_bytes()
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(content,))
    writer.start()
    frames, problem = read(tmp_path / "pipe")
    writer.join()
    assert len(frames) == 40 and problem is None


@pytest.mark.parametrize(("side", "message"), [(12000, "12000x12000 = "), (30000, "no picture that can be decoded")])
def test_huge_frames_are_refused(tmp_path: Path, side: int, message: str) -> None:
    path = write(tmp_path / "v.avi", 2)
    header = b"\xff\xc0\x00\x11\x08"  # of a JPEG, before height and width
    small, huge = struct.pack(">HH", *SIZE[::-1]), struct.pack(">HH", side, side)
    data = path.read_bytes().replace(header + small, header + huge)
    at = data.index(b"strf") + 12
    path.write_bytes(data[:at] + struct.pack("<II", side, side) + data[at + 8 :])
    with pytest.raises(SourceError, match=message):
        read(path)
