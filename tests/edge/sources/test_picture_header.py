"""Sizes from headers, written by OpenCV and by hand, and limits on what is decoded."""

from __future__ import annotations

import random
import resource
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
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
from fer_edge.edge.sources.pictures import load_picture, read_picture

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
@pytest.mark.faults
@given(st.sampled_from(sorted(WRITTEN)), st.integers(0, 60), st.binary(max_size=6), st.integers(0, 80))
def test_a_damaged_header_is_no_crash(name: str, at: int, noise: bytes, end: int) -> None:
    data = WRITTEN[name][0]
    try:
        header = read_header((data[:at] + noise + data[at + len(noise) :])[:end])
    except ValueError:
        return
    assert header is None or min(header.width, header.height) > 0


def damage(data: bytes, rng: random.Random) -> bytes:
    """The file with a few bytes changed, left out or added, most of them near its beginning."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(1 + min(len(changed), rng.choice((64, 256, 4096, 1 << 20))))
        noise = rng.choice((b"\xff" * 4, bytes(4), b"\x7f" + b"\xff" * 3, rng.randbytes(1), rng.randbytes(7)))
        changed[at : at + rng.choice((0, 1, len(noise), 40))] = noise
    return bytes(changed)


@pytest.mark.faults
def test_damaged_pictures_cost_an_error_at_most(tmp_path: Path, cases: Callable[[int, int], int]) -> None:
    """In a process of their own, as decoders may end it, with little memory: each is a picture or a SourceError."""
    rng = random.Random(5)
    seeds = [png(40, 30), png(40, 30, 3), gif(40, 30, 3), PORTRAIT.read_bytes()]
    small = cv2.resize(cv2.imread(str(PORTRAIT)), (80, 60))
    for suffix in FORMATS:
        with suppress(cv2.error):
            seeds.append(cv2.imencode(f".{suffix}", small.astype(FORMATS[suffix]))[1].tobytes())
    folder = tmp_path / "damaged"
    folder.mkdir()
    for number in range(cases(400, 40_000)):
        (folder / f"{number:05d}.png").write_bytes(damage(seeds[number % len(seeds)], rng))
    done = subprocess.run(
        [sys.executable, "-c", READ_ALL, folder], capture_output=True, text=True, preexec_fn=limit_memory, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    read, refused = map(int, done.stdout.split())
    assert read + refused == cases(400, 40_000) and min(read, refused) > 0


READ_ALL = """
import sys
from pathlib import Path
from fer_edge.edge.errors import SourceError
from fer_edge.edge.sources.pictures import load_picture, read_pictures
results = [picture for _, picture in read_pictures(sorted(Path(sys.argv[1]).iterdir()), 4_000_000)]
refused = [each for each in results if isinstance(each, SourceError)]
assert not [each for each in refused if "memory" in str(each)], refused
print(len(results) - len(refused), len(refused))
"""


@pytest.mark.faults
def test_a_chunk_longer_than_its_file_is_not_allocated(tmp_path: Path) -> None:
    data = bytearray(png(40, 30))
    data[33:37] = b"\x7f\xff\xff\xff"
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(SourceError, match="not a whole picture"):
        read_picture(tmp_path / "a.png")


@pytest.mark.faults
def test_a_damaged_animation_is_a_picture(tmp_path: Path) -> None:
    """OpenCV 4 would end the process: more frames are announced than there are."""
    (tmp_path / "a.png").write_bytes(png(40, 30, 1 << 30))
    assert load_picture(tmp_path / "a.png").pixels.shape == (30, 40, 3) and load_picture(tmp_path / "a.png").several


def test_jpeg_2000_is_read_where_that_is_safe(tmp_path: Path) -> None:
    (tmp_path / "a.jp2").write_bytes(encoded("jp2"))
    if cv2.__version__.startswith("4."):
        with pytest.raises(SourceError, match="OpenCV 5 is needed"):
            read_picture(tmp_path / "a.jp2")
    else:
        assert read_picture(tmp_path / "a.jp2").shape == (HEIGHT, WIDTH, 3)


def limit_memory() -> None:
    """An address space that cannot hold 900 million pixels."""
    resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))


def run_in_little_memory(words: list[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fer_edge.edge.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, preexec_fn=limit_memory, check=False)


@pytest.mark.faults
@pytest.mark.parametrize("command", [["predict"], ["run", "--show", "none", "--source"]])
def test_a_huge_picture_costs_one_line_and_no_memory(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "huge.png").write_bytes(png(30_000, 30_000))
    (tmp_path / "portrait.jpg").write_bytes(PORTRAIT.read_bytes())
    done = run_in_little_memory([*command, str(tmp_path)])
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if "huge.png" in line]
    assert len(lines) == 1 and "30000x30000" in lines[0] and f"--max-pixels {MAX_PIXELS}" in lines[0]
    assert done.stderr.splitlines()[-1].startswith("fer-edge: 1 of 2 pictures could not be read")


@pytest.mark.faults
def test_a_picture_that_memory_does_not_hold_is_an_error(tmp_path: Path) -> None:
    """It has the user's permission, but not the machine's."""
    (tmp_path / "huge.png").write_bytes(png(30_000, 30_000))
    done = run_in_little_memory(["predict", str(tmp_path / "huge.png"), "--max-pixels", "900000000"])
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
