"""Width and height of a picture from its first bytes, before anything is decoded, and whether it is the only one.

A file of a kilobyte can announce a picture of gigabytes. OpenCV allocates what the header says.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from fer_edge.edge.errors import SourceError

MAX_PIXELS = 128_000_000
"""Default limit of a picture's pixels: a phone's 108 million, decoded in 3 bytes each, fit a Raspberry Pi with 1 GB."""

OPENCV_MAX_PIXELS = 1 << 30
"""OpenCV's own limit."""


JPEG_2000 = rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"
"""How a JPEG 2000 file begins, as a regular expression."""

HEADER_BYTES = 65536
"""The beginning of a file in which a header of text ends."""


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
        What it says; None for an unknown format.

    Raises:
        ValueError: The header is cut off or damaged; then nobody knows how much memory decoding takes.
    """
    read = next((read for signature, read in _READERS if re.match(signature, data, re.DOTALL)), None)
    if read is None:
        return None
    try:
        header = read(data)
    except (struct.error, LookupError):
        raise ValueError("the header is cut off") from None
    if min(header.width, header.height) <= 0:
        raise ValueError("the header has no size")
    return header


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
    """IHDR comes first, and an animation's acTL before the pixels (https://www.w3.org/TR/png-3/).

    OpenCV allocates a chunk's length, up to 4 GB, before it reads the chunk: none may be longer than the file. And
    libpng writes to stderr about a chunk whose checksum is wrong.
    """
    width, height = struct.unpack_from(">II", data, 16)
    at, kind, frames = 8, b"", 1
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, at)
        if (kind == b"IHDR") != (at == 8):
            raise ValueError("the header does not come first, or comes twice")
        if kind == b"acTL":
            frames = struct.unpack_from(">I", data, at + 8)[0]
        end = at + 12 + length
        if end > len(data):
            raise ValueError("a chunk is cut off")
        if kind[:1].isupper() and zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end]):
            raise ValueError("a chunk is damaged")  # one without which there is no picture
        at = end
    return PictureHeader(width, height, frames > 1)


def first_of_animation(data: bytes) -> bytes:
    """An animated PNG without its animation, as decoders that know none see it; anything else as it is.

    OpenCV 4 ends the process for an animation that is damaged.

    Args:
        data: The file, of which `read_header` has read the header.

    Returns:
        The file.
    """
    if not data.startswith(b"\x89PNG"):
        return data
    chunks, at, kind = [data[:8]], 8, b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind not in (b"acTL", b"fcTL", b"fdAT"):
            chunks.append(data[at : at + 12 + length])
        at += 12 + length
    return b"".join(chunks)


def _jpeg(data: bytes) -> PictureHeader:
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
    raise ValueError("there is no frame header")


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


def _webp(data: bytes) -> PictureHeader:
    """The first chunk: extended, lossless or lossy (RFC 9649)."""
    if data[12:16] == b"VP8X":
        width, height = (1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
        return PictureHeader(width, height, bool(data[20] & 2))
    if data[12:16] == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return PictureHeader(1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
    if data[12:16] != b"VP8 ":
        raise ValueError("the first chunk is no picture")
    width, height = struct.unpack_from("<HH", data, 26)
    return PictureHeader(width & 0x3FFF, height & 0x3FFF)


def _tiff(data: bytes) -> PictureHeader:
    """The first directory, and whether another follows (TIFF 6.0, and BigTIFF with 8-byte offsets).

    A tile that is larger than the picture counts, as memory for it is allocated.
    """
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    at = struct.unpack_from(f"{order}{'Q' if big else 'I'}", data, 8 if big else 4)[0]
    count = struct.unpack_from(f"{order}{'Q' if big else 'H'}", data, at)[0]
    at, entry, value, sides = at + (8 if big else 2), 20 if big else 12, 12 if big else 8, {}
    for _ in range(min(count, 4096)):
        tag, kind = struct.unpack_from(f"{order}HH", data, at)
        if tag in (256, 257, 322, 323):  # ImageWidth, ImageLength, TileWidth, TileLength
            sides[tag] = struct.unpack_from(order + {3: "H", 4: "I"}.get(kind, "Q"), data, at + value)[0]
        at += entry
    following = struct.unpack_from(f"{order}{'Q' if big else 'I'}", data, at)[0]
    width, height = (max(sides[side], sides.get(tile, 0)) for side, tile in ((256, 322), (257, 323)))
    return PictureHeader(width, height, following != 0)


def _netpbm(data: bytes) -> PictureHeader:
    """Two numbers after the kind; comments may stand before each, and OpenCV skips whatever is no digit."""
    width, height = re.findall(rb"\d+", re.sub(rb"#[^\n]*", b" ", data[2:HEADER_BYTES]))[:2]
    return PictureHeader(int(width), int(height))


def _pam(data: bytes) -> PictureHeader:
    sides = dict(re.findall(rb"(WIDTH|HEIGHT)\s+(\d+)", data[:HEADER_BYTES]))
    return PictureHeader(int(sides.get(b"WIDTH", 0)), int(sides.get(b"HEIGHT", 0)))


def _radiance(data: bytes) -> PictureHeader:
    """The only orientation that OpenCV reads, at the end of the header."""
    sizes = re.findall(rb"-Y\s*(\d+)\s*\+X\s*(\d+)", data[:HEADER_BYTES])
    height, width = max(sizes, key=lambda size: int(size[0]) * int(size[1]))
    return PictureHeader(int(width), int(height))


def _sun_raster(data: bytes) -> PictureHeader:
    return PictureHeader(*struct.unpack_from(">II", data, 4))


def _jpeg2000(data: bytes) -> PictureHeader:
    """The SIZ marker, which opens the code stream (ITU-T T.800, A.5.1)."""
    right, bottom, left, top = struct.unpack_from(">IIII", data, data.index(b"\xff\x4f\xff\x51") + 8)
    return PictureHeader(right - left, bottom - top)


def _avif(data: bytes) -> PictureHeader:
    """The largest of the items' extents (ISO/IEC 23008-12, 6.5.3); a sequence has the brand avis."""
    extents = [struct.unpack_from(">II", data, match.end() + 4) for match in re.finditer(b"ispe", data)]
    width, height = max(extents, key=lambda sides: sides[0] * sides[1])
    brands = data[8 : int.from_bytes(data[:4])]
    return PictureHeader(width, height, b"avis" in brands)


_READERS: tuple[tuple[bytes, Callable[[bytes], PictureHeader]], ...] = (
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
    (JPEG_2000, _jpeg2000),
    (rb"....ftyp", _avif),
)
"""Signature of each format, and what reads its header."""
