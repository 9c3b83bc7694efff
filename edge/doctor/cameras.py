"""Which cameras there are, whether this user may open them, and through which of two ways they come."""

from __future__ import annotations

import grp
import os
from pathlib import Path

from fer_edge.edge.doctor import FAIL, OK, WARN, Finding, Here, anchors, ask
from fer_edge.edge.doctor.v4l2_nodes import Node, nodes
from fer_edge.edge.sources.devices import processes_using

PICAMERA2 = """
import os
os.environ.setdefault("LIBCAMERA_LOG_LEVELS", "*:FATAL")
from picamera2 import Picamera2
print(len(Picamera2.global_camera_info()))
"""


def cameras(here: Here) -> Finding:
    """The nodes that are cameras, told apart from the others."""
    found = nodes(here.root)
    if not found:
        return Finding(WARN, "no /dev/video*", "plug a camera in; lsusb lists what is plugged in", anchors.NO_CAMERA)
    told = [f"{_path(node, here)} {node.name}" for node in found if node.kind == "camera"]
    rest = [f"{count} {kind}" for kind, count in _count(found).items() if kind != "camera"]
    summary = ", ".join(told) or "no USB camera"
    if rest:
        summary += f"; beside {', '.join(rest)} nodes"
    if told or any(node.kind == "libcamera" for node in found):
        return Finding(OK, summary)
    return Finding(WARN, summary, "none of these nodes is a camera; plug one in", anchors.NO_CAMERA)


def camera_access(here: Here) -> Finding:
    """This user may open them."""
    closed = [node for node in _seen(here) if not os.access(node.path, os.R_OK | os.W_OK)]
    if not closed:
        return Finding(OK, "every camera may be opened" if _seen(here) else "no camera to open")
    group = _group(closed[0].path)
    if group in _listed_groups(here):
        advice = "log in again: this user is in the group, but was not yet when it logged in"
    else:
        advice = f"sudo usermod -aG {group} $USER, then log in again"
    found = f"{', '.join(str(_path(node, here)) for node in closed)} may not be opened by this user"
    return Finding(FAIL, found, advice, anchors.DENIED)


def camera_use(here: Here) -> Finding:
    """No other program has them."""
    seen = [str(_path(node, here)) for node in _seen(here)]
    found = [(path, who) for path in seen for who in processes_using(path, here.root / "proc")]
    busy = [f"{path} by {who}" for path, who in found if not who.endswith(f"({os.getpid()})")]
    if busy:
        return Finding(WARN, f"in use: {', '.join(busy)}", "end that program first", anchors.BUSY)
    return Finding(OK, "no other program of this user's has a camera open")


def camera_number(here: Here) -> Finding:
    """What --camera 0, which is also OpenCV's VideoCapture(0), would open."""
    found = nodes(here.root)
    first = next((node for node in found if node.number == 0), None)
    cameras = [node for node in found if node.kind == "camera"]
    if first is not None and first.kind == "camera":
        return Finding(OK, f"--camera 0 is {first.name}")
    if first is not None and first.kind == "libcamera":
        return Finding(WARN, f"--camera 0 is {first.name}, libcamera's", "take --camera picamera2", anchors.SILENT)
    if cameras:
        path = _path(cameras[0], here)
        told = f"there is no camera 0, but {path} {cameras[0].name}"
        return Finding(WARN, told, f"take --camera {path}", anchors.WHICH_CAMERA)
    if here.is_pi or any(node.kind == "libcamera" for node in found):
        return Finding(OK, "--camera 0 is no V4L2 camera; a camera module is --camera picamera2")
    return Finding(OK, "there is no camera to number")


def libcamera(here: Here) -> Finding:
    """picamera2 imports and sees the camera module, where there may be one."""
    expected = here.is_pi or any(node.kind == "libcamera" for node in nodes(here.root))
    answer = ask(here, "-c", PICAMERA2)
    if answer.code == 0:
        count = int(answer.out.splitlines()[-1])
        if count or not expected:
            return Finding(OK, f"picamera2 sees {count} camera{'' if count == 1 else 's'}")
        advice = "with the board off, look at the ribbon cable; then rpicam-hello --list-cameras must list it"
        return Finding(WARN, "picamera2 sees no camera", advice, anchors.NO_CAMERA)
    if not expected:
        return Finding(OK, "picamera2 is not here, and USB cameras do not need it")
    if "numpy" in answer.reason and "No module" not in answer.reason:
        advice = "pip install 'numpy<2' 'opencv-python<5'"
        return Finding(WARN, f"picamera2 does not import: {answer.reason}", advice, anchors.NUMPY_AND_PICAMERA)
    if (here.root / "usr/lib/python3/dist-packages/picamera2").is_dir():
        advice = "make the environment again: /usr/bin/python3 -m venv --system-site-packages .venv"
        return Finding(WARN, f"picamera2 is installed, but not seen from here: {answer.reason}", advice, anchors.VENV)
    advice = "sudo apt-get install python3-picamera2 (never pip), and a venv with --system-site-packages"
    return Finding(WARN, f"picamera2 does not import: {answer.reason}", advice, anchors.VENV)


def _seen(here: Here) -> list[Node]:
    return [node for node in nodes(here.root) if node.kind in ("camera", "libcamera")]


def _path(node: Node, here: Here) -> Path:
    """The node's path as its own machine has it."""
    return Path("/") / node.path.relative_to(here.root)


def _count(found: list[Node]) -> dict[str, int]:
    kinds = [node.kind for node in found]
    return {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}


def _group(path: Path) -> str:
    try:
        return grp.getgrgid(path.stat().st_gid).gr_name
    except KeyError:
        return "video"


def _listed_groups(here: Here) -> list[str]:
    """The groups that /etc/group has this user in, whether or not it has logged in since."""
    try:
        lines = (here.root / "etc/group").read_text("utf-8").splitlines()
    except OSError:
        return []
    user = here.environ.get("USER", "")
    rows = [line.split(":") for line in lines]
    return [row[0] for row in rows if len(row) == 4 and user and user in row[3].split(",")]
