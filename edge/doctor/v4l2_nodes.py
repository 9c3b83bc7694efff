"""The V4L2 nodes of a machine, and which of them are cameras: most of a Raspberry Pi's are not."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from fer_edge.edge.device.board import read_text
from fer_edge.edge.sources.devices import read_capability

LIBCAMERA = ("unicam", "rp1-cfe", "rkisp")
"""Beginnings of the names of camera receivers, whose raw frames only libcamera turns into pictures."""

PROCESSORS = ("bcm2835-codec", "bcm2835-isp", "pispbe", "rpi-hevc", "rpivid")
"""Beginnings of the names of codecs and image processors, for nodes that cannot be opened."""


@dataclass(frozen=True)
class Node:
    """A node /dev/videoN.

    Attributes:
        path: Its path below the machine's root folder.
        name: The driver's name for it.
        kind: camera, libcamera (its pictures come through libcamera only), metadata, or processor (codec, ISP).
    """

    path: Path
    name: str
    kind: str

    @property
    def number(self) -> int:
        """N of /dev/videoN."""
        return int(self.path.name.removeprefix("video"))


def list_nodes(root: Path = Path("/")) -> list[Node]:
    """The nodes /dev/video* of a machine.

    Args:
        root: The folder that has /dev and /sys.

    Returns:
        The nodes by number.
    """
    paths = [path for path in (root / "dev").glob("video*") if re.fullmatch(r"video\d+", path.name)]
    return sorted((_node(root, path) for path in paths), key=lambda node: node.number)


def _node(root: Path, path: Path) -> Node:
    folder = root / "sys/class/video4linux" / path.name
    name = read_text(folder / "name") or path.name
    if name.startswith(LIBCAMERA):
        return Node(path, name, "libcamera")
    if name.startswith(PROCESSORS):
        return Node(path, name, "processor")
    capability = read_capability(str(path))
    if capability is None:  # may not be opened: a UVC camera's second node is its metadata
        return Node(path, name, "camera" if (read_text(folder / "index") or "0") == "0" else "metadata")
    return Node(path, name, capability.kind if capability.kind in ("camera", "metadata") else "processor")
