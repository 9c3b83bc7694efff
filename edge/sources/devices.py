"""The V4L2 devices of this computer: which of them are cameras, their lasting names, and who may not open them."""

from __future__ import annotations

import errno
import grp
import os
import re
from dataclasses import dataclass
from pathlib import Path

from fer_edge.edge.sources import v4l2

STABLE = ("by-id", "by-path")
"""udev's folders of links: one named after the camera, its serial number, if any, included; one after its socket."""


@dataclass(frozen=True)
class Device:
    """A node /dev/videoN. name: the driver's for the camera. kind: as v4l2.Capability has it, or unknown.

    links: its lasting names. trouble: why it cannot be used now, in one line.
    """

    path: str
    name: str
    kind: str = "unknown"
    driver: str = ""
    bus: str = ""
    links: tuple[str, ...] = ()
    trouble: str | None = None
    formats: tuple[v4l2.Format, ...] = ()


@dataclass(frozen=True)
class Identity:
    """What makes a camera the same one after it was unplugged, though its number may be another.

    card, bus: the driver's name of it and its socket. index: which of the camera's nodes. links: udev's names by id,
    where a serial number is in them.
    """

    path: str
    card: str = ""
    bus: str = ""
    index: str = ""
    links: tuple[str, ...] = ()


def devices(root: Path = Path("/")) -> list[Device]:
    """All video nodes, by number. root: where sys/ and dev/ lie."""
    return [_device(root, number) for number in _numbers(root)]


def identify(path: str, root: Path = Path("/")) -> Identity | None:
    """Whose node this is, by number or by link; None where there is none, or it tells nothing of itself."""
    node = Path(path).resolve()
    found = re.fullmatch(r"video(\d+)", node.name)
    if not found:
        return None
    said = capability(str(node))
    if said is None:
        return None
    number = int(found[1])
    unique = _sys(root, number, "device/../serial")  # else a twin has the same name
    links = tuple(link for link in _links(root, node) if unique and "/by-id/" in link)
    return Identity(path, said.card, said.bus, _sys(root, number, "index"), links)


def whereabouts(known: Identity, root: Path = Path("/")) -> str | None:
    """The node or link at which that camera is now; None while it is away.

    One that was named by a link, or tells no name, is expected where it was. Else it is the same model in the same
    socket, or the one with the same serial number, wherever it is plugged in.
    """
    if not known.card or "/v4l/" in known.path:
        return known.path if os.path.exists(known.path) else None
    for number in _numbers(root):
        path = str(root / "dev" / f"video{number}")
        said = capability(path)
        same = said is not None and (said.card, said.bus) == (known.card, known.bus)
        if same and _sys(root, number, "index") == known.index:
            return path
    return next((str(Path(link).resolve()) for link in known.links if os.path.exists(link)), None)


def refusal(path: str) -> str | None:
    """Why this user may not open the node, and what to do; None where he may."""
    if os.access(path, os.R_OK | os.W_OK):
        return None
    status = os.stat(path)
    try:
        group = grp.getgrgid(status.st_gid).gr_name
    except KeyError:
        group = str(status.st_gid)
    if group == "root" or not status.st_mode & 0o060:
        return f"may be opened by root only (mode {status.st_mode & 0o777:o}, group {group})"
    return f"may be opened by the group {group} only: sudo usermod -aG {group} $USER, then log in again"


def holders(path: str, proc: Path = Path("/proc")) -> list[str]:
    """The programs that have the node open, as 'name (pid)'; those of other users only where root asks."""
    node, found = os.path.realpath(path), []
    for process in sorted(proc.glob("[0-9]*"), key=lambda each: int(each.name)):
        try:
            if any(_target(link) == node for link in (process / "fd").iterdir()):
                found.append(f"{(process / 'comm').read_text().strip()} ({process.name})")
        except OSError:  # it ended meanwhile, or is another's
            continue
    return found


def _target(link: Path) -> str:
    """What an open file of a process is; empty where it was closed meanwhile."""
    try:
        return os.readlink(link)
    except OSError:
        return ""


def _device(root: Path, number: int) -> Device:
    path = str(root / "dev" / f"video{number}")
    name = _sys(root, number, "name") or "without a name"
    if not os.path.exists(path):
        return Device(path, name, trouble="has no node in /dev; is this a container without the device?")
    links = tuple(_links(root, Path(path)))
    trouble = refusal(path)
    if trouble is not None:
        return Device(path, name, links=links, trouble=trouble)
    try:
        with v4l2.asking(path) as ask:
            said = v4l2.capability(ask)
            if said is None:
                return Device(path, name, links=links, trouble="does not answer as a V4L2 device")
            taken = said.kind == "camera" and v4l2.busy(ask, said.flags)
            formats = tuple(v4l2.formats(ask, said.flags)) if said.kind == "camera" else ()
    except OSError as error:
        told = "in use by another program" if error.errno == errno.EBUSY else os.strerror(error.errno or 0)
        return Device(path, name, links=links, trouble=f"cannot be opened: {told}")
    users = ", ".join(holders(path)) if taken else ""
    trouble = f"in use by {users or 'another program'}" if taken else None
    return Device(path, said.card, said.kind, said.driver, said.bus, links, trouble, formats)


def capability(path: str) -> v4l2.Capability | None:
    """What the node says of itself; None where it may not be opened or is no V4L2 device. No stream is started."""
    try:
        with v4l2.asking(path) as ask:
            return v4l2.capability(ask)
    except OSError:
        return None


def _numbers(root: Path) -> list[int]:
    nodes = [*(root / "sys/class/video4linux").glob("video*"), *(root / "dev").glob("video*")]
    return sorted({int(node.name[5:]) for node in nodes if node.name[5:].isdigit()})


def _sys(root: Path, number: int, name: str) -> str:
    """A line that the kernel tells of a node; empty where it does not."""
    try:
        return (root / f"sys/class/video4linux/video{number}" / name).read_text().strip()
    except OSError:
        return ""


def _links(root: Path, node: Path) -> list[str]:
    folders = [root / "dev/v4l" / name for name in STABLE]
    return [str(link) for folder in folders for link in sorted(folder.glob("*")) if link.resolve() == node.resolve()]
