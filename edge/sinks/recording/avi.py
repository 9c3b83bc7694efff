"""AVI of JPEG pictures (Microsoft's RIFF, with OpenDML's further parts beyond a gigabyte)."""

from __future__ import annotations

import struct
from array import array
from itertools import accumulate

from fer_edge.edge.sinks.recording.part_file import PartFile
from fer_edge.edge.sinks.recording.stream import Packet, StreamInfo

RIFF_BYTES = 1 << 30
"""Size from which the file goes on in a further part: old players read no more, and sizes have 32 bits."""

HAS_INDEX, IS_INTERLEAVED, KEY_FRAME = 0x10, 0x100, 0x10
TOTAL_OFFSET, LENGTH_OFFSET = 48, 140
"""Where the two headers have the number of pictures."""


class Avi:
    """An AVI of JPEGs, which has its sizes and an index when it is finished."""

    def __init__(self, file: PartFile, info: StreamInfo) -> None:
        self._file, self._info = file, info
        self._count = 0
        self._sizes = array("I")  # of the pictures in the first part
        self._parts: list[tuple[int, int]] = []  # offsets of each part's RIFF and movi

    def write(self, packet: Packet, number: int) -> None:
        while self._count < number:
            self._write(b"")  # shows the picture before it once more
        self._write(packet.data)

    def _write(self, picture: bytes) -> None:
        data, offset = b"", self._file.size
        if not self._parts:
            data = self._header()
            part = (0, len(data) - 12)
        else:
            part = self._parts[-1]
            if offset - part[0] > RIFF_BYTES:
                self._end_part()
                part = (self._file.size, self._file.size + 12)
                data = struct.pack("<4sI4s4sI4s", b"RIFF", 0, b"AVIX", b"LIST", 0, b"movi")
        self._file.append(data + _chunk(b"00dc", picture, bytes(len(picture) % 2), size=len(picture)))
        if data:
            self._parts.append(part)
        self._count += 1
        if len(self._parts) == 1:
            self._sizes.append(len(picture))

    def _header(self) -> bytes:
        width, height, rate = self._info.width, self._info.height, self._info.rate
        ticks = round(rate * 1000)
        main = struct.pack("<10I16x", round(1e6 / rate), 0, 0, HAS_INDEX | IS_INTERLEAVED, 0, 0, 1, 0, width, height)
        stream = struct.pack(
            "<4s4sIHHIIIIIIiI4H", b"vids", b"MJPG", *([0] * 4), 1000, ticks, *([0] * 3), -1, *([0] * 5)
        )
        picture = struct.pack("<IiiHH4sI16x", 40, width, height, 1, 24, b"MJPG", 3 * width * height)
        track = _list(b"strl", _chunk(b"strh", stream), _chunk(b"strf", picture))
        header = _list(b"hdrl", _chunk(b"avih", main), track)
        return struct.pack("<4sI4s", b"RIFF", 0, b"AVI ") + header + struct.pack("<4sI4s", b"LIST", 0, b"movi")

    def _end_part(self) -> None:
        """Write the sizes of the last part, with an index after the first."""
        riff, movie = self._parts[-1]
        end = self._file.size
        if len(self._parts) == 1:
            places = accumulate((8 + size + size % 2 for size in self._sizes), initial=4)  # after the name movi
            pairs = zip(places, self._sizes, strict=False)
            entries = (struct.pack("<4sIII", b"00dc", KEY_FRAME, place, size) for place, size in pairs)
            self._file.append(_chunk(b"idx1", *entries))
        self._file.patch(movie + 4, struct.pack("<I", end - movie - 8))
        self._file.patch(riff + 4, struct.pack("<I", self._file.size - riff - 8))

    def finish(self) -> None:
        self._file.patch(TOTAL_OFFSET, struct.pack("<I", self._count))
        self._file.patch(LENGTH_OFFSET, struct.pack("<I", self._count))
        self._end_part()


def _chunk(kind: bytes, *content: bytes, size: int | None = None) -> bytes:
    """A chunk; its size is without a byte that makes it even."""
    return struct.pack("<4sI", kind, sum(map(len, content)) if size is None else size) + b"".join(content)


def _list(kind: bytes, *content: bytes) -> bytes:
    return _chunk(b"LIST", kind, *content)
