"""Checks of the cameras: which there are, whether this user may open them, and whether libcamera has them."""

from __future__ import annotations

import grp
import os
from pathlib import Path

from fer_edge.edge.device.installation import pip_install
from fer_edge.edge.doctor import anchors
from fer_edge.edge.doctor.check import FAIL, OK, WARN, CheckResult, Machine, run_python
from fer_edge.edge.doctor.v4l2_nodes import Node, list_nodes
from fer_edge.edge.sources.devices import processes_using

PICAMERA2 = """
import os
os.environ.setdefault("LIBCAMERA_LOG_LEVELS", "*:FATAL")
from picamera2 import Picamera2
print(len(Picamera2.global_camera_info()))
"""


def cameras(machine: Machine) -> CheckResult:
    """A V4L2 node is a camera; most of a Raspberry Pi's are not."""
    nodes = list_nodes(machine.root)
    if not nodes:
        return CheckResult(
            WARN, "no /dev/video*", "plug in a camera; lsusb lists what is plugged in", anchors.NO_CAMERA
        )
    names = [f"{_path(node, machine)} {node.name}" for node in nodes if node.kind == "camera"]
    others = [f"{count} {kind}" for kind, count in _count(nodes).items() if kind != "camera"]
    summary = ", ".join(names) or "no USB camera"
    if others:
        summary += f"; beside {', '.join(others)} nodes"
    if names or any(node.kind == "libcamera" for node in nodes):
        return CheckResult(OK, summary)
    return CheckResult(WARN, summary, "none of these nodes is a camera; plug one in", anchors.NO_CAMERA)


def camera_access(machine: Machine) -> CheckResult:
    """This user may open every camera."""
    nodes = _camera_nodes(machine)
    closed = [node for node in nodes if not os.access(node.path, os.R_OK | os.W_OK)]
    if not closed:
        return CheckResult(OK, "this user may open every camera" if nodes else "no camera to open")
    group = _group(closed[0].path)
    if group in _listed_groups(machine):
        advice = "log in again: this user was added to the group after logging in"
    else:
        advice = f"sudo usermod -aG {group} $USER, then log in again"
    paths = ", ".join(str(_path(node, machine)) for node in closed)
    return CheckResult(FAIL, f"this user may not open {paths}", advice, anchors.DENIED)


def camera_use(machine: Machine) -> CheckResult:
    """No other program has a camera open."""
    paths = [str(_path(node, machine)) for node in _camera_nodes(machine)]
    users = [(path, process) for path in paths for process in processes_using(path, machine.root / "proc")]
    busy = [f"{path} by {process}" for path, process in users if not process.endswith(f"({os.getpid()})")]
    if busy:
        return CheckResult(WARN, f"in use: {', '.join(busy)}", "end that program first", anchors.BUSY)
    return CheckResult(OK, "no other program of this user has a camera open")


def camera_number(machine: Machine) -> CheckResult:
    """Camera 0, the default, is a camera."""
    nodes = list_nodes(machine.root)
    first = next((node for node in nodes if node.number == 0), None)
    usb_cameras = [node for node in nodes if node.kind == "camera"]
    if first is not None and first.kind == "camera":
        return CheckResult(OK, f"--camera 0 is {first.name}")
    if first is not None and first.kind == "libcamera":
        message = f"--camera 0 is {first.name}, whose pictures come through libcamera only"
        return CheckResult(WARN, message, "use --camera picamera2", anchors.SILENT)
    if usb_cameras:
        path = _path(usb_cameras[0], machine)
        message = f"there is no camera 0, but {path} {usb_cameras[0].name}"
        return CheckResult(WARN, message, f"use --camera {path}", anchors.WHICH_CAMERA)
    if machine.is_pi or any(node.kind == "libcamera" for node in nodes):
        return CheckResult(OK, "--camera 0 is not a USB camera; a camera module is --camera picamera2")
    return CheckResult(OK, "there is no camera")


def libcamera(machine: Machine) -> CheckResult:
    """picamera2 imports and lists the camera module, where there may be one."""
    is_expected = machine.is_pi or any(node.kind == "libcamera" for node in list_nodes(machine.root))
    process = run_python(machine, "-c", PICAMERA2)
    if process.exit_code == 0:
        count = int(process.stdout.splitlines()[-1])
        if count or not is_expected:
            return CheckResult(OK, f"picamera2 lists {count} camera{'' if count == 1 else 's'}")
        advice = "with the power off, check the ribbon cable; then rpicam-hello --list-cameras must list the camera"
        return CheckResult(WARN, "picamera2 lists no camera", advice, anchors.NO_CAMERA)
    if not is_expected:
        return CheckResult(OK, "picamera2 is not installed, and USB cameras do not need it")
    if "numpy" in process.reason and "No module" not in process.reason:
        advice = pip_install("numpy<2", "opencv-python<5")
        message = f"picamera2 cannot be imported: {process.reason}"
        return CheckResult(WARN, message, advice, anchors.NUMPY_AND_PICAMERA)
    if (machine.root / "usr/lib/python3/dist-packages/picamera2").is_dir():
        advice = "make the environment again: /usr/bin/python3 -m venv --system-site-packages .venv"
        message = f"picamera2 is installed, but not visible in this environment: {process.reason}"
        return CheckResult(WARN, message, advice, anchors.VENV)
    advice = "sudo apt-get install python3-picamera2 (never pip), and a venv with --system-site-packages"
    return CheckResult(WARN, f"picamera2 cannot be imported: {process.reason}", advice, anchors.VENV)


def _camera_nodes(machine: Machine) -> list[Node]:
    return [node for node in list_nodes(machine.root) if node.kind in ("camera", "libcamera")]


def _path(node: Node, machine: Machine) -> Path:
    """The node's path on its own machine."""
    return Path("/") / node.path.relative_to(machine.root)


def _count(nodes: list[Node]) -> dict[str, int]:
    kinds = [node.kind for node in nodes]
    return {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}


def _group(path: Path) -> str:
    try:
        return grp.getgrgid(path.stat().st_gid).gr_name
    except KeyError:
        return "video"


def _listed_groups(machine: Machine) -> list[str]:
    """The groups that /etc/group has this user in, whether or not it has logged in since."""
    try:
        lines = (machine.root / "etc/group").read_text("utf-8").splitlines()
    except OSError:
        return []
    user = machine.environ.get("USER", "")
    rows = [line.split(":") for line in lines]
    return [row[0] for row in rows if len(row) == 4 and user and user in row[3].split(",")]
