"""The V4L2 nodes of a machine, and which of them are cameras: most of a Raspberry Pi's are not."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fer_edge.edge.board import read_text

QUERYCAP = 0x80685600
"""VIDIOC_QUERYCAP: struct v4l2_capability, 104 bytes; linux/videodev2.h."""

CAPTURE, META, MEM2MEM = 0x1 | 0x1000, 0x00800000, 0x4000 | 0x8000
"""Bits of its device_caps: pictures (single- or multi-planar), metadata, and memory to memory."""

LIBCAMERA = ("unicam", "rp1-cfe", "rkisp")
"""What names of receivers begin with whose raw pictures only libcamera can turn into pictures."""

PROCESSORS = ("bcm2835-codec", "bcm2835-isp", "pispbe", "rpi-hevc", "rpivid")
"""What names of codecs and image processors begin with, for nodes that cannot be asked."""


@dataclass(frozen=True)
class Node:
    """kind: camera, libcamera (its pictures come through libcamera only), metadata, or processor (codec, ISP)."""

    path: Path
    name: str
    kind: str

    @property
    def number(self) -> int:
        return int(self.path.name.removeprefix("video"))


def nodes(root: Path = Path("/")) -> list[Node]:
    """The nodes /dev/video*, by number."""
    found = [path for path in (root / "dev").glob("video*") if re.fullmatch(r"video\d+", path.name)]
    return sorted((_node(root, path) for path in found), key=lambda node: node.number)


def _node(root: Path, path: Path) -> Node:
    folder = root / "sys/class/video4linux" / path.name
    name = read_text(folder / "name") or path.name
    caps = _capabilities(path)
    if name.startswith(LIBCAMERA):
        return Node(path, name, "libcamera")
    if name.startswith(PROCESSORS) or (caps is not None and caps & MEM2MEM):
        return Node(path, name, "processor")
    if caps is None:  # may not be opened: a UVC camera's second node is its metadata
        return Node(path, name, "camera" if (read_text(folder / "index") or "0") == "0" else "metadata")
    return Node(path, name, "camera" if caps & CAPTURE else "metadata" if caps & META else "processor")


def _capabilities(path: Path) -> int | None:
    """device_caps; None for what cannot be opened or is no V4L2 device. Opening starts no stream."""
    try:
        device = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        answer = fcntl.ioctl(device, QUERYCAP, bytes(104))
        return int(struct.unpack_from("=I", answer, 88)[0])
    except OSError:
        return None
    finally:
        os.close(device)


def users(path: str, root: Path = Path("/")) -> Iterator[str]:
    """The processes, other than this one, that have a node open, as 'name (number)'; those that may be seen."""
    for process in (root / "proc").glob("[0-9]*"):
        if process.name != str(os.getpid()) and any(link == path for link in _open_files(process)):
            yield f"{read_text(process / 'comm') or 'a process'} ({process.name})"


def _open_files(process: Path) -> Iterator[str]:
    try:
        links = list((process / "fd").iterdir())
    except OSError:  # another user's
        return
    for link in links:
        try:
            yield os.readlink(link)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EINVAL, errno.EACCES):
                raise
