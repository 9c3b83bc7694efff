"""The V4L2 nodes of a machine, and which of them are cameras: most of a Raspberry Pi's are not."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from fer_edge.edge.device.board import read_text
from fer_edge.edge.sources.devices import read_capability

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
    if name.startswith(LIBCAMERA):
        return Node(path, name, "libcamera")
    if name.startswith(PROCESSORS):
        return Node(path, name, "processor")
    said = read_capability(str(path))
    if said is None:  # may not be opened: a UVC camera's second node is its metadata
        return Node(path, name, "camera" if (read_text(folder / "index") or "0") == "0" else "metadata")
    return Node(path, name, said.kind if said.kind in ("camera", "metadata") else "processor")
