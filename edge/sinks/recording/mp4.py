"""MP4 (ISO/IEC 14496-12): a fragment per picture while it is recorded, an ordinary file when it is finished."""

from __future__ import annotations

import struct
import sys
from array import array
from itertools import accumulate

from fer_edge.edge.sinks.recording.encoder import VOP_START
from fer_edge.edge.sinks.recording.part_file import PartFile
from fer_edge.edge.sinks.recording.stream import Packet, StreamInfo

TICKS = 1000
"""Units of time per picture, so that the rate is exact to a thousandth."""

FRAGMENT_BYTES = 104
"""What is before each picture: where it belongs, and its size."""

KEY_FLAGS, OTHER_FLAGS = 0x02000000, 0x01010000
"""Sample flags: depends on no other picture; depends on others, and is no place to begin."""

MATRIX = struct.pack(">9I", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)


class Mp4:
    """An MP4 of MPEG-4 pictures.

    `finish` appends an index of the whole, and turns the beginning into the header of a box that holds, and so hides,
    all fragments; before that patch of 16 bytes the file is a fragmented one, after it an ordinary one. Until then, a
    picture takes five bytes of memory.
    """

    def __init__(self, file: PartFile, info: StreamInfo) -> None:
        self._file, self._info = file, info
        self._sizes, self._keys = array("I"), array("I")
        self._runs = array("I")  # pairs: so many pictures, each shown for so long
        self._last = 0  # number of the last picture
        self._setup = b""
        self._patch_offset = self._first_offset = 0

    def write(self, packet: Packet, number: int) -> None:
        header = b""
        if not self._sizes:
            self._setup = packet.data[: packet.data.find(VOP_START)]
            start = _box(b"ftyp", b"isom", struct.pack(">I", 0x200), b"isomiso5iso2mp41")
            self._patch_offset = len(start)
            header = start + _box(b"free", bytes(8)) + self._moov(fragmented=True)
            self._first_offset = len(header) + FRAGMENT_BYTES
        fragment = self._moof(packet, number) + struct.pack(">I4s", 8 + len(packet.data), b"mdat")
        self._file.append(header + fragment + packet.data)
        if packet.key:
            self._keys.append(len(self._sizes) + 1)
        if self._sizes:
            self._show_last_until(number)
        self._sizes.append(len(packet.data))
        self._last = number

    def _show_last_until(self, number: int) -> None:
        length = number - self._last
        if self._runs and self._runs[-1] == length:
            self._runs[-2] += 1
        else:
            self._runs.extend((1, length))

    def finish(self) -> None:
        end = self._file.size
        self._show_last_until(self._last + 1)
        self._file.append(self._moov(fragmented=False))
        self._file.flush()  # the index must be there before the patch that makes it valid
        self._file.patch(self._patch_offset, struct.pack(">I4sQ", 1, b"mdat", end - self._patch_offset))

    def _moof(self, packet: Packet, number: int) -> bytes:
        run = (1, FRAGMENT_BYTES, len(packet.data), KEY_FLAGS if packet.key else OTHER_FLAGS)
        fragment = (
            _full_box(b"tfhd", 0, 0x020000, struct.pack(">I", 1)),  # offsets count from the moof
            _full_box(b"tfdt", 1, 0, struct.pack(">Q", number * TICKS)),
            _full_box(b"trun", 0, 0x000601, struct.pack(">IiII", *run)),
        )
        return _box(
            b"moof", _full_box(b"mfhd", 0, 0, struct.pack(">I", len(self._sizes) + 1)), _box(b"traf", *fragment)
        )

    def _moov(self, fragmented: bool) -> bytes:
        duration = (self._last + 1) * TICKS if self._sizes else 0
        scale = round(self._info.rate * TICKS)
        times = struct.pack(">QQIQ", 0, 0, scale, duration)
        mvhd = times + struct.pack(">IH10x", 1 << 16, 1 << 8) + MATRIX + struct.pack(">24xI", 2)
        size = struct.pack(">II", self._info.width << 16, self._info.height << 16)
        tkhd = struct.pack(">QQIIQ8xhhhh", 0, 0, 1, 0, duration, 0, 0, 0, 0) + MATRIX + size
        media = _box(
            b"mdia",
            _full_box(b"mdhd", 1, 0, times, struct.pack(">HH", 0x55C4, 0)),  # language: undetermined
            _full_box(b"hdlr", 0, 0, struct.pack(">I4s12x", 0, b"vide"), b"video\0"),
            _box(
                b"minf",
                _full_box(b"vmhd", 0, 1, bytes(8)),
                _box(b"dinf", _full_box(b"dref", 0, 0, struct.pack(">I", 1), _full_box(b"url ", 0, 1))),
                self._sample_table(),
            ),
        )
        fragments = _box(b"mvex", _full_box(b"trex", 0, 0, struct.pack(">IIIII", 1, 1, TICKS, 0, 0)))
        track = _box(b"trak", _full_box(b"tkhd", 1, 3, tkhd), media)
        return _box(b"moov", _full_box(b"mvhd", 1, 0, mvhd), track, fragments if fragmented else b"")

    def _sample_table(self) -> bytes:
        """The index of what was written so far; for the header nothing was."""
        count = len(self._sizes)
        runs = zip(self._runs[::2], self._runs[1::2], strict=True)
        times = b"".join(struct.pack(">II", pictures, length * TICKS) for pictures, length in runs)
        steps = (size + FRAGMENT_BYTES for size in self._sizes[:-1])
        offsets = array("Q", accumulate(steps, initial=self._first_offset) if count else ())
        chunks = struct.pack(">IIII", 1, 1, 1, 1) if count else bytes(4)
        return _box(
            b"stbl",
            _full_box(b"stsd", 0, 0, struct.pack(">I", 1), self._sample_entry()),
            _full_box(b"stts", 0, 0, struct.pack(">I", len(self._runs) // 2), times),
            _full_box(b"stsc", 0, 0, chunks),
            _full_box(b"stsz", 0, 0, struct.pack(">II", 0, count), _big_endian(self._sizes)),
            _full_box(b"co64", 0, 0, struct.pack(">I", count), _big_endian(offsets)),
            _full_box(b"stss", 0, 0, struct.pack(">I", len(self._keys)), _big_endian(self._keys)) if count else b"",
        )

    def _sample_entry(self) -> bytes:
        """ISO/IEC 14496-1, 7.2.6, and 14496-14, 5.6: object type 0x20 is MPEG-4 visual, stream type 4 video."""
        config = struct.pack(">BBBHII", 0x20, 4 << 2 | 1, 0, 0, 0, 0) + _descriptor(5, self._setup)
        stream = struct.pack(">HB", 1, 0) + _descriptor(4, config) + _descriptor(6, b"\2")
        entry = struct.pack(">6xH16xHHIIIH32xHh", 1, *self._size(), 72 << 16, 72 << 16, 0, 1, 24, -1)
        return _box(b"mp4v", entry, _full_box(b"esds", 0, 0, _descriptor(3, stream)))

    def _size(self) -> tuple[int, int]:
        return self._info.width, self._info.height


def _box(kind: bytes, *content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + sum(map(len, content)), kind) + b"".join(content)


def _full_box(kind: bytes, version: int, flags: int, *content: bytes) -> bytes:
    return _box(kind, struct.pack(">I", version << 24 | flags), *content)


def _descriptor(tag: int, content: bytes) -> bytes:
    return struct.pack(">BBBBB", tag, 0x80, 0x80, 0x80 | len(content) >> 7, len(content) & 0x7F) + content


def _big_endian(values: array[int]) -> bytes:
    copy = array(values.typecode, values)
    if sys.byteorder == "little":
        copy.byteswap()
    return copy.tobytes()
