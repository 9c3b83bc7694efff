"""Finds the JPEGs in a stream of bytes, such as the body of multipart/x-mixed-replace.

Only the JPEGs' own markers are read. Cameras send wrong boundaries, lengths and types in between; what a JPEG's header
and end say is what a decoder needs, too.
"""

from __future__ import annotations

from collections.abc import Iterator

MAX_JPEG_BYTES = 32 * 1024 * 1024
"""A JPEG without an end is given up after so many bytes; 50 megapixels of a good camera have fewer."""

KEPT = 2
"""Bytes that may be the beginning of a JPEG's start or of a boundary."""

_START, _END = b"\xff\xd8\xff", b"\xff\xd9"
_NEED_MORE, _BROKEN = -1, -2
_SCAN = 0xDA  # SOS: the compressed picture follows, in which 0xFF is followed by 0, RSTn or a marker
_BARE_MARKERS = frozenset((0x01, *range(0xD0, 0xD8)))  # they have no length
_NOT_IN_HEADER = frozenset((0x00, 0xD8))


class JpegScanner:
    """Takes bytes as they come and gives whole JPEGs; its memory is bounded by `MAX_JPEG_BYTES`.

    Attributes:
        empty_parts: Parts of a multipart stream without a JPEG so far: lines that begin with -- without one in between.
        damaged: JPEGs without an end so far, which were left out.
    """

    def __init__(self) -> None:
        self.empty_parts = self.damaged = 0
        self._buffer = bytearray()
        self._at = 2  # where the next marker or, in the scan, the next search begins
        self._in_scan = False
        self._boundaries = 0  # since the last JPEG

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take the next bytes.

        Args:
            data: The bytes that follow those of the last call.

        Yields:
            Each JPEG that is now complete.
        """
        self._buffer += data
        while self._skip_to_start():
            end = self._find_end()
            if end == _NEED_MORE and len(self._buffer) <= MAX_JPEG_BYTES:
                return
            if end < 0:
                self.damaged += 1
                self._boundaries = max(0, self._boundaries - 1)  # its part is not an empty one as well
                self._drop(2)
                continue
            jpeg = bytes(self._buffer[:end])
            self._drop(end)
            self.empty_parts += max(0, self._boundaries - 1)
            self._boundaries = 0
            yield jpeg

    def _skip_to_start(self) -> bool:
        """Drop what precedes the next JPEG; all but the last bytes where there is none."""
        start = self._buffer.find(_START)
        if start == 0:
            return True
        size = start if start > 0 else max(0, len(self._buffer) - KEPT)
        self._boundaries += self._buffer.count(b"\n--", 0, size) + self._buffer.startswith(b"--", 0, size)
        if self._boundaries > 1 and start < 0:
            self.empty_parts += self._boundaries - 1
            self._boundaries = 1
        self._drop(size)
        return start > 0

    def _drop(self, count: int) -> None:
        del self._buffer[:count]
        self._at, self._in_scan = 2, False

    def _find_end(self) -> int:
        """Where the JPEG at the buffer's start ends; _NEED_MORE or _BROKEN. Goes on where the last call stopped."""
        buffer = self._buffer
        while not self._in_scan:
            if self._at + 4 > len(buffer):
                return self._at + 2 if buffer[self._at : self._at + 2] == _END else _NEED_MORE
            marker = buffer[self._at + 1]
            if buffer[self._at] != 0xFF:
                return _BROKEN
            if marker == 0xD9:
                return self._at + 2
            if marker == 0xFF:  # a fill byte
                self._at += 1
                continue
            if marker in _BARE_MARKERS:
                self._at += 2
                continue
            length = int.from_bytes(buffer[self._at + 2 : self._at + 4])
            if length < 2 or marker in _NOT_IN_HEADER:
                return _BROKEN
            self._in_scan = marker == _SCAN
            self._at += 2 + length
        another = buffer.find(_START, self._at)  # first, so that no byte is searched twice where there are many starts
        end = buffer.find(_END, self._at, another if another >= 0 else len(buffer))
        if end >= 0:
            return end + 2
        if another >= 0:
            return _BROKEN
        self._at = max(self._at, len(buffer) - 2)
        return _NEED_MORE
