"""Matroska and its subset WebM (RFC 9559): a block per picture; an index when the file is finished."""

from __future__ import annotations

import struct

from fer_edge.edge.sinks.recording.encoder import VOP_START
from fer_edge.edge.sinks.recording.part_file import PartFile
from fer_edge.edge.sinks.recording.stream import Packet, StreamInfo

CLUSTER_MS, MAX_CLUSTER_MS = 5_000, 32_000
"""A cluster ends with the first key picture after the one time; after the other, 16 bits would be too few."""

UNKNOWN_SIZE = bytes.fromhex("01ffffffffffffff")
"""The size of what is still written: to the next of its kind, or to the end of the file."""

CODEC_IDS = {"mpeg4": b"V_MPEG4/ISO/ASP", "vp8": b"V_VP8"}

CUES_ID = bytes.fromhex("1c53bb6b")
SEEK_HEAD_BYTES = 4 + 1 + 21
DURATION_BYTES = 2 + 1 + 8


class Matroska:
    """A Matroska file, or a WebM where the codec is VP8."""

    def __init__(self, file: PartFile, info: StreamInfo) -> None:
        self._file, self._info = file, info
        self._length = 0  # pictures of the constant rate
        self._cluster_start = 0  # ms
        self._cues: list[tuple[int, int]] = []  # ms, offset in the segment
        self._segment = self._duration = self._cluster = 0  # offsets of what follows the size, or of the duration

    def write(self, packet: Packet, number: int) -> None:
        time = round(1000 * number / self._info.rate)
        data = b"" if self._cues else self._header(packet)
        age = time - self._cluster_start
        new_cluster = not self._cues or (packet.key and age >= CLUSTER_MS) or age > MAX_CLUSTER_MS
        start = time if new_cluster else self._cluster_start
        offset = self._file.size + len(data)
        if new_cluster:
            self._end_cluster()
            data += bytes.fromhex("1f43b675") + UNKNOWN_SIZE + _element("e7", _unsigned(start))
        block = struct.pack(">BhB", 0x81, time - start, 0x80 if packet.key else 0)
        self._file.append(data + _element("a3", block, packet.data))
        if new_cluster:
            self._cluster_start, self._cluster = start, offset + 4 + len(UNKNOWN_SIZE)
            self._cues.append((start, offset - self._segment))
        self._length = number + 1

    def _header(self, packet: Packet) -> bytes:
        webm = self._info.codec == "vp8"
        start = _element(
            "1a45dfa3",
            *(_element(name, b"\1") for name in ("4286", "42f7")),
            *(_element("42f2", b"\4"), _element("42f3", b"\x08")),
            _element("4282", b"webm" if webm else b"matroska"),
            *(_element("4287", b"\4"), _element("4285", b"\2")),
        )
        segment = start + bytes.fromhex("18538067") + UNKNOWN_SIZE
        self._segment = len(segment)
        place = _void(SEEK_HEAD_BYTES)  # for what is known at the end
        names = _element("4d80", b"fer-edge") + _element("5741", b"fer-edge")
        info = _element("1549a966", _element("2ad7b1", _unsigned(1_000_000)), names, _void(DURATION_BYTES))
        self._duration = self._segment + len(place) + len(info) - DURATION_BYTES
        setup = b"" if webm else _element("63a2", packet.data[: packet.data.find(VOP_START)])
        size = _element("b0", _unsigned(self._info.width)) + _element("ba", _unsigned(self._info.height))
        track = _element(
            "ae",
            *(_element(name, value) for name, value in (("d7", b"\1"), ("73c5", b"\1"), ("9c", b"\0"), ("83", b"\1"))),
            *(_element("86", CODEC_IDS[self._info.codec]), setup),
            *(_element("23e383", _unsigned(round(1e9 / self._info.rate))), _element("e0", size)),
        )
        return segment + place + info + _element("1654ae6b", track)

    def _end_cluster(self) -> None:
        if self._cluster:
            self._write_size(self._cluster)

    def _write_size(self, start: int) -> None:
        """Write the size of the element whose content starts here and ends with the file."""
        self._file.patch(start - 8, struct.pack(">Q", 1 << 56 | self._file.size - start))

    def finish(self) -> None:
        self._end_cluster()
        cues = self._file.size - self._segment
        points = (
            _element(
                *("bb", _element("b3", _unsigned(time))),
                _element("b7", _element("f7", b"\1"), _element("f1", _unsigned(offset))),
            )
            for time, offset in self._cues
        )
        self._file.append(_element(CUES_ID.hex(), *points))
        self._file.flush()
        seek = _element("4dbb", _element("53ab", CUES_ID), _element("53ac", struct.pack(">Q", cues)))
        self._file.patch(self._segment, _element("114d9b74", seek))
        duration = struct.pack(">d", 1000 * self._length / self._info.rate)
        self._file.patch(self._duration, _element("4489", duration))
        self._write_size(self._segment)


def _element(name: str, *content: bytes) -> bytes:
    size = sum(map(len, content))
    length = next(n for n in range(1, 9) if size < (1 << 7 * n) - 1)
    return bytes.fromhex(name) + (size | 1 << 7 * length).to_bytes(length, "big") + b"".join(content)


def _void(size: int) -> bytes:
    """Room of so many bytes, fewer than 100."""
    return _element("ec", bytes(size - 2))


def _unsigned(value: int) -> bytes:
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")
