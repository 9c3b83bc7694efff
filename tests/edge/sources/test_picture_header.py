"""Sizes from headers, written by OpenCV and by hand, and limits on what is decoded."""

from __future__ import annotations

import resource
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from network_camera import PORTRAIT
from picture_bytes import big_tiff, gif, png, tiff

from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources import open_source
from fer_edge.edge.sources.options import SourceOptions
from fer_edge.edge.sources.picture_header import MAX_PIXELS, PictureHeader, check_size, read_header
from fer_edge.edge.sources.pictures import read_picture

WIDTH, HEIGHT = 161, 90
FORMATS = {
    **dict.fromkeys(("bmp", "jpg", "pam", "png", "ppm", "ras", "tiff", "webp", "jp2", "gif", "avif"), np.uint8),
    **dict.fromkeys(("hdr", "pfm"), np.float32),
}


def encoded(suffix: str, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    """A picture in a format; skips the test where this OpenCV cannot write it."""
    pixels = cv2.resize(cv2.imread(str(PORTRAIT)), (width, height)).astype(FORMATS[suffix])
    try:
        done, data = cv2.imencode(f".{suffix}", pixels)
    except cv2.error:
        done = False
    if not done:
        pytest.skip(f"this OpenCV writes no .{suffix}")
    return bytes(data.tobytes())


@pytest.mark.parametrize("suffix", FORMATS)
def test_header_says_the_size_that_is_decoded(suffix: str) -> None:
    data = encoded(suffix)
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert read_header(data) == PictureHeader(decoded.shape[1], decoded.shape[0]) == PictureHeader(WIDTH, HEIGHT)


WRITTEN = {
    "png": (png(30_000, 30_000), False),
    "one-frame apng": (png(30_000, 30_000, 1), False),
    "apng": (png(30_000, 30_000, 2), True),
    "gif": (gif(30_000, 30_000, 1), False),
    "animated gif": (gif(30_000, 30_000, 2), True),
    "tiff": (tiff(30_000, 30_000, "<", 1), False),
    "tiff with pages": (tiff(30_000, 30_000, ">", 2), True),
    "bigtiff": (big_tiff(30_000, 30_000), False),
    "pbm": (b"P4 # by hand\n# twice\n 30000\n#\n30000\n", False),
    "pgm": (b"P5\n30000 30000\n255\n", False),
    "old bmp": (b"BM" + bytes(12) + struct.pack("<IHH", 12, 30_000, 30_000), False),
    "bmp from the top": (b"BM" + bytes(12) + struct.pack("<Iii", 40, 30_000, -30_000), False),
    "webp": (b"RIFF\0\0\0\0WEBPVP8X" + bytes(8) + (29_999).to_bytes(3, "little") * 2, False),
    "animated webp": (b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0" + (29_999).to_bytes(3, "little") * 2, True),
    "jpeg": (
        b"\xff\xd8\xff\xe0\0\x04\xff\xc0junk\xff\xff\xc2\0\x11\x08" + struct.pack(">HH", 30_000, 30_000) + b"\3" * 9,
        False,
    ),
    "jpeg 2000": (b"\xff\x4f\xff\x51\0\x2f\0\0" + struct.pack(">IIII", 30_010, 30_020, 10, 20), False),
    "avif": (
        b"\0\0\0\x10ftypavif\0\0\0\0" + 2 * (b"\0\0\0\x14ispe\0\0\0\0" + struct.pack(">II", 30_000, 30_000)),
        False,
    ),
    "sun raster": (b"\x59\xa6\x6a\x95" + struct.pack(">II", 30_000, 30_000), False),
    "radiance": (b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 30000 +X 30000\n", False),
}


@pytest.mark.faults
@pytest.mark.parametrize("name", WRITTEN)
def test_headers_of_pictures_of_900_million_pixels(name: str) -> None:
    data, several = WRITTEN[name]
    assert read_header(data) == PictureHeader(30_000, 30_000, several)


@pytest.mark.faults
@given(st.sampled_from(sorted(WRITTEN)), st.integers(0, 60), st.binary(max_size=6), st.integers(0, 80))
def test_a_damaged_header_is_no_crash(name: str, at: int, noise: bytes, end: int) -> None:
    data = WRITTEN[name][0]
    header = read_header((data[:at] + noise + data[at + len(noise) :])[:end])
    assert header is None or min(header.width, header.height) > 0


def limited_memory(words: list[str]) -> subprocess.CompletedProcess[str]:
    """Run `fer-edge` with an address space that cannot hold 900 million pixels."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))

    command = [sys.executable, "-m", "fer_edge.edge.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, preexec_fn=limit, check=False)


@pytest.mark.faults
@pytest.mark.parametrize("command", [["predict"], ["run", "--show", "none", "--source"]])
def test_a_huge_picture_costs_one_line_and_no_memory(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "huge.png").write_bytes(png(30_000, 30_000))
    (tmp_path / "portrait.jpg").write_bytes(PORTRAIT.read_bytes())
    done = limited_memory([*command, str(tmp_path)])
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if "huge.png" in line]
    assert len(lines) == 1 and "30000x30000" in lines[0] and f"--max-pixels {MAX_PIXELS}" in lines[0]
    assert done.stderr.splitlines()[-1].startswith("fer-edge: 1 of 2 pictures could not be read")


@pytest.mark.faults
def test_a_picture_that_memory_does_not_hold_is_an_error(tmp_path: Path) -> None:
    """It has the user's permission, but not the machine's."""
    (tmp_path / "huge.png").write_bytes(png(30_000, 30_000))
    done = limited_memory(["predict", str(tmp_path / "huge.png"), "--max-pixels", "900000000"])
    assert (done.returncode, done.stdout) == (2, "")
    assert "not enough memory" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("read", [read_picture, lambda path, limit: next(iter(source(path, limit)))])
def test_the_limit_is_exact_and_can_be_raised(tmp_path: Path, read: Callable[[Path, int], object]) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded("png", 40, 30))
    read(path, 1200)
    with pytest.raises(SourceError, match="40x30 = 1200 pixels, more than --max-pixels 1199"):
        read(path, 1199)


def source(path: Path, limit: int) -> list[object]:
    with open_source(SourceOptions(source=str(path), max_pixels=limit)) as opened:
        frames = list(opened)
    if opened.problem:
        raise SourceError(opened.problem)
    return list(frames)


@pytest.mark.faults
def test_a_video_has_the_same_limit(clip: Path) -> None:
    assert len(source(clip, 320 * 240)) == 20
    for loop in (False, True):
        with pytest.raises(SourceError, match="320x240 = 76800 pixels, more than --max-pixels 76799"):
            open_source(SourceOptions(source=str(clip), max_pixels=320 * 240 - 1, loop=loop))


def test_what_opencv_cannot_read_is_said() -> None:
    check_size(20_000, 6400, "a.png")
    with pytest.raises(SourceError, match="OpenCV reads up to 1073741824"):
        check_size(40_000, 40_000, "a.png")
