"""Capabilities, formats, sizes and rates of a V4L2 device, queried through the kernel's ioctl requests.

Source: the kernel's `linux/videodev2.h`, whose structures have the same layout on every architecture that Python runs
on here. A driver is queried through an `Ioctl`, so that recorded answers can take the device's place.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

Ioctl = Callable[[int, bytearray], int]
"""Sends a request with its structure, which the driver fills; returns 0, or the errno with which the driver refuses."""

_WRITE, _READ = 1, 2  # the directions in a request's number, as in asm-generic/ioctl.h


def _request(direction: int, number: int, size: int) -> int:
    return direction << 30 | size << 16 | ord("V") << 8 | number


QUERYCAP = _request(_READ, 0, 104)
ENUM_FMT = _request(_READ | _WRITE, 2, 64)
REQBUFS = _request(_READ | _WRITE, 8, 20)
ENUM_FRAMESIZES = _request(_READ | _WRITE, 74, 44)
ENUM_FRAMEINTERVALS = _request(_READ | _WRITE, 75, 52)

CAPTURE, CAPTURE_MPLANE = 1, 9
"""The two buffer types that give pictures: single-planar and multi-planar."""

_CAPTURES = 0x00001 | 0x01000  # single-planar, multi-planar
_TAKES_PICTURES = 0x00002 | 0x02000 | 0x04000 | 0x08000  # output and memory to memory, single- and multi-planar
_METADATA = 0x00800000 | 0x08000000
_MEDIA_CONTROLLED = 0x20000000
_DEVICE_CAPS = 0x80000000
_COMPRESSED = 0x0001
_DISCRETE = 1
_MMAP = 1
_MAX_ENTRIES = 256  # of one enumeration; a driver that never ends it is broken

LIBCAMERA_DRIVERS = frozenset(("bcm2835-isp", "pispbe", "rp1-cfe", "unicam"))
"""Drivers of a Raspberry Pi's camera port and image processor: parts of libcamera's pipeline, no cameras alone."""


@dataclass(frozen=True)
class Capability:
    """The answer to VIDIOC_QUERYCAP.

    Attributes:
        driver: The driver's name.
        card: The device's name.
        bus: The socket that the device is plugged into.
        flags: V4L2_CAP_* of this very node, not of the whole device.
    """

    driver: str
    card: str
    bus: str
    flags: int

    @property
    def kind(self) -> str:
        """camera, codec, metadata, pipeline (a part of libcamera's) or other."""
        if self.flags & _TAKES_PICTURES:
            return "pipeline" if self.driver in LIBCAMERA_DRIVERS else "codec"
        if self.flags & _CAPTURES:
            is_part = self.driver in LIBCAMERA_DRIVERS or self.flags & _MEDIA_CONTROLLED
            return "pipeline" if is_part else "camera"
        return "metadata" if self.flags & _METADATA else "other"


@dataclass(frozen=True)
class Size:
    """A picture size, or a range of sizes, with its frame rates.

    Attributes:
        width: Pixels; the largest of a range.
        height: Pixels; the largest of a range.
        rates: Frames per second, the fastest first; both ends of a range of rates.
        smallest: Width and height where a range of sizes begins; None for a single size.
    """

    width: int
    height: int
    rates: tuple[float, ...]
    smallest: tuple[int, int] | None = None

    def contains(self, width: int, height: int) -> bool:
        """Whether the size is this one, or lies in this range."""
        if self.smallest is None:
            return (width, height) == (self.width, self.height)
        return self.smallest[0] <= width <= self.width and self.smallest[1] <= height <= self.height


@dataclass(frozen=True)
class Format:
    """A pixel format.

    Attributes:
        code: Four letters, such as YUYV or MJPG.
        description: The driver's words for it.
        compressed: Whether pictures are compressed: they take less of the cable and must be decoded.
        sizes: The sizes in this format.
    """

    code: str
    description: str
    compressed: bool
    sizes: tuple[Size, ...]

    def rate(self, width: int, height: int) -> float:
        """The highest frame rate at a size, frames per second; 0 where there is no such size or no rate is known."""
        return max(
            (rate for size in self.sizes if size.contains(width, height) for rate in size.rates[:1]), default=0.0
        )


@contextmanager
def open_device(path: str) -> Iterator[Ioctl]:
    """Open a device node for queries, which do not disturb a program that captures from it; OSError."""
    device = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def ioctl(request: int, structure: bytearray) -> int:
        try:
            fcntl.ioctl(device, request, structure, True)
        except OSError as error:
            return error.errno or errno.EIO
        return 0

    try:
        yield ioctl
    finally:
        os.close(device)


def query_capability(ioctl: Ioctl) -> Capability | None:
    """Query what the device is; None where it is no V4L2 device."""
    structure = bytearray(104)
    if ioctl(QUERYCAP, structure):
        return None
    driver, card, bus, _, all_nodes, this_node = struct.unpack_from("=16s32s32s3I", structure)
    flags = this_node if all_nodes & _DEVICE_CAPS else all_nodes
    return Capability(_text(driver), _text(card), _text(bus), flags)


def list_formats(ioctl: Ioctl, flags: int) -> Iterator[Format]:
    """The formats in the driver's order, each queried when it is taken. flags: the capability's."""
    for index in range(_MAX_ENTRIES):
        structure = bytearray(64)
        struct.pack_into("=2I", structure, 0, index, _queue(flags))
        if ioctl(ENUM_FMT, structure):
            return
        properties, description, code = struct.unpack_from("=I32s4s", structure, 8)
        yield Format(_letters(code), _text(description), bool(properties & _COMPRESSED), tuple(_sizes(ioctl, code)))


def is_busy(ioctl: Ioctl, flags: int) -> bool:
    """Whether another program captures from the device: only then does releasing no buffers fail."""
    structure = bytearray(struct.pack("=5I", 0, _queue(flags), _MMAP, 0, 0))
    return ioctl(REQBUFS, structure) == errno.EBUSY


def _queue(flags: int) -> int:
    return CAPTURE if flags & 1 else CAPTURE_MPLANE


def _sizes(ioctl: Ioctl, code: bytes) -> Iterator[Size]:
    for index in range(_MAX_ENTRIES):
        structure = bytearray(44)
        struct.pack_into("=I4s", structure, 0, index, code)
        if ioctl(ENUM_FRAMESIZES, structure):
            return
        (kind,) = struct.unpack_from("=I", structure, 8)
        if kind == _DISCRETE:
            width, height = struct.unpack_from("=2I", structure, 12)
            yield Size(width, height, _rates(ioctl, code, width, height))
            continue
        min_width, width, _, min_height, height, _ = struct.unpack_from("=6I", structure, 12)
        yield Size(width, height, _rates(ioctl, code, width, height), (min_width, min_height))
        return  # a range is the only entry


def _rates(ioctl: Ioctl, code: bytes, width: int, height: int) -> tuple[float, ...]:
    rates = []
    for index in range(_MAX_ENTRIES):
        structure = bytearray(52)
        struct.pack_into("=I4s2I", structure, 0, index, code, width, height)
        if ioctl(ENUM_FRAMEINTERVALS, structure):
            break
        (kind,) = struct.unpack_from("=I", structure, 16)
        intervals = 1 if kind == _DISCRETE else 2  # the shortest and the longest of a range
        parts = struct.unpack_from(f"={2 * intervals}I", structure, 20)
        rates += [
            denominator / numerator for numerator, denominator in zip(parts[::2], parts[1::2], strict=True) if numerator
        ]
        if kind != _DISCRETE:
            break
    return tuple(sorted({round(rate, 2) for rate in rates}, reverse=True))


def _letters(code: bytes) -> str:
    """A format's four letters, as v4l2-ctl writes them: the highest bit marks big-endian words."""
    return _text(code[:3] + bytes([code[3] & 0x7F])) + ("-BE" if code[3] & 0x80 else "")


def _text(raw: bytes) -> str:
    return raw.split(b"\0")[0].decode("utf-8", "replace").strip()
