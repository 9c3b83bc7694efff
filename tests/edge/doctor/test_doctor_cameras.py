"""What `fer-edge doctor` says of cameras, on made-up machines."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from machines import PI5, blocked, tree

from fer_edge.edge.doctor import FAIL, OK, WARN, Finding, Here, anchors, cameras
from fer_edge.edge.doctor import v4l2_nodes as nodes

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
    here = blocked(tmp_path, picamera2=module)
    pi = tree(tmp_path / "pi", **{"proc__device-tree__model": PI5})
    found = cameras.libcamera(Here(root=pi.root, environ=here.environ))
    assert found.status == (WARN if words else OK), found
    assert words in found.advice
    if "not_there" in module:
        (pi.root / "usr/lib/python3/dist-packages/picamera2").mkdir(parents=True)
        assert "--system-site-packages" in cameras.libcamera(Here(root=pi.root, environ=here.environ)).advice


@pytest.mark.parametrize("name", NODES)
def test_nodes_are_told_apart(tmp_path: Path, name: str) -> None:
    names, kinds = NODES[name]
    video_nodes(tmp_path, names)
    assert [node.kind for node in nodes.nodes(tmp_path)] == kinds
    here = Here(root=tmp_path, environ={})
    assert cameras.cameras(here).status == OK
    number = cameras.camera_number(here)
    if kinds[0] == "camera":
        assert (number.status, number.found) == (OK, f"--camera 0 is {names[0]}")
    else:
        assert (number.status, number.advice) == (WARN, "take --camera picamera2")


def test_a_uvc_cameras_second_node_is_metadata(tmp_path: Path) -> None:
    video_nodes(tmp_path, ["codec", "C920", "C920"])
    for number, index in enumerate("501"):
        (tmp_path / f"sys/class/video4linux/video{number}/index").write_text(index)
    assert [node.kind for node in nodes.nodes(tmp_path)] == ["metadata", "camera", "metadata"]
    found = cameras.camera_number(Here(root=tmp_path, environ={}))
    assert found.advice == "take --camera /dev/video1"
    assert cameras.cameras(Here(root=tmp_path, environ={})).found == "/dev/video1 C920; beside 2 metadata nodes"


def test_no_camera(tmp_path: Path) -> None:
    here = tree(tmp_path)
    assert cameras.cameras(here).answer == anchors.NO_CAMERA
    assert {question(here).status for question in (cameras.camera_access, cameras.camera_use)} == {OK}
    assert cameras.camera_number(here) == Finding(OK, "there is no camera to number")
    video_nodes(tmp_path, ["bcm2835-codec-decode"])
    assert cameras.cameras(here).status == WARN
    assert "picamera2" not in cameras.camera_number(here).found
    pi = tree(tmp_path, **{"proc__device-tree__model": PI5})
    assert cameras.camera_number(pi).found.endswith("a camera module is --camera picamera2")


def as_nobody(question: Callable[[Here], Finding], here: Here) -> Finding:
    """The question asked by another user, in a fork; as this one where this one is not root."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.getuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            found = question(here)
            os.write(writing, json.dumps([found.status, found.found, found.advice, found.answer]).encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as stream:
        return Finding(*json.load(stream))


def test_a_camera_that_may_not_be_opened() -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's folders are closed to others
        root = Path(folder)
        root.chmod(0o755)
        video_nodes(root, ["C920"])
        (root / "dev/video0").chmod(0)
        group = (root / "dev/video0").group()
        here = Here(root=root, environ={"USER": "pi"})
        found = as_nobody(cameras.camera_access, here)
        assert (found.status, found.answer) == (FAIL, anchors.DENIED)
        assert found.advice == f"sudo usermod -aG {group} $USER, then log in again"
        tree(root, etc__group=f"{group}:x:44:someone,pi\n")
        assert as_nobody(cameras.camera_access, here).advice.startswith("log in again")


def test_a_camera_that_another_program_has(tmp_path: Path) -> None:
    video_nodes(tmp_path, ["C920"])
    here = tree(tmp_path, proc__77__comm="motion\n", **{f"proc__{os.getpid()}__comm": "doctor"})
    for process in ("77", str(os.getpid())):
        (tmp_path / f"proc/{process}/fd").mkdir()
        (tmp_path / f"proc/{process}/fd/3").symlink_to("/dev/video0")
    found = cameras.camera_use(here)
    assert (found.status, found.found) == (WARN, "in use: /dev/video0 by motion (77)")
