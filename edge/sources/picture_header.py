"""Width and height of a picture from its first bytes, before anything is decoded, and whether it is the only one.

A file of a kilobyte can announce a picture of gigabytes. OpenCV allocates what the header says.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fer_edge.edge.errors import SourceError

MAX_PIXELS = 128_000_000
"""Default limit of a picture's pixels: a phone's 108 million, decoded in 3 bytes each, fit a Raspberry Pi with 1 GB."""

OPENCV_MAX_PIXELS = 1 << 30
"""OpenCV's own limit."""


@dataclass(frozen=True)
class PictureHeader:
    """What a picture's header says.

    Attributes:
        width: Pixels in a row.
        height: Rows.
        several: Whether the file holds more pictures: an animation, or pages.
    """

    width: int
    height: int
    several: bool = False


def read_header(data: bytes) -> PictureHeader | None:
    """Read the header of a picture file in a format that OpenCV decodes.

    Args:
        data: The file; of some formats the first kilobytes are enough.

    Returns:
        What it says; None for an unknown format, or where the header is cut off or damaged.
    """
    for signature, read in _READERS:
        if re.match(signature, data, re.DOTALL):
            try:
                header = read(data)
            except (struct.error, ValueError, IndexError):  # cut off
                return None
            return header if header is not None and min(header.width, header.height) > 0 else None
    return None


def check_size(width: int, height: int, name: object, max_pixels: int = MAX_PIXELS) -> None:
    """Check a picture's size against the limit, before memory is allocated for it.

    Args:
        width: Pixels in a row.
        height: Rows.
        name: The picture's file or address, for the error.
        max_pixels: The limit.

    Raises:
        SourceError: The picture is larger.
    """
    if width * height > max_pixels:
        raise SourceError(
            f"{name} has {width}x{height} = {width * height} pixels, more than --max-pixels {max_pixels}"
            + (f"; OpenCV reads up to {OPENCV_MAX_PIXELS}" if width * height > OPENCV_MAX_PIXELS else "")
        )


def _png(data: bytes) -> PictureHeader:
    """IHDR comes first, and an animation's acTL before the pixels (https://www.w3.org/TR/png-3/)."""
    width, height = struct.unpack_from(">II", data, 16)
    at = 33
    while at + 8 <= len(data) and data[at + 4 : at + 8] != b"IDAT":
        if data[at + 4 : at + 8] == b"acTL":
            return PictureHeader(width, height, struct.unpack_from(">I", data, at + 8)[0] > 1)
        at += 12 + struct.unpack_from(">I", data, at)[0]
    return PictureHeader(width, height)


def _jpeg(data: bytes) -> PictureHeader | None:
    """The first frame header; bytes between two segments are skipped, as decoders do (ITU-T T.81, annex B)."""
    at = 2
    while (at := data.find(b"\xff", at)) >= 0 and at + 9 < len(data):
        marker = data[at + 1]
        if marker in (0x00, 0x01, 0xFF) or 0xD0 <= marker <= 0xD8:  # no segment, or one without a length
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return PictureHeader(width, height)
        else:
            at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    return None


def _gif(data: bytes) -> PictureHeader:
    """The canvas, and whether a second image descriptor follows (GIF89a specification)."""
    width, height = struct.unpack_from("<HH", data, 6)
    at, images = 13 + _colour_table(data[10]), 0
    while at < len(data) and images < 2:
        if data[at] == 0x2C:
            images += 1
            at += 11 + _colour_table(data[at + 9])
        elif data[at] == 0x21:
            at += 2
        else:
            break
        while data[at]:  # sub-blocks
            at += 1 + data[at]
        at += 1
    return PictureHeader(width, height, images > 1)


def _colour_table(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _bmp(data: bytes) -> PictureHeader:
    old = struct.unpack_from("<I", data, 14)[0] == 12
    width, height = struct.unpack_from("<HH" if old else "<ii", data, 18)
    return PictureHeader(abs(width), abs(height))


def _webp(data: bytes) -> PictureHeader | None:
    """The first chunk: extended, lossless or lossy (RFC 9649)."""
    if data[12:16] == b"VP8X":
        width, height = (1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
        return PictureHeader(width, height, bool(data[20] & 2))
    if data[12:16] == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return PictureHeader(1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
    width, height = struct.unpack_from("<HH", data, 26)
    return PictureHeader(width & 0x3FFF, height & 0x3FFF)


def _tiff(data: bytes) -> PictureHeader:
    """The first directory, and whether another follows (TIFF 6.0, and BigTIFF with 8-byte offsets)."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    at = struct.unpack_from(f"{order}{'Q' if big else 'I'}", data, 8 if big else 4)[0]
    count = struct.unpack_from(f"{order}{'Q' if big else 'H'}", data, at)[0]
    at, entry, value, sides = at + (8 if big else 2), 20 if big else 12, 12 if big else 8, {}
    for _ in range(min(count, 4096)):
        tag, kind = struct.unpack_from(f"{order}HH", data, at)
        if tag in (256, 257):  # ImageWidth, ImageLength
            sides[tag] = struct.unpack_from(order + {3: "H", 4: "I"}.get(kind, "Q"), data, at + value)[0]
        at += entry
    following = struct.unpack_from(f"{order}{'Q' if big else 'I'}", data, at)[0]
    return PictureHeader(sides.get(256, 0), sides.get(257, 0), following != 0)


def _netpbm(data: bytes) -> PictureHeader:
    """Two numbers after the kind, between white space and comments."""
    numbers = _words(data[2:])
    return PictureHeader(int(next(numbers)), int(next(numbers)))


def _words(data: bytes) -> Iterator[bytes]:
    return (match[1] for match in re.finditer(rb"\s*(?:#[^\n]*\n\s*)*(\S+)", data[:4096]))


def _pam(data: bytes) -> PictureHeader:
    sides = dict(re.findall(rb"^\s*(WIDTH|HEIGHT)\s+(\d+)", data[:4096], re.MULTILINE))
    return PictureHeader(int(sides.get(b"WIDTH", 0)), int(sides.get(b"HEIGHT", 0)))


def _radiance(data: bytes) -> PictureHeader | None:
    match = re.search(rb"\n[-+]([XY]) (\d+) [-+][XY] (\d+)\n", data[:65536])
    return None if match is None else PictureHeader(int(match[3]), int(match[2]))


def _sun_raster(data: bytes) -> PictureHeader:
    return PictureHeader(*struct.unpack_from(">II", data, 4))


def _jpeg2000(data: bytes) -> PictureHeader:
    """The SIZ marker, which opens the code stream (ITU-T T.800, A.5.1)."""
    right, bottom, left, top = struct.unpack_from(">IIII", data, data.index(b"\xff\x4f\xff\x51") + 8)
    return PictureHeader(right - left, bottom - top)


def _avif(data: bytes) -> PictureHeader | None:
    """The largest of the items' extents (ISO/IEC 23008-12, 6.5.3); a sequence has the brand avis."""
    extents = [struct.unpack_from(">II", data, match.end() + 4) for match in re.finditer(b"ispe", data)]
    if not extents:
        return None
    width, height = max(extents, key=lambda sides: sides[0] * sides[1])
    brands = data[8 : int.from_bytes(data[:4])]
    return PictureHeader(width, height, b"avis" in brands)


_READERS: tuple[tuple[bytes, Callable[[bytes], PictureHeader | None]], ...] = (
    (rb"\x89PNG\r\n\x1a\n", _png),
    (rb"\xff\xd8\xff", _jpeg),
    (rb"GIF8[79]a", _gif),
    (rb"BM", _bmp),
    (rb"RIFF....WEBP", _webp),
    (rb"II[*+]\0|MM\0[*+]", _tiff),
    (rb"P[1-6][\s#]|P[Ff]\s", _netpbm),
    (rb"P7\s", _pam),
    (rb"#\?R", _radiance),
    (rb"\x59\xa6\x6a\x95", _sun_raster),
    (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", _jpeg2000),
    (rb"....ftyp(?:avif|avis|mif1|msf1)", _avif),
)
"""Signature of each format, and what reads its header."""
