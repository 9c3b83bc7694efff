"""Videos and pictures written by OpenCV, rotation, and sources that cannot be opened."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from fake_picamera2 import gradient
from waiting import LIMIT

from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources import open_source
from fer_edge.edge.sources.capture import open_capture
from fer_edge.edge.sources.options import SourceOptions
from fer_edge.edge.sources.pictures import list_pictures, read_picture
from fer_edge.edge.sources.stream import open_in_time

FPS = 12.5


def picture(shade: int) -> np.ndarray:
    pixels = np.full((120, 160, 3), shade, np.uint8)
    pixels[20:100, 40:120] = np.random.default_rng(shade).integers(0, 255, (80, 80, 3))
    return pixels


def write_video(path: Path, count: int = 40) -> Path:
    codec = {".avi": "MJPG", ".mp4": "mp4v"}[path.suffix]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), FPS, (160, 120))
    assert writer.isOpened()
    for index in range(count):
        writer.write(picture(5 * index))
    writer.release()
    return path


def faststart(path: Path) -> Path:
    """Move an MP4's index to its front, as for web servers: only then can it be read when it is cut off."""
    data = path.read_bytes()
    atoms, at = {}, 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4])
        atoms[data[at + 4 : at + 8]] = data[at : at + size]
        at += size
    index = bytearray(atoms[b"moov"])
    table = index.index(b"stco") + 8
    for entry in range(int.from_bytes(index[table : table + 4])):
        place = table + 4 + 4 * entry
        index[place : place + 4] = (int.from_bytes(index[place : place + 4]) + len(index)).to_bytes(4)
    rest = b"".join(atom for name, atom in atoms.items() if name not in (b"ftyp", b"moov"))
    path.write_bytes(atoms[b"ftyp"] + bytes(index) + rest)
    return path


@pytest.mark.parametrize("suffix", [".avi", ".mp4"])
def test_video_gives_every_frame_in_media_time(tmp_path: Path, suffix: str) -> None:
    with open_source(source=str(write_video(tmp_path / f"v{suffix}"))) as source:
        frames = list(source)
    assert source.fps == pytest.approx(FPS)
    assert source.problem is None
    assert not source.live
    assert [frame.index for frame in frames] == list(range(40))
    assert [frame.time for frame in frames] == pytest.approx([i / FPS for i in range(40)], abs=1e-3)
    shades = [float(frame.pixels[:10].mean()) for frame in frames]
    assert shades == pytest.approx([5 * i for i in range(40)], abs=6)  # lossy coding
    assert len({id(frame.pixels) for frame in frames}) == 40  # each frame's memory is its own


def test_a_looped_video_is_a_live_source_that_never_ends(tmp_path: Path) -> None:
    with open_source(SourceOptions(source=str(write_video(tmp_path / "v.avi", 4)), loop=True)) as source:
        frames = list(islice(source, 10))
    assert source.live and source.continuous and source.fps == pytest.approx(FPS)
    numbers = [frame.index for frame in frames]
    assert numbers == sorted(set(numbers)) and numbers[-1] >= 9  # a slow reader skips some, as with a camera
    assert [frame.time for frame in frames] == pytest.approx([number / FPS for number in numbers], abs=1e-3)
    assert [frame.pixels[:10].mean() for frame in frames] == pytest.approx([5 * (n % 4) for n in numbers], abs=6)


@pytest.mark.slow
def test_a_looped_video_that_is_cut_off_ends_with_an_error(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.avi")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with open_source(SourceOptions(source=str(path), loop=True)) as source, pytest.raises(SourceError, match="cut off"):
        list(source)


@pytest.mark.parametrize("fields", [{"camera": "0"}, {"source": "rtsp://camera/1"}, {"source": "."}, {}])
def test_only_a_video_can_be_looped(fields: dict[str, str]) -> None:
    with pytest.raises(SourceError, match="expected a video file"):
        open_source(SourceOptions(**fields, loop=True))


@pytest.mark.parametrize("suffix", [".avi", ".mp4"])
@pytest.mark.parametrize("share", [0.9, 0.5])
def test_cut_video_keeps_what_was_decoded(tmp_path: Path, suffix: str, share: float) -> None:
    path = write_video(tmp_path / f"v{suffix}")
    if suffix == ".mp4":
        faststart(path)
        with open_source(source=str(path)) as whole:
            assert len(list(whole)) == 40
            assert whole.problem is None
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with open_source(source=str(path)) as source:
        frames = list(source)
    assert 0.7 * share * 40 <= len(frames) < 40
    assert source.problem is not None
    assert "is cut off" in source.problem
    assert f"{len(frames)} of 40" in source.problem


def test_file_that_grows_is_read_to_its_end_at_that_time(tmp_path: Path) -> None:
    """And not reopened: a file is no camera that could come back."""
    path = tmp_path / "v.mjpeg"
    jpegs = b"".join(cv2.imencode(".jpg", picture(20 * index))[1].tobytes() for index in range(10))
    path.write_bytes(jpegs)
    count = 0
    with open_source(source=str(path)) as source:
        for frame in source:
            assert frame.index == count
            count += 1
            if count == 5:
                with path.open("ab") as more:
                    more.write(jpegs)
    assert 10 <= count <= 20
    assert source.problem is None


def test_mp4_without_its_index_is_an_error(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SourceError, match="not a readable video"):
        open_source(source=str(path))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of the folder on a server without byte ranges."""
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


def test_a_recording_on_a_server_is_read_to_its_end(tmp_path: Path, server: str) -> None:
    faststart(write_video(tmp_path / "v.mp4"))
    with open_source(source=f"{server}/v.mp4") as source:
        assert not source.live and source.fps == FPS
        assert [frame.index for frame in source] == list(range(40))
    assert source.problem is None


def test_a_recording_that_its_server_cuts_off_has_a_problem(tmp_path: Path, server: str) -> None:
    path = faststart(write_video(tmp_path / "v.mp4"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with open_source(source=f"{server}/v.mp4") as source:
        assert len(list(source)) < 40
    assert source.problem is not None and "of 40 frames" in source.problem


def test_a_recording_whose_index_comes_last_needs_byte_ranges(tmp_path: Path, server: str) -> None:
    write_video(tmp_path / "v.mp4")
    with (
        open_source(source=f"{server}/v.mp4") as source,
        pytest.raises(SourceError, match=r"v\.mp4 .*byte ranges.*download it"),
    ):
        list(source)


@pytest.mark.parametrize("content", [b"", b"no video at all\n" * 100])
def test_a_file_that_is_no_video_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "v.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"v\.mp4"), open_source(source=str(path)) as source:
        list(source)


def test_a_video_without_read_permission_is_an_error() -> None:
    """Checked as an ordinary user: root may read anything."""
    if os.geteuid():
        pytest.skip("needs root to become another user")
    code = "import os, sys; from pathlib import Path; from fer_edge.edge.sources.video import open_video\n"
    code += "os.setgroups([]); os.setgid(65534); os.setuid(65534); open_video(Path(sys.argv[1]))"
    with tempfile.NamedTemporaryFile(suffix=".mp4") as video_file:
        done = subprocess.run([sys.executable, "-c", code, video_file.name], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1].endswith(f"SourceError: {video_file.name} cannot be read: Permission denied")


def test_missing_source() -> None:
    with pytest.raises(SourceError, match="nowhere: no such file"):
        open_source(source="nowhere")
    with pytest.raises(SourceError, match="--camera 3"):
        open_source(source="3")


def test_a_folder_is_read_on_after_an_unreadable_picture(tmp_path: Path) -> None:
    for name, shade in (("b.png", 50), ("a.jpg", 10), ("c.PNG", 90)):
        (tmp_path / name).write_bytes(cv2.imencode(name[1:], picture(shade))[1].tobytes())
    (tmp_path / "aa.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:1000])
    (tmp_path / "empty.png").touch()
    (tmp_path / "notes.txt").write_text("not a picture")
    with open_source(source=str(tmp_path)) as source:
        frames = list(source)
    assert [round(float(frame.pixels[:10].mean()) / 10) for frame in frames] == [1, 5, 9]
    assert not source.continuous
    assert source.problem is not None
    assert source.problem.startswith("2 of 5 pictures could not be read")


def test_folder_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no pictures"):
        list_pictures(tmp_path)


def test_gray_and_sixteen_bit_pictures_become_bgr(tmp_path: Path) -> None:
    for name, pixels in (("g.png", np.full((8, 9), 77, np.uint8)), ("w.png", np.full((8, 9), 77 * 257, np.uint16))):
        cv2.imwrite(str(tmp_path / name), pixels)
        read = read_picture(tmp_path / name)
        assert read.shape == (8, 9, 3)
        assert read.dtype == np.uint8
        assert (read == 77).all()


def test_a_large_file_that_is_no_picture_is_not_read(tmp_path: Path) -> None:
    video_file = write_video(tmp_path / "party.mp4", 2)
    os.truncate(video_file, 1 << 40)  # sparse: no machine has the memory for it
    with pytest.raises(SourceError, match=r"party\.mp4 is no picture that OpenCV can read; .* fer-edge run --source"):
        read_picture(video_file)


def test_a_picture_can_be_read_from_a_pipe() -> None:
    def read_through_pipe(content: bytes) -> np.ndarray:
        reader, writer = os.pipe()
        with open(reader), open(writer, "wb") as pipe:
            pipe.write(content)
            pipe.close()
            return read_picture(f"/dev/fd/{reader}")

    assert (read_through_pipe(cv2.imencode(".png", picture(50))[1].tobytes()) == picture(50)).all()
    with pytest.raises(SourceError, match="not a whole picture"):
        read_through_pipe(b"")


def test_a_folder_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read: Is a directory"):
        read_picture(tmp_path)


def test_a_file_name_need_not_be_utf8(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff.png")
    path.write_bytes(cv2.imencode(".png", picture(50))[1].tobytes())
    assert (read_picture(path) == picture(50)).all()


@pytest.mark.parametrize(
    ("camera", "message"),
    [
        ("99", "V4L2: /dev/video99 does not exist"),
        ("99", "libcamera: picamera2 is missing"),
        ("/dev/video99", "/dev/video99 does not exist"),
        ("front", "is not a number"),
    ],
)
def test_missing_camera(
    camera: str, message: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(SourceError) as raised:
        open_source(camera=camera)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert capfd.readouterr().err == ""  # OpenCV wrote nothing


def test_device_that_is_no_camera(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SourceError, match="cannot be opened as a V4L2 camera"):
        open_source(camera="/dev/null")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("shape", [(480, 640), (720, 1280)])
@pytest.mark.parametrize(("rotate", "mirror"), [(r, m) for r in (0, 90, 180, 270) for m in (False, True)])
def test_pictures_are_rotated_exactly(tmp_path: Path, shape: tuple[int, int], rotate: int, mirror: bool) -> None:
    pixels = gradient(shape[1], shape[0])
    cv2.imwrite(str(tmp_path / "p.png"), pixels)
    with open_source(SourceOptions(source=str(tmp_path / "p.png"), rotate=rotate, mirror=mirror)) as source:
        (frame,) = source
    rotated = np.rot90(pixels, -rotate // 90)
    assert (frame.pixels == (rotated[:, ::-1] if mirror else rotated)).all()
    assert source.problem is None


def test_opening_that_hangs_times_out(tmp_path: Path) -> None:
    """A GStreamer pipeline without a source hangs; a named pipe without a writer stands for it here."""
    silent = tmp_path / "pipe"
    os.mkfifo(silent)
    with pytest.raises(TimeoutError):
        open_in_time(lambda: open_capture(str(silent), cv2.CAP_FFMPEG), 0.2)
    os.close(os.open(silent, os.O_WRONLY))  # the thread that was left behind ends
    video_file = write_video(tmp_path / "v.avi", 3)
    assert open_in_time(lambda: open_capture(str(video_file), cv2.CAP_FFMPEG), LIMIT) is not None
    assert open_in_time(lambda: open_capture(str(tmp_path / "none"), cv2.CAP_FFMPEG), LIMIT) is None
