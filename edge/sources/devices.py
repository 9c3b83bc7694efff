"""The V4L2 devices of this computer: which are cameras, their stable names, and who may open or uses them."""

from __future__ import annotations

import errno
import grp
import os
import re
from dataclasses import dataclass
from pathlib import Path

from fer_edge.edge.sources import v4l2

LINK_FOLDERS = ("by-id", "by-path")
"""udev's folders of links in /dev/v4l: one names the camera, with its serial number if any; one names the socket."""


@dataclass(frozen=True)
class Device:
    """A V4L2 device node.

    Attributes:
        path: /dev/videoN.
        name: The driver's name of the camera.
        kind: As `v4l2.Capability.kind`, or "unknown" where it cannot be queried.
        driver: The kernel driver's name.
        bus: The socket, as the driver names it.
        links: udev's links to the node, which stay the same when its number changes.
        problem: Why it cannot be used now, in one line; None where it can.
        formats: A camera's formats.
    """

    path: str
    name: str
    kind: str = "unknown"
    driver: str = ""
    bus: str = ""
    links: tuple[str, ...] = ()
    problem: str | None = None
    formats: tuple[v4l2.Format, ...] = ()


@dataclass(frozen=True)
class Identity:
    """What identifies a camera after it was unplugged, when its number may have changed.

    Attributes:
        path: The node or link by which the user named it.
        card: The driver's name of the camera; empty where it gives none.
        bus: The socket, as the driver names it.
        index: Which of the camera's nodes it is.
        links: udev's links by id, where they contain a serial number.
    """

    path: str
    card: str = ""
    bus: str = ""
    index: str = ""
    links: tuple[str, ...] = ()


def list_devices(root: Path = Path("/")) -> list[Device]:
    """List all V4L2 device nodes, by number.

    Args:
        root: The folder that has sys/ and dev/.

    Returns:
        Every node; one that cannot be used has its `problem` set.
    """
    return [_device(root, number) for number in _numbers(root)]


def identify(path: str, root: Path = Path("/")) -> Identity | None:
    """Identify the camera behind a node or link; None where there is none or it does not answer."""
    node = Path(path).resolve()
    match = re.fullmatch(r"video(\d+)", node.name)
    if not match:
        return None
    capability = read_capability(str(node))
    if capability is None:
        return None
    number = int(match[1])
    serial = _read_attribute(root, number, "device/../serial")  # without one, a twin has the same link
    links = tuple(link for link in _links(root, node) if serial and "/by-id/" in link)
    return Identity(path, capability.card, capability.bus, _read_attribute(root, number, "index"), links)


def locate(identity: Identity, root: Path = Path("/")) -> str | None:
    """Find the node or link at which a camera is now.

    A camera that was named by a link, or whose driver gives no name, is expected at the same path. Any other is the
    same model in the same socket, or else the one with the same serial number in any socket.

    Args:
        identity: What `identify` returned while the camera was connected.
        root: The folder that has sys/ and dev/.

    Returns:
        The path, or None while the camera is disconnected.
    """
    if not identity.card or "/v4l/" in identity.path:
        return identity.path if os.path.exists(identity.path) else None
    for number in _numbers(root):
        path = str(root / "dev" / f"video{number}")
        capability = read_capability(path)
        same = capability is not None and (capability.card, capability.bus) == (identity.card, identity.bus)
        if same and _read_attribute(root, number, "index") == identity.index:
            return path
    return next((str(Path(link).resolve()) for link in identity.links if os.path.exists(link)), None)


def access_problem(path: str) -> str | None:
    """Explain why this user may not open the node, and what to do; None where the user may."""
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


def processes_using(path: str, proc: Path = Path("/proc")) -> list[str]:
    """List the processes that have the node open.

    Args:
        path: The node, or a link to it.
        proc: The proc file system.

    Returns:
        Each as "name (pid)"; those of other users only where this process runs as root.
    """
    node, users = os.path.realpath(path), []
    for process in sorted(proc.glob("[0-9]*"), key=lambda each: int(each.name)):
        try:
            if any(_link_target(link) == node for link in (process / "fd").iterdir()):
                users.append(f"{(process / 'comm').read_text().strip()} ({process.name})")
        except OSError:  # the process ended meanwhile, or is another user's
            continue
    return users


def read_capability(path: str) -> v4l2.Capability | None:
    """Query what a node is, without starting a stream; None where it may not be opened or is no V4L2 device."""
    try:
        with v4l2.open_device(path) as ioctl:
            return v4l2.query_capability(ioctl)
    except OSError:
        return None


def _device(root: Path, number: int) -> Device:
    path = str(root / "dev" / f"video{number}")
    name = _read_attribute(root, number, "name") or "without a name"
    if not os.path.exists(path):
        return Device(path, name, problem="has no node in /dev; is this a container without the device?")
    links = tuple(_links(root, Path(path)))
    problem = access_problem(path)
    if problem is not None:
        return Device(path, name, links=links, problem=problem)
    try:
        with v4l2.open_device(path) as ioctl:
            capability = v4l2.query_capability(ioctl)
            if capability is None:
                return Device(path, name, links=links, problem="does not answer as a V4L2 device")
            is_camera = capability.kind == "camera"
            busy = is_camera and v4l2.is_busy(ioctl, capability.flags)
            formats = tuple(v4l2.list_formats(ioctl, capability.flags)) if is_camera else ()
    except OSError as error:
        reason = "in use by another program" if error.errno == errno.EBUSY else os.strerror(error.errno or 0)
        return Device(path, name, links=links, problem=f"cannot be opened: {reason}")
    users = ", ".join(processes_using(path)) if busy else ""
    problem = f"in use by {users or 'another program'}" if busy else None
    return Device(path, capability.card, capability.kind, capability.driver, capability.bus, links, problem, formats)


def _numbers(root: Path) -> list[int]:
    nodes = [*(root / "sys/class/video4linux").glob("video*"), *(root / "dev").glob("video*")]
    return sorted({int(node.name[5:]) for node in nodes if node.name[5:].isdigit()})


def _read_attribute(root: Path, number: int, name: str) -> str:
    """The kernel's attribute of a node in /sys; empty where there is none."""
    try:
        return (root / f"sys/class/video4linux/video{number}" / name).read_text().strip()
    except OSError:
        return ""


def _links(root: Path, node: Path) -> list[str]:
    folders = [root / "dev/v4l" / name for name in LINK_FOLDERS]
    return [str(link) for folder in folders for link in sorted(folder.glob("*")) if link.resolve() == node.resolve()]


def _link_target(link: Path) -> str:
    """What an open file of a process is; empty where it was closed meanwhile."""
    try:
        return os.readlink(link)
    except OSError:
        return ""
