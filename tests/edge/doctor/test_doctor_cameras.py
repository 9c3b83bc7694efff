"""The camera checks of `fer-edge doctor`, on made-up machines."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from machines import PI5, blocked, tree

from fer_edge.edge.doctor import anchors, cameras
from fer_edge.edge.doctor import v4l2_nodes as nodes
from fer_edge.edge.doctor.check import FAIL, OK, WARN, CheckResult, Machine

NODES = {
    "bookworm Pi with a module": (
        ["unicam-image", "unicam-embedded", "bcm2835-codec-decode", "bcm2835-isp-output0"],
        ["libcamera", "libcamera", "processor", "processor"],
    ),
    "Pi 5 with a webcam": (
        ["rp1-cfe-csi2_ch0", "pispbe-input", "rpi-hevc-dec", "HD Pro Webcam C920"],
        ["libcamera", "processor", "processor", "camera"],
    ),
    "laptop": (["Integrated Camera: Crisp"], ["camera"]),
}


def video_nodes(root: Path, names: list[str]) -> None:
    (root / "dev").mkdir(exist_ok=True)
    for number, name in enumerate(names):
        (root / f"dev/video{number}").write_text("")
        (root / f"sys/class/video4linux/video{number}").mkdir(parents=True)
        (root / f"sys/class/video4linux/video{number}/name").write_text(f"{name}\n")


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("raise ValueError('numpy.dtype size changed')", "numpy<2"),
        ("import libcamera_is_not_there", "python3-picamera2"),
        ("class Picamera2:\n    global_camera_info = staticmethod(lambda: [])", "ribbon"),
        ("class Picamera2:\n    global_camera_info = staticmethod(lambda: [{}])", ""),
    ],
)
def test_libcamera_on_a_pi(tmp_path: Path, module: str, words: str) -> None:
    machine = blocked(tmp_path, picamera2=module)
    pi = tree(tmp_path / "pi", **{"proc__device-tree__model": PI5})
    result = cameras.libcamera(Machine(root=pi.root, environ=machine.environ))
    assert result.status == (WARN if words else OK), result
    assert words in result.advice
    if "not_there" in module:
        (pi.root / "usr/lib/python3/dist-packages/picamera2").mkdir(parents=True)
        assert "--system-site-packages" in cameras.libcamera(Machine(root=pi.root, environ=machine.environ)).advice


@pytest.mark.parametrize("name", NODES)
def test_cameras_are_distinguished_from_other_nodes(tmp_path: Path, name: str) -> None:
    names, kinds = NODES[name]
    video_nodes(tmp_path, names)
    assert [node.kind for node in nodes.list_nodes(tmp_path)] == kinds
    machine = Machine(root=tmp_path, environ={})
    assert cameras.cameras(machine).status == OK
    number = cameras.camera_number(machine)
    if kinds[0] == "camera":
        assert (number.status, number.message) == (OK, f"--camera 0 is {names[0]}")
    else:
        assert (number.status, number.advice) == (WARN, "use --camera picamera2")


def test_a_uvc_cameras_second_node_is_metadata(tmp_path: Path) -> None:
    video_nodes(tmp_path, ["codec", "C920", "C920"])
    for number, index in enumerate("501"):
        (tmp_path / f"sys/class/video4linux/video{number}/index").write_text(index)
    assert [node.kind for node in nodes.list_nodes(tmp_path)] == ["metadata", "camera", "metadata"]
    result = cameras.camera_number(Machine(root=tmp_path, environ={}))
    assert result.advice == "use --camera /dev/video1"
    assert cameras.cameras(Machine(root=tmp_path, environ={})).message == "/dev/video1 C920; beside 2 metadata nodes"


def test_no_camera(tmp_path: Path) -> None:
    machine = tree(tmp_path)
    assert cameras.cameras(machine).anchor == anchors.NO_CAMERA
    assert {check(machine).status for check in (cameras.camera_access, cameras.camera_use)} == {OK}
    assert cameras.camera_number(machine) == CheckResult(OK, "there is no camera")
    video_nodes(tmp_path, ["bcm2835-codec-decode"])
    assert cameras.cameras(machine).status == WARN
    assert "picamera2" not in cameras.camera_number(machine).message
    pi = tree(tmp_path, **{"proc__device-tree__model": PI5})
    assert cameras.camera_number(pi).message.endswith("a camera module is --camera picamera2")


def as_nobody(check: Callable[[Machine], CheckResult], machine: Machine) -> CheckResult:
    """The check by another user, in a fork; as this one where this one is not root."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.getuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            result = check(machine)
            os.write(writing, json.dumps([result.status, result.message, result.advice, result.anchor]).encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as stream:
        return CheckResult(*json.load(stream))


def test_a_camera_that_may_not_be_opened() -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's folders are closed to others
        root = Path(folder)
        root.chmod(0o755)
        video_nodes(root, ["C920"])
        (root / "dev/video0").chmod(0)
        group = (root / "dev/video0").group()
        machine = Machine(root=root, environ={"USER": "pi"})
        result = as_nobody(cameras.camera_access, machine)
        assert (result.status, result.anchor) == (FAIL, anchors.DENIED)
        assert result.advice == f"sudo usermod -aG {group} $USER, then log in again"
        tree(root, etc__group=f"{group}:x:44:someone,pi\n")
        assert as_nobody(cameras.camera_access, machine).advice.startswith("log in again")


def test_a_camera_that_another_program_has(tmp_path: Path) -> None:
    video_nodes(tmp_path, ["C920"])
    machine = tree(tmp_path, proc__77__comm="motion\n", **{f"proc__{os.getpid()}__comm": "doctor"})
    for process in ("77", str(os.getpid())):
        (tmp_path / f"proc/{process}/fd").mkdir()
        (tmp_path / f"proc/{process}/fd/3").symlink_to("/dev/video0")
    result = cameras.camera_use(machine)
    assert (result.status, result.message) == (WARN, "in use: /dev/video0 by motion (77)")
