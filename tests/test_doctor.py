"""`fer-edge doctor` on this machine, and its questions on made-up ones."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
from click.testing import CliRunner

from fer_edge.edge.cli import main
from fer_edge.edge.doctor import (
    FAIL,
    OK,
    WARN,
    Answer,
    Finding,
    Here,
    ask,
    cameras,
    examine,
    machine,
    nodes,
    page,
    software,
)
from fer_edge.edge.doctor.cli import QUESTIONS, told
from fer_edge.models import FOLDER

ROOT = FOLDER.parent
PI5 = "Raspberry Pi 5 Model B Rev 1.0"
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


def tree(root: Path, **files: str) -> Here:
    """A made-up machine; double underscores in the names stand for slashes."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Here(root=root, environ={"PATH": os.environ["PATH"]}, prefix=root / "venv")


def video_nodes(root: Path, names: list[str]) -> None:
    (root / "dev").mkdir(exist_ok=True)
    for number, name in enumerate(names):
        (root / f"dev/video{number}").write_text("")
        (root / f"sys/class/video4linux/video{number}").mkdir(parents=True)
        (root / f"sys/class/video4linux/video{number}/name").write_text(f"{name}\n")


def test_this_machine_passes_and_json_agrees() -> None:
    """By a real process; a machine that runs the tests can run the models."""
    done = subprocess.run(
        [sys.executable, "-m", "fer_edge.edge.cli", "doctor", "--json"], capture_output=True, text=True
    )
    found = json.loads(done.stdout)
    assert [each["question"] for each in found] == list(QUESTIONS)
    status = {each["question"]: each["status"] for each in found}
    assert done.returncode == (FAIL in status.values())
    for question in ("python", "runtime", "numpy", "opencv", "models", "inference", "configuration"):
        assert status[question] in (OK, WARN), found
    assert "\x1b" not in done.stdout


def test_a_wrong_file_fails_and_everything_else_is_still_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of those that need no process of their own: the test before this one asks all."""
    for name in QUESTIONS.keys() - {"python", "environment", "configuration", "disk"}:
        monkeypatch.delitem(QUESTIONS, name)
    (tmp_path / "x.toml").write_text("[run]\ntreads = 1\n")
    done = CliRunner().invoke(main, ["--config", str(tmp_path / "x.toml"), "doctor"])
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    (failed,) = [line for line in lines if line.startswith("fail")]
    assert "[run] treads is no option of 'fer-edge run'; did you mean threads?" in failed
    assert len([line for line in lines if not line.startswith(" ")]) == len(QUESTIONS)
    assert f"({page.NAME}#which-configuration-file)" in done.stdout


def test_every_answer_is_a_heading_of_the_page() -> None:
    heads = re.findall(r"^## (.+)$", (ROOT / page.NAME).read_text("utf-8"), re.MULTILINE)
    headings = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}
    assert len(headings) >= 20
    assert {value for name, value in vars(page).items() if name.isupper() and name != "NAME"} <= headings


def test_a_question_that_breaks_is_a_finding() -> None:
    def broken(here: Here) -> Finding:
        raise ZeroDivisionError("by\nzero")

    found = examine(broken, Here())
    assert (found.status, "ZeroDivisionError: by zero" in found.found) == (FAIL, True)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(-4, "", "noise"), "crashes (Illegal instruction)"),
        (Answer(1, "", "Traceback\n  x\nImportError: libGL.so.1: not there\n\n"), "ImportError: libGL.so.1: not there"),
        (Answer(2, "", "fer-edge: no"), "no"),
        (Answer(3, "", ""), "ends with exit code 3"),
    ],
)
def test_reasons_fit_in_a_line(answer: Answer, reason: str) -> None:
    assert answer.reason == reason


def test_a_library_that_aborts_is_a_finding() -> None:
    assert ask(Here(), "-c", "import os; os.abort()").reason.startswith("crashes (Aborted")


def blocked(tmp_path: Path, **modules: str) -> Here:
    """This environment with modules in front of the real ones, as broken packages are."""
    for name, text in modules.items():
        (tmp_path / f"{name}.py").write_text(text)
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    return Here(environ=os.environ | {"PYTHONPATH": path})


@pytest.mark.parametrize(
    ("question", "modules", "status", "words"),
    [
        (software.numpy, {"numpy": "raise ImportError('no numpy')"}, FAIL, "no numpy"),
        (software.opencv, {"cv2": "raise ImportError('libGL.so.1: cannot open')"}, FAIL, "libgl1"),
        (software.opencv, {"cv2": "raise ImportError('what')"}, FAIL, "--force-reinstall opencv-python"),
        (software.runtime, {"ai_edge_litert": "", "tflite_runtime": ""}, FAIL, "pip install ai-edge-litert"),
        (software.runtime, {"ai_edge_litert": "import os; os.abort()"}, FAIL, "illegal-instruction"),
        (software.inference, {"ai_edge_litert": "import os; os.abort()"}, FAIL, "crashes"),
        (software.models, {"json": "raise ImportError('broken')"}, FAIL, "broken"),
        (cameras.libcamera, {"picamera2": "raise ValueError('numpy.dtype size changed')"}, OK, "do not need it"),
    ],
)
def test_broken_packages(
    tmp_path: Path, question: Callable[[Here], Finding], modules: dict[str, str], status: str, words: str
) -> None:
    found = question(blocked(tmp_path, **modules))
    assert found.status == status, found
    assert words in " ".join((found.found, found.advice, found.answer))


def package_with(root: Path, damaged: str) -> Here:
    """This package with a bit of one of its models flipped: its own files but for models/, which it has by links."""
    package, models = root / "fer_edge", root / "fer_edge/models"
    for source in (ROOT, FOLDER, FOLDER / "face"):
        folder = package / source.relative_to(ROOT)
        folder.mkdir()
        for path in source.iterdir():
            if not path.name.startswith(".") and path not in (FOLDER, FOLDER / "face"):
                (folder / path.name).symlink_to(path)
    (models / "__init__.py").unlink()  # the folder of what it really is would be the real one
    (models / "__init__.py").write_bytes((FOLDER / "__init__.py").read_bytes())
    content = bytearray((FOLDER / damaged).read_bytes())
    content[len(content) // 2] ^= 1
    (models / damaged).unlink()
    (models / damaged).write_bytes(content)
    return Here(environ=os.environ | {"PYTHONPATH": str(root)})


@pytest.mark.parametrize("damaged", ["mobilenet_v2_int8.tflite", "face/blazeface_back.tflite"])
def test_a_damaged_file_fails_and_is_named(tmp_path: Path, damaged: str) -> None:
    """The detector's too: nothing is recognized where no face is found."""
    here = package_with(tmp_path, damaged)
    found = software.models(here)
    assert (found.status, found.answer, damaged in found.found) == (FAIL, page.MODEL, True), found
    done = ask(here, "-m", "fer_edge.edge.cli", "models", "verify")
    (told,) = [line for line in done.errors.splitlines() if "INFO" not in line]
    assert (done.code, told.startswith("FAIL  "), damaged in told) == (2, True, True), told
    assert len(done.out.splitlines()) == 5


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


def test_a_venv_on_a_pi_must_see_the_systems_packages(tmp_path: Path) -> None:
    pi = tree(tmp_path, venv__README="")
    assert software.environment(pi).found == "no virtual environment"
    (tmp_path / "venv/pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    assert software.environment(pi).status == OK
    tree(tmp_path, **{"proc__device-tree__model": f"{PI5}\0"})
    assert software.environment(pi).status == WARN
    (tmp_path / "venv/pyvenv.cfg").write_text("include-system-site-packages = true\n")
    assert software.environment(pi).status == OK


def test_this_opencvs_build_is_understood() -> None:
    built = software.build(cv2.getBuildInformation())
    assert built["FFmpeg"] == built["V4L2"] == "yes"
    assert set(built) == {"windows", "FFmpeg", "V4L2", "GStreamer"}
    headless = (
        "  GUI:    NONE\n  Video I/O:\n    FFMPEG:   NO\n    GStreamer:  YES (1.22)\n    v4l/v4l2:  YES (linux)\n"
    )
    assert software.build(headless) == {"windows": "no", "FFmpeg": "no", "V4L2": "yes", "GStreamer": "yes"}


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
    assert cameras.cameras(here).answer == page.NO_CAMERA
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
        assert (found.status, found.answer) == (FAIL, page.DENIED)
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


@pytest.mark.parametrize(
    ("question", "files", "status", "words"),
    [
        (machine.board, {"proc__device-tree__model": PI5, "etc__os-release": 'PRETTY_NAME="Debian 12"'}, OK, PI5),
        (machine.temperature, {}, OK, "cannot be read"),
        (machine.temperature, {"sys__class__thermal__thermal_zone0__temp": "48300"}, OK, "48 °C"),
        (machine.temperature, {"sys__class__thermal__thermal_zone0__temp": "81000"}, OK, "81 °C"),
        (
            machine.temperature,
            {
                "sys__class__thermal__thermal_zone0__temp": "81000",
                "sys__class__thermal__thermal_zone0__type": "cpu-thermal",
            },
            WARN,
            "heat sink",
        ),
        (machine.throttled, {}, OK, "cannot be read"),
        (machine.throttled, {"sys__devices__platform__soc__soc:firmware__get_throttled": "0"}, OK, "no"),
        (machine.throttled, {"sys__devices__platform__soc__soc:firmware__get_throttled": "40000"}, WARN, "since boot"),
        (machine.power, {"sys__devices__platform__soc__soc:firmware__get_throttled": "40000"}, OK, "no under-voltage"),
        (machine.power, {"sys__devices__platform__soc__soc:firmware__get_throttled": "50005"}, WARN, "power supply"),
        (machine.memory, {"proc__meminfo": "MemTotal: 1 kB\nMemAvailable:  900000 kB\n"}, OK, "878 MiB"),
        (machine.memory, {"proc__meminfo": "MemAvailable:  200000 kB\n"}, WARN, "mobilenet_v2"),
        (machine.memory, {"proc__meminfo": "MemAvailable:  50000 kB\n"}, FAIL, "48 MiB"),
        (machine.memory, {}, OK, "cannot be read"),
        (machine.governor, {"sys__devices__system__cpu__cpu0__cpufreq__scaling_governor": "powersave"}, WARN, "tee"),
        (machine.governor, {"sys__devices__system__cpu__cpu0__cpufreq__scaling_governor": "ondemand"}, OK, "ondemand"),
    ],
)
def test_the_machine(
    tmp_path: Path, question: Callable[[Here], Finding], files: dict[str, str], status: str, words: str
) -> None:
    found = question(tree(tmp_path, **files))
    assert found.status == status
    assert words in f"{found.found} {found.advice}"


def test_powersave_of_intels_own_driver_is_no_trouble(tmp_path: Path) -> None:
    folder = "sys__devices__system__cpu__cpu0__cpufreq__scaling_"
    assert (
        machine.governor(tree(tmp_path, **{f"{folder}governor": "powersave", f"{folder}driver": "intel_pstate"})).status
        == OK
    )


def test_screens() -> None:
    plain = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
    over_ssh = machine.display(Here(environ=plain | {"SSH_CONNECTION": "a b c d"}))
    assert (over_ssh.status, "none over SSH" in over_ssh.found) == (OK, True)
    stale = machine.display(Here(environ=plain | {"DISPLAY": ":99"}))
    assert (stale.status, stale.answer) == (WARN, page.QT)


def test_a_line_says_what_to_do() -> None:
    assert told("disk", Finding(OK, "9 MiB", "unused")) == "ok    disk             9 MiB"
    assert told("disk", Finding(FAIL, "x", "do it", "here")).splitlines()[1].strip() == f"→ do it ({page.NAME}#here)"
