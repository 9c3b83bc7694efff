"""What a video file's container says of its completeness: frames that MP4 edit lists present, and missing ends.

Sources: ISO/IEC 14496-12 (MP4, MOV), RFC 8794 and RFC 9559 (Matroska, WebM), ISO/IEC 13818-1 (MPEG-TS and PS), Adobe's
Flash Video specification 10.1, Microsoft's Advanced Systems Format specification.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

MAX_INDEX_BYTES = 64 << 20
"""Largest MP4 index that is read: that of a day at 30 frames/s has 20 MB."""

MAX_SAMPLES = 5_000_000
"""Most frames of an MP4 track that are counted; a damaged index may claim any number."""

ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
"""Identifiers of ASF's header and of the object in it that has the file's size."""

PS_START = b"\x00\x00\x01\xba"
MAX_PES = 6 + 0xFFFF
"""How a program stream begins, and the bytes of its longest packet."""

TS_PACKETS = (188, 192, 204)
"""Bytes per packet of a transport stream: plain, with time codes (AVCHD, Blu-ray), with error correction."""


def presented_frames(file: BinaryIO) -> int | None:
    """Count the frames that an MP4 or MOV file presents: a clip trimmed without re-encoding holds more than these.

    Args:
        file: The file, or its beginning.

    Returns:
        The number of frames of the first video track, within its edit list if it has one; None for another format, a
        fragmented file, and one whose index cannot be read.
    """
    with suppress(OSError, ValueError, IndexError, OverflowError):
        index = _read_index(file)
        return (index and _count_presented(index)) or None  # 0: the index of a fragmented file is in its fragments
    return None


def lacks_its_end(path: Path) -> bool | None:
    """Whether a file ends before its structure does.

    Args:
        path: A Matroska, WebM, FLV, ASF, MPEG-TS, MPEG-PS or Ogg file: its header has the length of the longest stream,
            or none.

    Returns:
        None for another format. Ogg has no structure that an end could be missing from.
    """
    with suppress(OSError, ValueError, IndexError), open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(1 << 16)
        if start.startswith(b"\x1a\x45\xdf\xa3"):
            return _segment_end(file) > size
        if start.startswith(b"FLV\x01"):
            return not _ends_with_whole_tag(file, size)
        if start.startswith(ASF_HEADER) and (at := start.find(ASF_PROPERTIES)) > 0:
            return int.from_bytes(start[at + 40 : at + 48], "little") > size
        if _packet_size(start) is not None:
            return ends_in_mid_packet(path)
        if start.startswith(PS_START):
            return ends_in_mid_packet(path)
        if start.startswith(b"OggS"):
            return False
    return None


def ends_in_mid_packet(path: Path) -> bool:
    """Whether a file is an MPEG transport or program stream whose last packet is incomplete: no header says more."""
    with suppress(OSError), open(path, "rb") as file:
        packet = _packet_size(file.read(1024))
        size = os.fstat(file.fileno()).st_size
        if packet is None:
            file.seek(0)
            return file.read(4) == PS_START and _overruns_end(file, size)
        return size % packet != 0
    return False


def _overruns_end(file: BinaryIO, size: int) -> bool:
    """Whether the last packet of an MPEG program stream is longer than what is left of the file."""
    file.seek(max(0, size - MAX_PES))
    tail = file.read()
    at = max(tail.rfind(b"\x00\x00\x01" + bytes([stream])) for stream in (0xBD, 0xC0, 0xE0))
    return at >= 0 and at + 6 + int.from_bytes(tail[at + 4 : at + 6]) > len(tail)


def _packet_size(start: bytes) -> int | None:
    """Bytes per packet of the transport stream that begins like this; None where it is none."""
    for packet in TS_PACKETS:
        sync = 4 if packet == 192 else 0
        if len(start) >= 1024 and all(start[at] == 0x47 for at in range(sync, 1024, packet)):
            return packet
    return None


def _boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """The boxes in a piece of an MP4 file: type, and where its content begins and ends."""
    at, end = start, len(data) if end is None else end
    while at + 8 <= end:
        size, kind, content = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8], at + 8
        if size == 1:
            size, content = int.from_bytes(data[at + 8 : at + 16]), at + 16
        stop = end if size == 0 else at + size
        if stop < content or stop > end:
            raise ValueError("a box reaches beyond the one that holds it")
        yield kind, content, stop
        at = stop


def _find(data: bytes, start: int, end: int, *kinds: bytes) -> tuple[int, int]:
    """Where the content of a nested box begins and ends; ValueError where it is missing."""
    for kind in kinds:
        start, end = next(((a, b) for k, a, b in _boxes(data, start, end) if k == kind), (-1, -1))
        if start < 0:
            raise ValueError(f"no {kind!r}")
    return start, end


def _read_index(file: BinaryIO) -> bytes | None:
    """The content of an MP4's `moov` box; None where there is none."""
    at, size = 0, file.seek(0, os.SEEK_END)
    while at + 8 <= size:
        file.seek(at)
        header = file.read(16)
        length, kind, content = int.from_bytes(header[:4]), header[4:8], 8
        if length == 1:
            length, content = int.from_bytes(header[8:16]), 16
        length = length or size - at
        if length < content or not kind.isascii():
            return None
        if kind == b"moov":
            file.seek(at + content)
            return file.read(length - content) if length <= MAX_INDEX_BYTES else None
        at += length
    return None


def _count_presented(moov: bytes) -> int | None:
    """The frames of the first video track that lie in its edits; None without such a track."""
    movie_scale = _time_scale(moov, *_find(moov, 0, len(moov), b"mvhd"))
    for kind, start, end in _boxes(moov):
        if kind != b"trak":
            continue
        handler = _find(moov, start, end, b"mdia", b"hdlr")[0]
        if moov[handler + 8 : handler + 12] != b"vide":
            continue
        times = _presentation_times(moov, *_find(moov, start, end, b"mdia", b"minf", b"stbl"))
        if not any(kind == b"edts" for kind, _, _ in _boxes(moov, start, end)):
            return times.size
        scale = _time_scale(moov, *_find(moov, start, end, b"mdia", b"mdhd"))
        presented = np.zeros(times.size, bool)
        for duration, media_time in _read_edits(moov, *_find(moov, start, end, b"edts", b"elst")):
            if media_time >= 0:  # else an empty edit, which shows nothing
                stop = media_time + duration * scale / movie_scale
                presented |= (times >= media_time) & ((times < stop) | (duration == 0))  # 0: up to the end
        return int(presented.sum())
    return None


def _time_scale(moov: bytes, start: int, _end: int) -> int:
    """Ticks per second of an mvhd or mdhd box."""
    at = start + (20 if moov[start] == 1 else 12)
    return int.from_bytes(moov[at : at + 4]) or 1


def _read_edits(moov: bytes, start: int, end: int) -> list[tuple[int, int]]:
    """An edit list: each edit's duration in ticks of the movie, and its start in ticks of the media, -1 for none."""
    width = 8 if moov[start] == 1 else 4
    return [
        (int.from_bytes(moov[at : at + width]), int.from_bytes(moov[at + width : at + 2 * width], signed=True))
        for at in range(start + 8, end - 2 * width - 3, 2 * width + 4)
    ]


def _presentation_times(moov: bytes, start: int, end: int) -> NDArray[np.int64]:
    """When each frame of a track is shown, in ticks of its media; in the order of decoding."""
    durations = _runs(moov, *_find(moov, start, end, b"stts"))
    times = np.cumsum(durations) - durations
    if any(kind == b"ctts" for kind, _, _ in _boxes(moov, start, end)):
        offsets = _runs(moov, *_find(moov, start, end, b"ctts"))
        times[: offsets.size] += offsets[: times.size]
    return times


def _runs(moov: bytes, start: int, end: int) -> NDArray[np.int64]:
    """A table of run lengths and values, one value per frame."""
    table = np.frombuffer(moov[start + 8 : end - (end - start) % 8], ">i4").reshape(-1, 2).astype(np.int64)
    counts = table[:, 0] & 0xFFFFFFFF
    if counts.sum() > MAX_SAMPLES:
        raise ValueError("more frames than a file can hold")
    return np.repeat(table[:, 1], counts)


def _segment_end(file: BinaryIO) -> int:
    """Where a Matroska file's segment ends; 0 where it does not say, as in a live recording."""
    file.seek(4)
    file.seek(_read_vint(file), os.SEEK_CUR)
    if file.read(4) != b"\x18\x53\x80\x67":
        return 0
    length = _read_vint(file)
    return file.tell() + length if length >= 0 else 0


def _read_vint(file: BinaryIO) -> int:
    """A Matroska element's length; -1 where it is unknown."""
    first = file.read(1)[0]
    width = 9 - first.bit_length()
    value = int.from_bytes(bytes([first & (0x7F >> (width - 1))]) + file.read(width - 1))
    return -1 if value == (1 << 7 * width) - 1 else value


def _ends_with_whole_tag(file: BinaryIO, size: int) -> bool:
    """Whether the last four bytes of an FLV file are the length of the tag before them."""
    file.seek(size - 4)
    length = int.from_bytes(file.read(4))
    if not 11 <= length <= size - 17:
        return False
    file.seek(size - 4 - length)
    return int.from_bytes(file.read(4)[1:]) == length - 11
