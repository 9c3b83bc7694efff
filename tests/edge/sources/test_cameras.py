"""V4L2 and libcamera cameras, from the kernel's structures to the listing; tests/device/ uses a real driver."""

from __future__ import annotations

import errno
import grp
import json
import os
import struct
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import pytest
from click.testing import CliRunner
from fake_picamera2 import Picamera2, install_fake_picamera2
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from fer_edge.edge.cli import main
from fer_edge.edge.sources import v4l2
from fer_edge.edge.sources.camera import V4l2Camera, needs_motion_jpeg
from fer_edge.edge.sources.capture_request import CaptureRequest
from fer_edge.edge.sources.devices import (
    LINK_FOLDERS,
    Identity,
    access_problem,
    identify,
    list_devices,
    locate,
    processes_using,
)
from fer_edge.edge.sources.v4l2 import Capability, Format, Size

RECORDING = Path(__file__).parents[2] / "device" / "vivid.json"
META, IO_MC, STREAMING, THIS_NODE = 0x00800000, 0x20000000, 0x04000000, 0x80000000


def replay(path: Path) -> v4l2.Ioctl:
    """A driver's recorded answers; every other request is refused."""
    records = json.loads(path.read_text())
    answers = {(request, question): (error, answer) for request, question, error, answer in records}

    def ioctl(request: int, structure: bytearray) -> int:
        error, answer = answers.get((request, structure.hex()), (errno.EINVAL, structure.hex()))
        structure[:] = bytes.fromhex(answer)
        return int(error)

    return ioctl


def test_requests_have_the_kernels_numbers() -> None:
    numbers = (v4l2.QUERYCAP, v4l2.ENUM_FMT, v4l2.REQBUFS, v4l2.ENUM_FRAMESIZES, v4l2.ENUM_FRAMEINTERVALS)
    assert [f"{number:08x}" for number in numbers] == ["80685600", "c0405602", "c0145608", "c02c564a", "c034564b"]


def test_vivid_as_it_answered() -> None:
    ioctl = replay(RECORDING)
    capability = v4l2.query_capability(ioctl)
    assert capability is not None
    assert (capability.driver, capability.card, capability.bus, capability.kind) == (
        "vivid",
        "vivid",
        "platform:vivid-000",
        "camera",
    )
    (yuyv,) = v4l2.list_formats(ioctl, capability.flags)
    assert (yuyv.code, yuyv.description, yuyv.compressed) == ("YUYV", "YUYV 4:2:2", False)
    sizes = [(320, 180), (640, 360), (640, 480), (1280, 720), (1920, 1080), (3840, 2160)]
    assert [(size.width, size.height) for size in yuyv.sizes] == sizes
    assert yuyv.sizes[2].rates == (25.0, 15.0, 12.5, 10.0, 5.0, 4.0, 2.0, 1.0)
    assert yuyv.rate(1920, 1080) == 5
    assert not v4l2.is_busy(ioctl, capability.flags)


class Driver:
    """A driver of one raw and one compressed format that answers as the kernel does; longer tuples are ranges."""

    def __init__(self, sizes: tuple[int, ...], rates: tuple[int, ...], flags: int = 1, busy: bool = False) -> None:
        self.sizes, self.rates, self.flags, self.busy = sizes, rates, flags, busy

    def __call__(self, request: int, structure: bytearray) -> int:
        if request == v4l2.QUERYCAP:
            names = (b"uvcvideo", b"HD Webcam: \xff", b"usb-0000:00:14.0-1")
            struct.pack_into("=16s32s32s3I", structure, 0, *names, 0x060100, 0x85A00001 | THIS_NODE, self.flags)
            return 0
        if request == v4l2.REQBUFS:
            return errno.EBUSY if self.busy else 0
        (index,) = struct.unpack_from("=I", structure)
        if request == v4l2.ENUM_FMT:
            if index > 1:
                return errno.EINVAL
            descriptions = ((0, b"YUYV 4:2:2", b"YUYV"), (1, b"Motion-JPEG", b"MJPG"))
            struct.pack_into("=I32s4s", structure, 8, *descriptions[index])
        elif index > 0:
            return errno.EINVAL
        elif request == v4l2.ENUM_FRAMESIZES:
            struct.pack_into(f"={1 + len(self.sizes)}I", structure, 8, 1 if len(self.sizes) == 2 else 3, *self.sizes)
        else:
            struct.pack_into(f"={1 + len(self.rates)}I", structure, 16, 1 if len(self.rates) == 2 else 2, *self.rates)
        return 0


def test_discrete_sizes_and_rates() -> None:
    driver = Driver((1280, 720), (1, 30))
    capability = v4l2.query_capability(driver)
    assert capability == Capability("uvcvideo", "HD Webcam: \ufffd", "usb-0000:00:14.0-1", 1)
    raw, compressed = v4l2.list_formats(driver, capability.flags)
    assert raw == Format("YUYV", "YUYV 4:2:2", False, (Size(1280, 720, (30.0,)),))
    assert compressed.compressed
    assert raw.rate(1280, 720) == 30
    assert raw.rate(640, 480) == 0


def test_ranges_of_sizes_and_rates() -> None:
    driver = Driver((32, 2592, 2, 16, 1944, 2), (1, 90, 1, 1, 1, 1))
    raw, _ = v4l2.list_formats(driver, 1)
    assert raw.sizes == (Size(2592, 1944, (90.0, 1.0), (32, 16)),)
    assert raw.rate(640, 480) == 90
    assert raw.rate(2594, 1944) == 0


def test_busy_drivers_and_other_devices() -> None:
    assert v4l2.is_busy(Driver((), (), busy=True), 1)
    assert v4l2.query_capability(lambda request, structure: errno.ENOTTY) is None
    assert list(v4l2.list_formats(lambda request, structure: errno.ENOTTY, 1)) == []


@hypothesis_settings(max_examples=20)  # lists that never end are long
@given(st.binary(min_size=104, max_size=104), st.binary(min_size=64, max_size=64))
def test_any_answer_of_a_driver_is_accepted(querycap: bytes, other: bytes) -> None:
    def ioctl(request: int, structure: bytearray) -> int:
        structure[:] = (querycap if request == v4l2.QUERYCAP else other)[: len(structure)]
        return 0

    capability = v4l2.query_capability(ioctl)
    assert capability is not None
    assert capability.kind in ("camera", "codec", "metadata", "other", "pipeline")
    first = next(v4l2.list_formats(ioctl, capability.flags))  # the list never ends
    assert first.rate(640, 480) >= 0


@pytest.mark.parametrize(
    ("driver", "flags", "kind"),
    [
        ("uvcvideo", 1, "camera"),
        ("uvcvideo", META, "metadata"),
        ("bcm2835-codec", 0x4000, "codec"),
        ("rpivid", 0x4000, "codec"),
        ("bcm2835-isp", 1, "pipeline"),
        ("bcm2835-isp", 2, "pipeline"),
        ("unicam", 1, "pipeline"),
        ("rp1-cfe", 1 | IO_MC, "pipeline"),
        ("stm32-dcmi", 1 | IO_MC, "pipeline"),
        ("v4l2 loopback", 3, "codec"),
        ("em28xx", 0x10, "other"),
    ],
)
def test_kinds(driver: str, flags: int, kind: str) -> None:
    assert Capability(driver, "card", "bus", flags | STREAMING).kind == kind


def webcam(raw: float, compressed: float) -> list[Format]:
    """640x480 at 30 in both formats, 1280x720 at the given rates."""
    small = Size(640, 480, (30.0,))
    return [
        Format("YUYV", "", False, (small, Size(1280, 720, (raw,)))),
        Format("MJPG", "", True, (small, Size(1280, 720, (compressed,)))),
    ]


@pytest.mark.parametrize(
    ("capture_request", "needed"),
    [
        (CaptureRequest(), False),
        (CaptureRequest(640, 480), False),
        (CaptureRequest(1280, 720), True),
        (CaptureRequest(1280, 720, 10), False),
        (CaptureRequest(1280, 720, 15), True),
        (CaptureRequest(fps=60), False),
        (CaptureRequest(320, 240), False),
    ],
)
def test_motion_jpeg_where_raw_pictures_are_too_slow(capture_request: CaptureRequest, needed: bool) -> None:
    assert needs_motion_jpeg(webcam(10, 30), capture_request) == needed
    assert not needs_motion_jpeg(webcam(30, 30), capture_request)
    assert not needs_motion_jpeg([], capture_request)


def test_only_what_was_requested_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above all not a single buffer: a driver without one to fill while a picture is read skips the next picture."""
    settings: dict[int, float] = {}

    class Capture:
        def set(self, setting: int, value: float) -> None:
            settings[setting] = value

        def get(self, setting: int) -> float:
            return settings.get(setting, 0)

    monkeypatch.setattr("fer_edge.edge.sources.camera.open_capture", lambda path, backend: Capture())
    assert V4l2Camera("/dev/null", CaptureRequest(640, 480)).size == (640, 480)
    assert settings == {cv2.CAP_PROP_FRAME_WIDTH: 640, cv2.CAP_PROP_FRAME_HEIGHT: 480}


@pytest.mark.parametrize(
    ("capture_request", "size", "fps", "description"),
    [
        (CaptureRequest(), (640, 480), None, "640x480"),
        (CaptureRequest(320, 240), (320, 180), 25.0, "320x180 instead of 320x240, 25 fps"),
        (CaptureRequest(width=320), (640, 480), 30.0, "640x480 instead of 320xany, 30 fps"),
        (CaptureRequest(fps=60), (640, 480), 30.0, "640x480, 30 fps instead of 60"),
        (CaptureRequest(fps=30), (640, 480), 29.97, "640x480, 30 fps"),
        (CaptureRequest(fps=7), (640, 480), None, "640x480, 7 fps requested, actual rate unknown"),
    ],
)
def test_the_description_shows_the_request_that_was_not_followed(
    capture_request: CaptureRequest, size: tuple[int, int], fps: float | None, description: str
) -> None:
    assert capture_request.describe(size, fps) == description


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """/sys and /dev with a camera's two nodes, and one whose node is missing; plain files, no devices."""
    for number in (0, 1, 10):
        folder = tmp_path / f"sys/class/video4linux/video{number}"
        folder.mkdir(parents=True)
        (folder / "name").write_text("HD Webcam\n")
        (folder / "index").write_text(f"{number}\n")
    for name in LINK_FOLDERS:
        (tmp_path / "dev/v4l" / name).mkdir(parents=True)
        (tmp_path / "dev/v4l" / name / f"{name}-webcam-video-index0").symlink_to("../../video0")
    for number in (0, 1):
        (tmp_path / f"dev/video{number}").touch()
    return tmp_path


def test_nodes_that_do_not_answer_are_listed_with_the_reason(tree: Path) -> None:
    first, second, third = list_devices(tree)
    assert [Path(node.path).name for node in (first, second, third)] == ["video0", "video1", "video10"]
    assert first.name == "HD Webcam"
    assert [Path(link).parent.name for link in first.links] == ["by-id", "by-path"]
    assert second.links == ()
    assert first.problem == "does not answer as a V4L2 device"
    assert third.problem is not None
    assert "no node in /dev" in third.problem


def test_a_camera_is_located_by_its_link_in_any_socket(tree: Path) -> None:
    link = tree / "dev/v4l/by-id/by-id-webcam-video-index0"
    by_number = Identity("/dev/video7", "HD Webcam", "usb-1", "0", (str(link),))
    assert locate(by_number, tree) == str(tree / "dev/video0")
    link.unlink()
    assert locate(by_number, tree) is None
    link.symlink_to("../../video1")  # another socket, another number
    assert locate(by_number, tree) == str(tree / "dev/video1")
    by_path = Identity(str(tree / "dev/v4l/by-path/by-path-webcam-video-index0"))
    assert locate(by_path, tree) == by_path.path
    assert identify(str(tree / "dev/video0"), tree) is None  # a plain file does not answer
    assert identify("/dev/null", tree) is None


@pytest.mark.parametrize("serial", ["7C8F2A5F", None])
def test_a_camera_without_a_serial_number_is_not_located_by_its_link(
    tree: Path, monkeypatch: pytest.MonkeyPatch, serial: str | None
) -> None:
    """Two of a model share one link then; when one is unplugged, the link is the other's."""
    capabilities = {"video0": Capability("uvcvideo", "HD Webcam", "usb-1.1", 1)}
    monkeypatch.setattr("fer_edge.edge.sources.devices.read_capability", lambda path: capabilities.get(Path(path).name))
    usb = tree / "sys/devices/usb1/1-1"
    (usb / "1-1:1.0").mkdir(parents=True)
    (tree / "sys/class/video4linux/video0/device").symlink_to(usb / "1-1:1.0")
    if serial:
        (usb / "serial").write_text(f"{serial}\n")
    identity = identify(str(tree / "dev/video0"), tree)
    assert identity is not None
    assert locate(identity, tree) == str(tree / "dev/video0")
    capabilities["video1"] = replace(capabilities.pop("video0"), bus="usb-1.2")  # in another socket, or its twin
    link = tree / "dev/v4l/by-id/by-id-webcam-video-index0"
    link.unlink()
    link.symlink_to("../../video1")
    assert locate(identity, tree) == (str(tree / "dev/video1") if serial else None)


def test_processes_that_have_a_file_open_are_invoke_cameras(tmp_path: Path) -> None:
    path = tmp_path / "video0"
    path.touch()
    assert processes_using(str(path)) == []
    with path.open():
        assert any(each.endswith(f"({os.getpid()})") for each in processes_using(str(path)))


def test_a_file_that_was_closed_meanwhile_hides_no_other(tmp_path: Path) -> None:
    """A plain file stands for it here: it cannot be read as a link either."""
    opened = tmp_path / "77" / "fd"
    opened.mkdir(parents=True)
    (tmp_path / "77" / "comm").write_text("motion\n")
    (opened / "3").touch()
    (opened / "4").symlink_to(tmp_path / "video0")
    (opened / "5").touch()
    assert processes_using(str(tmp_path / "video0"), tmp_path) == ["motion (77)"]


def test_a_user_outside_the_group_learns_what_to_do() -> None:
    """Checked as an ordinary user: root may open anything."""
    if os.geteuid():
        pytest.skip("needs root to become another user")
    code = "import os, sys; from fer_edge.edge.sources.devices import access_problem\n"
    code += "os.setgroups([]); os.setgid(65534); os.setuid(65534); print(access_problem(sys.argv[1]))"
    with tempfile.NamedTemporaryFile() as node:
        os.chown(node.name, 0, grp.getgrnam("video").gr_gid)
        assert access_problem(node.name) is None
        for mode, words in ((0o660, "by the group video only: sudo usermod -aG video $USER"), (0o600, "by root only")):
            os.chmod(node.name, mode)
            command = [sys.executable, "-c", code, node.name]
            assert words in subprocess.run(command, capture_output=True, text=True, check=True).stdout


def invoke_cameras(*arguments: str) -> Any:
    result = CliRunner().invoke(main, ["cameras", *arguments])
    assert result.exit_code == 0, result.output
    return result


def test_cameras_of_libcamera_are_invoke_cameras(monkeypatch: pytest.MonkeyPatch) -> None:
    install_fake_picamera2(monkeypatch)
    lines = invoke_cameras().stdout.splitlines()
    at = lines.index("--camera picamera2:0  imx708 (/base/soc/i2c0mux/i2c@1/imx708@1a, rotated 180)")
    assert lines[at + 1] == "  SRGGB10_CSI2P: 1536x864 at 120.13, 2304x1296 at 56.03"
    (camera,) = [each for each in json.loads(invoke_cameras("--json").stdout)["cameras"] if each["kind"] == "libcamera"]
    assert camera["use"] == "--camera picamera2:0"
    assert camera["formats"][0]["sizes"][1] == {"width": 2304, "height": 1296, "rates": [56.03], "smallest": None}


def test_a_busy_camera_of_libcamera_is_listed_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    picamera2 = install_fake_picamera2(monkeypatch)
    with picamera2(0):
        assert "  Failed to acquire camera: Device or resource busy" in invoke_cameras().stdout.splitlines()
    assert isinstance(picamera2(0), Picamera2)  # closed after the listing


def test_without_picamera2_the_rest_is_invoke_cameras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    result = invoke_cameras()
    assert "picamera2 is missing" in result.stderr
    assert set(json.loads(invoke_cameras("--json").stdout)) == {"cameras", "others"}
    if not list_devices():
        assert result.stdout.startswith("no camera was found.")
