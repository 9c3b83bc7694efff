"""Folders with what is no picture, files with any name, and several pictures in one file."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from network_camera import PORTRAIT
from picture_bytes import gif, png
from running import run

from fer_edge.edge.errors import FerEdgeError, SourceError
from fer_edge.edge.files.paths import local_path, opencv_path
from fer_edge.edge.sources import open_source, pictures
from fer_edge.edge.sources.capture import open_capture
from fer_edge.edge.sources.options import SourceOptions
from fer_edge.edge.sources.picture_files import list_pictures
from fer_edge.edge.sources.pictures import load_picture, read_picture
from fer_edge.edge.types import Frame

NO_UTF8 = [b"\xff", b"caf\xe9", b"\xed\xa0\x80"]
"""Names that are not UTF-8: the last one is a surrogate as some encoders write it."""


def frames(options: SourceOptions) -> tuple[list[Frame], str | None]:
    with open_source(options) as source:
        return list(source), source.problem


def name(name: bytes, suffix: str) -> str:
    return os.fsdecode(name) + suffix


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """A portrait between what only has a picture's name."""
    (tmp_path / "album").mkdir()
    (tmp_path / "album" / "m.jpg").write_bytes(PORTRAIT.read_bytes())
    return tmp_path / "album"


def special(folder: Path, kind: str) -> Path:
    """Make something in the folder that is no picture file, with a name of one."""
    path = folder / f"{kind}.jpg"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(os.path.relpath(path))
    elif kind == "empty":
        path.touch()
    elif kind == "cut off":
        path.write_bytes(PORTRAIT.read_bytes()[:30_000])
    elif kind == "text":
        path.write_text("no picture\n")
    else:
        path.symlink_to({"dangling": "nothing", "loop": path.name, "device": "/dev/zero"}[kind])
    return path


@pytest.mark.faults
@pytest.mark.parametrize("kind", ["pipe", "socket", "empty", "cut off", "text", "dangling", "loop", "device"])
def test_what_cannot_be_read_is_one_counted_line(album: Path, kind: str, messages: list[str]) -> None:
    path = special(album, kind)
    found, problem = frames(SourceOptions(source=str(album)))
    assert [frame.pixels.shape for frame in found] == [(512, 512, 3)] and messages == []
    assert problem is not None and problem.startswith(f"1 of 2 pictures could not be read: {path} ")


def test_a_folder_with_a_picture_s_name_is_a_sub_folder(album: Path, messages: list[str]) -> None:
    (album / "x.jpg").mkdir()
    (album / "x.jpg" / "y.jpg").write_bytes(PORTRAIT.read_bytes())
    assert len(frames(SourceOptions(source=str(album)))[0]) == 1
    assert messages == ["source: left out: 1 sub-folder (--recursive reads them)"]
    assert len(frames(SourceOptions(source=str(album), recursive=True))[0]) == 2


@pytest.mark.faults
def test_a_picture_that_vanishes_is_counted(album: Path) -> None:
    (album / "n.jpg").write_bytes(PORTRAIT.read_bytes())
    with open_source(source=album) as source:
        (album / "m.jpg").unlink()
        assert len(list(source)) == 1
    assert source.problem is not None and source.problem.startswith("1 of 2 pictures could not be read: ")


@pytest.mark.faults
def test_a_pipe_without_a_writer_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "PIPE_TIMEOUT", 0.05)
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(SourceError, match="is a pipe that nothing is written to"):
        read_picture(tmp_path / "pipe.jpg")


def test_a_pipe_may_be_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its writer is there, and begins to write only after the time that a pipe has to find one."""
    monkeypatch.setattr(pictures, "PIPE_TIMEOUT", 0.01)
    os.mkfifo(tmp_path / "pipe.jpg")
    descriptor = os.open(tmp_path / "pipe.jpg", os.O_RDWR)  # blocks no opening
    read: list[np.ndarray] = []
    reader = threading.Thread(target=lambda: read.append(read_picture(tmp_path / "pipe.jpg")))
    reader.start()
    reader.join(0.1)
    assert reader.is_alive()
    with open(tmp_path / "pipe.jpg", "wb") as pipe:
        os.close(descriptor)
        pipe.write(PORTRAIT.read_bytes())
    reader.join()
    assert (read[0] == cv2.imread(str(PORTRAIT))).all()


@pytest.mark.faults
def test_a_device_is_not_read_to_its_end() -> None:
    with pytest.raises(SourceError, match="/dev/zero is a device, expected a picture file"):
        read_picture("/dev/zero")


@pytest.mark.faults
@pytest.mark.parametrize("file", [b"\xff.jpg", b"\xff.JPG", b"\xff", b"\xff/a.jpg"])
@pytest.mark.parametrize("form", ["{}", "file://{}", "file://localhost{}"])
def test_pictures_with_names_that_are_not_utf8(tmp_path: Path, file: bytes, form: str) -> None:
    path = tmp_path / os.fsdecode(file)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(PORTRAIT.read_bytes())
    found, problem = frames(SourceOptions(source=form.format(path)))
    assert [frame.pixels.shape for frame in found] == [(512, 512, 3)] and problem is None


@pytest.mark.faults
@pytest.mark.parametrize("file", [*NO_UTF8, "12:30 Ünïcode #1 100%d".encode(), b"-", b" ", b"a\nb"])
@pytest.mark.parametrize("form", ["{}", "./{}", "file://{}", "folder"])
def test_videos_with_any_name(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch, file: bytes, form: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path(name(file, ".avi")) if form != "folder" else Path(name(file, ""), "v.avi")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(clip.read_bytes())
    source = form.format(path.absolute() if "file" in form else path) if form != "folder" else str(path)
    with open_source(source=source) as video:
        assert len(list(video)) == 20 and video.problem is None
        video.name.encode()
        assert "\n" not in video.name
    looped = SourceOptions(source=source, loop=True)
    with open_source(looped) as video:
        assert next(iter(video)).pixels.shape == (240, 320, 3)


def test_an_address_may_be_percent_encoded(tmp_path: Path, clip: Path) -> None:
    path = tmp_path / name(b"a b\xff", ".avi")
    path.write_bytes(clip.read_bytes())
    assert local_path(f"FILE://{tmp_path}/a%20b%FF.avi") == str(path)
    (tmp_path / "100%41.avi").write_bytes(clip.read_bytes())
    assert local_path(f"file://{tmp_path}/100%41.avi") == f"{tmp_path}/100%41.avi"
    assert local_path("rtsp://host/%20") == "rtsp://host/%20"


@pytest.mark.faults
@pytest.mark.parametrize("source", ["rtsp://127.0.0.1:1/\udcff", "http://127.0.0.1:1/\ud800", "gst:filesrc \udcff"])
def test_an_address_that_is_not_utf8_is_an_error(source: str) -> None:
    with pytest.raises(FerEdgeError) as raised:
        open_source(SourceOptions(source=source, frame_timeout=1))
    str(raised.value).encode()


@pytest.mark.faults
def test_a_name_that_is_not_utf8_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9") / name(b"\xff", ".avi")
    path.parent.mkdir()
    with opencv_path(path) as usable:
        writer = cv2.VideoWriter(usable, cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (32, 32))
    writer.write(np.zeros((32, 32, 3), np.uint8))
    writer.release()
    assert os.listdir(path.parent) == [path.name] and open_capture(path, cv2.CAP_FFMPEG) is not None
    with pytest.raises(FerEdgeError, match=r"\\xff/a\.avi cannot be opened"), opencv_path("\udcff/a.avi"):
        pass


@pytest.mark.faults
@pytest.mark.slow
def test_a_run_whose_names_are_not_utf8(tmp_path: Path, clip: Path) -> None:
    """Source and outputs alike; the log and the results are UTF-8."""
    video, shot, lines = (tmp_path / name(b"\xff", suffix) for suffix in (".avi", ".png", ".jsonl"))
    video.write_bytes(clip.read_bytes())
    done = run("--source", video, "--save-picture", shot, "--jsonl", lines, "--csv", tmp_path / name(b"\xff", ".csv"))
    assert done.returncode == 0, done.stderr
    assert "source: " in done.stderr and r"\xff.avi" in done.stderr
    assert len([json.loads(line) for line in lines.read_text("utf-8").splitlines()]) == 20
    assert read_picture(shot).shape == (240, 320, 3)
    refused = run("--source", f"file://{video}", "--save-picture", video)
    assert refused.returncode == 2 and len(refused.stderr.splitlines()) == 1 and video.read_bytes() == clip.read_bytes()


def test_a_picture_s_suffix_that_is_not_utf8(tmp_path: Path, mistake: Callable[..., str]) -> None:
    line = mistake("run", "--source", PORTRAIT, "--show", "none", "--save-picture", tmp_path / name(b"a.\xff", ""))
    assert r"a.\xff: OpenCV cannot write" in line


@pytest.mark.faults
def test_suffixes_in_a_folder(tmp_path: Path, messages: list[str]) -> None:
    """Whatever this OpenCV can write is also read from a folder, in any case, or without a suffix."""
    pixels = cv2.resize(cv2.imread(str(PORTRAIT)), (160, 120))
    written = []
    for suffix in (
        "avif",
        "bmp",
        "dib",
        "gif",
        "jfif",
        "jp2",
        "jpe",
        "jpeg",
        "jpg",
        "pam",
        "png",
        "ppm",
        "tif",
        "webp",
    ):
        known = {"jfif": "jpg"}.get(suffix, suffix)
        if cv2.haveImageWriter(f"x.{known}"):
            data = cv2.imencode(f".{known}", pixels)[1].tobytes()
            written += [tmp_path / f"{suffix}.{suffix.upper()}", tmp_path / suffix]
            for path in written[-2:]:
                path.write_bytes(data)
    for other in ("a.txt", "b.mp4", "c.heic", "README"):
        (tmp_path / other).write_text("something else")
    found = list_pictures(tmp_path)
    assert found.paths == sorted(written)
    assert found.left_out == "4 files that are no pictures (without suffix, .txt, .mp4, .heic)"
    shapes = {frame.pixels.shape for frame in frames(SourceOptions(source=str(tmp_path)))[0]}
    assert shapes == {(120, 160, 3)}
    assert messages == [f"source: left out: {found.left_out}"]


@pytest.mark.faults
def test_of_several_pictures_in_a_folder_the_first_is_read_and_said(tmp_path: Path, messages: list[str]) -> None:
    pages = [np.full((20, 30, 3), shade, np.uint8) for shade in (50, 200)]
    (tmp_path / "pages.tiff").write_bytes(cv2.imencodemulti(".tiff", pages)[1].tobytes())
    (tmp_path / "one.tiff").write_bytes(cv2.imencodemulti(".tiff", pages[:1])[1].tobytes())
    found, problem = frames(SourceOptions(source=str(tmp_path)))
    assert [int(frame.pixels.mean()) for frame in found] == [50, 50] and problem is None
    assert messages == ["source: 1 file holds several pictures (animations, pages), of which the first was read"]
    assert load_picture(tmp_path / "pages.tiff").several and not load_picture(tmp_path / "one.tiff").several


@pytest.mark.faults
@pytest.mark.parametrize("suffix", [".gif", ".GIF", ""])
def test_an_animation_that_is_named_alone_is_a_video(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a{suffix}").write_bytes(gif(3, 2, 4))
    with open_source(source=tmp_path / f"a{suffix}") as source:
        assert source.continuous and len(list(source)) == 4
    (tmp_path / f"a{suffix}").write_bytes(gif(3, 2, 1))
    with open_source(source=tmp_path / f"a{suffix}") as source:
        assert len(list(source)) == 1


def test_a_picture_without_a_suffix_is_none_of_a_row(tmp_path: Path) -> None:
    jpeg = PORTRAIT.read_bytes()
    for count in (1, 3):
        (tmp_path / "a").write_bytes(count * jpeg)
        found, problem = frames(SourceOptions(source=str(tmp_path / "a")))
        assert len(found) == count and problem is None


@pytest.mark.faults
@pytest.mark.parametrize(
    "words", [["--save-picture", "new.png"], ["--csv", "sub/x.jpg"], ["--save-picture", "sub/y.png"]]
)
@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_no_output_among_the_pictures_of_a_folder(
    album: Path, mistake: Callable[..., str], words: list[str], form: str
) -> None:
    """A picture that is read is not overwritten, and a new one would be read by the next run."""
    (album / "sub").mkdir()
    (album / "sub" / "x.jpg").write_bytes(PORTRAIT.read_bytes())
    before = {path: path.read_bytes() for path in album.rglob("*.*")}
    flag, output = words
    line = mistake("run", "--show", "none", "--recursive", "--source", form.format(album), flag, album / output)
    assert line.startswith(f"fer-edge: {flag}: ")
    assert {path: path.read_bytes() for path in album.rglob("*.*")} == before


def test_pixels_are_right_in_every_kind_of_picture(tmp_path: Path) -> None:
    """Gray, 16 bits, transparency, a palette, one bit: 8-bit BGR, and gray where that is asked for."""
    pixels = cv2.resize(cv2.imread(str(PORTRAIT)), (40, 30))
    gray = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    kinds = {
        "bgr.png": (pixels, pixels),
        "gray.png": (gray, np.dstack(3 * [gray])),
        "deep.png": (pixels.astype(np.uint16) * 257, pixels),
        "deep.tiff": (pixels.astype(np.uint16) * 257, pixels),
        "deep gray.tiff": (gray.astype(np.uint16) * 257, np.dstack(3 * [gray])),
        "transparent.png": (np.dstack((pixels, np.full((30, 40), 255, np.uint8))), pixels),
        "transparent.tiff": (np.dstack((pixels, np.full((30, 40), 255, np.uint8))), pixels),
    }
    for file, (written, expected) in kinds.items():
        assert cv2.imwrite(str(tmp_path / file), written)
        loaded = load_picture(tmp_path / file).pixels
        assert loaded.dtype == np.uint8 and (loaded == expected).all(), file
        as_gray = load_picture(tmp_path / file, gray=True).pixels
        assert as_gray.shape == (30, 40) and np.abs(as_gray.astype(int) - gray).max() <= 1, file
    (tmp_path / "bits.png").write_bytes(png(40, 30))
    assert (read_picture(tmp_path / "bits.png") == np.zeros((30, 40, 3))).all()


def test_pixels_from_0_to_1_are_no_black_picture(tmp_path: Path) -> None:
    assert cv2.imwrite(str(tmp_path / "a.pfm"), cv2.imread(str(PORTRAIT)).astype(np.float32) / 255)
    with pytest.raises(SourceError, match="floating-point pixels"):
        read_picture(tmp_path / "a.pfm")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_a_jpeg_in_memory(tmp_path: Path, orientation: int) -> None:
    pixels = cv2.resize(cv2.imread(str(PORTRAIT)), (40, 30))
    jpeg = cv2.imencode(".jpg", pixels)[1].tobytes()
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01" + bytes((0, orientation)) + bytes(6)
    tagged = jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2) + exif + jpeg[2:]
    (tmp_path / "a.jpg").write_bytes(tagged)
    plain = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    turned = [plain, plain[:, ::-1], plain[::-1, ::-1], plain[::-1]]
    turned += [np.rot90(plain[:, ::-1]), np.rot90(plain, -1), np.rot90(plain[:, ::-1], -1), np.rot90(plain)]
    assert (read_picture(tmp_path / "a.jpg") == turned[orientation - 1]).all()
