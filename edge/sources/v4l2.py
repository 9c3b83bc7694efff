"""What a V4L2 device says of itself, asked through the kernel's own calls: what it is, its formats, sizes and rates.

Source: the kernel's `linux/videodev2.h`, whose structures lie at the same places on every architecture that Python
runs on here. A driver is asked through an `Ask`, so that its recorded answers do as well as the device.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

Ask = Callable[[int, bytearray], int]
"""Fills the structure that a request is about; returns 0, or the errno with which the driver refuses."""

_WRITE, _READ = 1, 2  # the directions in a request's number, as in asm-generic/ioctl.h


def _request(direction: int, number: int, size: int) -> int:
    return direction << 30 | size << 16 | ord("V") << 8 | number


QUERYCAP = _request(_READ, 0, 104)
ENUM_FMT = _request(_READ | _WRITE, 2, 64)
REQBUFS = _request(_READ | _WRITE, 8, 20)
ENUM_FRAMESIZES = _request(_READ | _WRITE, 74, 44)
ENUM_FRAMEINTERVALS = _request(_READ | _WRITE, 75, 52)

CAPTURE, CAPTURE_MPLANE = 1, 9
"""The two types of queue that pictures come out of; the second keeps a picture's planes apart."""

_CAPTURES = 0x00001 | 0x01000  # one plane, several planes
_TAKES_PICTURES = 0x00002 | 0x02000 | 0x04000 | 0x08000  # output and memory to memory, one plane and several
_METADATA = 0x00800000 | 0x08000000
_MEDIA_CONTROLLED = 0x20000000
_DEVICE_CAPS = 0x80000000
_COMPRESSED = 0x0001
_DISCRETE = 1
_MMAP = 1
_MOST = 256  # answers to one enumeration; a driver that never ends it is broken

PIPELINES = frozenset(("bcm2835-isp", "pispbe", "rp1-cfe", "unicam"))
"""Drivers of a Raspberry Pi's camera port and image processor: libcamera's tools, no cameras by themselves."""


@dataclass(frozen=True)
class Capability:
    """driver, card, bus: as the driver names them. flags: V4L2_CAP_* of this very node."""

    driver: str
    card: str
    bus: str
    flags: int

    @property
    def kind(self) -> str:
        """camera, or what else: metadata, codec, pipeline (a part of libcamera's), other."""
        if self.flags & _TAKES_PICTURES:
            return "pipeline" if self.driver in PIPELINES else "codec"
        if self.flags & _CAPTURES:
            part = self.driver in PIPELINES or self.flags & _MEDIA_CONTROLLED
            return "pipeline" if part else "camera"
        return "metadata" if self.flags & _METADATA else "other"


@dataclass(frozen=True)
class Size:
    """width, height: pixels, the largest of a range. rates: frames a second, the fastest first, the ends of a range.

    smallest: where a range begins, None for a size that stands for itself.
    """

    width: int
    height: int
    rates: tuple[float, ...]
    smallest: tuple[int, int] | None = None

    def holds(self, width: int, height: int) -> bool:
        """Whether that size is this one, or lies in this range."""
        if self.smallest is None:
            return (width, height) == (self.width, self.height)
        return self.smallest[0] <= width <= self.width and self.smallest[1] <= height <= self.height


@dataclass(frozen=True)
class Format:
    """code: four letters, such as YUYV or MJPG. compressed: pictures cost decoding, and less of the cable."""

    code: str
    description: str
    compressed: bool
    sizes: tuple[Size, ...]

    def rate(self, width: int, height: int) -> float:
        """The fastest rate at that size, frames a second; 0 where it has no such size or tells no rate."""
        return max((rate for size in self.sizes if size.holds(width, height) for rate in size.rates[:1]), default=0.0)


@contextmanager
def asking(path: str) -> Iterator[Ask]:
    """The driver behind a device node; OSError where it cannot be opened. Asking disturbs nobody who films with it."""
    device = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def ask(request: int, structure: bytearray) -> int:
        try:
            fcntl.ioctl(device, request, structure, True)
        except OSError as error:
            return error.errno or errno.EIO
        return 0

    try:
        yield ask
    finally:
        os.close(device)


def capability(ask: Ask) -> Capability | None:
    """What the device is; None where it does not speak V4L2."""
    structure = bytearray(104)
    if ask(QUERYCAP, structure):
        return None
    driver, card, bus, _, all_nodes, this_node = struct.unpack_from("=16s32s32s3I", structure)
    flags = this_node if all_nodes & _DEVICE_CAPS else all_nodes
    return Capability(_text(driver), _text(card), _text(bus), flags)


def formats(ask: Ask, flags: int) -> Iterator[Format]:
    """The formats in the driver's order, asked for as they are taken. flags: the capability's."""
    for index in range(_MOST):
        structure = bytearray(64)
        struct.pack_into("=2I", structure, 0, index, _queue(flags))
        if ask(ENUM_FMT, structure):
            return
        told, description, code = struct.unpack_from("=I32s4s", structure, 8)
        yield Format(_letters(code), _text(description), bool(told & _COMPRESSED), tuple(_sizes(ask, code)))


def busy(ask: Ask, flags: int) -> bool:
    """Whether another program films with the device: giving back buffers that one does not have is refused then."""
    structure = bytearray(struct.pack("=5I", 0, _queue(flags), _MMAP, 0, 0))
    return ask(REQBUFS, structure) == errno.EBUSY


def _queue(flags: int) -> int:
    return CAPTURE if flags & 1 else CAPTURE_MPLANE


def _sizes(ask: Ask, code: bytes) -> Iterator[Size]:
    for index in range(_MOST):
        structure = bytearray(44)
        struct.pack_into("=I4s", structure, 0, index, code)
        if ask(ENUM_FRAMESIZES, structure):
            return
        (kind,) = struct.unpack_from("=I", structure, 8)
        if kind == _DISCRETE:
            width, height = struct.unpack_from("=2I", structure, 12)
            yield Size(width, height, _rates(ask, code, width, height))
            continue
        least_width, width, _, least_height, height, _ = struct.unpack_from("=6I", structure, 12)
        yield Size(width, height, _rates(ask, code, width, height), (least_width, least_height))
        return  # a range is the only answer


def _rates(ask: Ask, code: bytes, width: int, height: int) -> tuple[float, ...]:
    rates = []
    for index in range(_MOST):
        structure = bytearray(52)
        struct.pack_into("=I4s2I", structure, 0, index, code, width, height)
        if ask(ENUM_FRAMEINTERVALS, structure):
            break
        (kind,) = struct.unpack_from("=I", structure, 16)
        intervals = 1 if kind == _DISCRETE else 2  # of a range the shortest and the longest
        parts = struct.unpack_from(f"={2 * intervals}I", structure, 20)
        rates += [below / above for above, below in zip(parts[::2], parts[1::2], strict=True) if above]
        if kind != _DISCRETE:
            break
    return tuple(sorted({round(rate, 2) for rate in rates}, reverse=True))


def _letters(code: bytes) -> str:
    """A format's four letters, as v4l2-ctl writes them: the highest bit says that its words are big-endian."""
    return _text(code[:3] + bytes([code[3] & 0x7F])) + ("-BE" if code[3] & 0x80 else "")


def _text(raw: bytes) -> str:
    return raw.split(b"\0")[0].decode("utf-8", "replace").strip()
