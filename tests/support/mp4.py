"""MP4 files whose index is changed, as phones and editors write it and OpenCV does not."""

from __future__ import annotations

import struct
from pathlib import Path

HOLDERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts")
TIME_SCALE = 1000
"""Ticks of the movie per second, as FFmpeg writes them."""


def boxes(data: bytes) -> list[tuple[bytes, bytes]]:
    """The boxes in a piece of a file: type and content."""
    found, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4])
        found.append((data[at + 4 : at + 8], data[at + 8 : at + size]))
        at += size
    return found


def replace_boxes(path: Path, contents: dict[bytes, bytes]) -> Path:
    """Give boxes of the index new contents; it must be the file's last box, so that nothing else moves."""
    path.write_bytes(_rebuilt(path.read_bytes(), contents))
    return path


def _rebuilt(data: bytes, contents: dict[bytes, bytes]) -> bytes:
    rebuilt = b""
    for kind, old in boxes(data):
        new = _rebuilt(old, contents) if kind in HOLDERS else contents.get(kind, old)
        rebuilt += struct.pack(">I", len(new) + 8) + kind + new
    return rebuilt


def edit_list(start: int, seconds: float) -> dict[bytes, bytes]:
    """An edit list that shows so many seconds from a time in ticks of the track on, as a trimmed clip has it."""
    return {b"elst": struct.pack(">IIIiHH", 0, 1, round(seconds * TIME_SCALE), start, 1, 0)}


def durations(ticks: list[int]) -> dict[bytes, bytes]:
    """The duration of each frame, in ticks of the track."""
    return {b"stts": struct.pack(">II", 0, len(ticks)) + b"".join(struct.pack(">II", 1, each) for each in ticks)}


def track_scale(path: Path) -> int:
    """Ticks of the track per second."""
    data = path.read_bytes()
    at = data.index(b"mdhd") + 4
    return int.from_bytes(data[at + 12 : at + 16])


def rotation(path: Path, degrees: int) -> dict[bytes, bytes]:
    """A track header that rotates the frames clockwise, as a phone held upright writes it."""
    data = path.read_bytes()
    at = data.index(b"tkhd")
    header = bytearray(data[at + 4 : at - 4 + int.from_bytes(data[at - 4 : at])])
    sine, cosine = {0: (0, 1), 90: (1, 0), 180: (0, -1), 270: (-1, 0)}[degrees]
    one = 1 << 16
    header[40:76] = struct.pack(">9i", cosine * one, sine * one, 0, -sine * one, cosine * one, 0, 0, 0, 1 << 30)
    return {b"tkhd": bytes(header)}
