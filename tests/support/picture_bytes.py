"""Pictures written byte by byte: of any size, and with several in one file."""

from __future__ import annotations

import struct
import zlib


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, frames: int | None = None) -> bytes:
    """A gray PNG of little more than its header's size, of which every row is black."""
    packer = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    rows = b"".join(packer.compress(row) for _ in range(min(height, 40_000))) + packer.flush()
    animation = b"" if frames is None else _chunk(b"acTL", struct.pack(">II", frames, 0))
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + animation + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


def gif(width: int, height: int, frames: int) -> bytes:
    image = b"\x21\xf9\x04\0\x0a\0\0\0" + b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\0"
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6) + frames * image + b"\x3b"


def tiff(width: int, height: int, order: str, pages: int) -> bytes:
    tags = struct.pack(order + 2 * "HHII", 256, 4, 1, width, 257, 4, 1, height)
    following = 8 if pages > 1 else 0
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return magic + struct.pack(f"{order}IH", 8, 2) + tags + struct.pack(f"{order}I", following)


def big_tiff(width: int, height: int) -> bytes:
    tags = struct.pack("<HHQQHHQHH4x", 256, 4, 1, width, 257, 3, 1, height, 0)
    return b"II+\0" + struct.pack("<HHQQ", 8, 0, 16, 2) + tags[:40] + struct.pack("<Q", 0)
