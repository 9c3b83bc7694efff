"""`fer-edge doctor` on this machine, and its checks of software and hardware on made-up ones."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
from click.testing import CliRunner
from machines import PI5, blocked, tree

from fer_edge.edge.cli import main
from fer_edge.edge.doctor import anchors, cameras, hardware, software
from fer_edge.edge.doctor.check import FAIL, OK, WARN, CheckResult, Machine, ProcessResult, run_check, run_python
from fer_edge.edge.doctor.command import CHECKS, result_lines
from fer_edge.models import FOLDER, SHIPPED

ROOT = FOLDER.parent


@pytest.mark.slow
def test_this_machine_passes_and_json_agrees() -> None:
    """By a real process; a machine that runs the tests can run the models."""
    done = subprocess.run(
        [sys.executable, "-m", "fer_edge.edge.cli", "doctor", "--json"], capture_output=True, text=True
    )
    found = json.loads(done.stdout)
    assert [each["check"] for each in found] == list(CHECKS)
    status = {each["check"]: each["status"] for each in found}
    assert done.returncode == (FAIL in status.values())
    for check in ("python", "runtime", "numpy", "opencv", "models", "inference", "configuration"):
        assert status[check] in (OK, WARN), found
    assert "\x1b" not in done.stdout


def test_a_wrong_file_fails_and_the_rest_is_still_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of those that need no process of their own: the test before this one runs all."""
    for name in CHECKS.keys() - {"python", "environment", "configuration", "disk"}:
        monkeypatch.delitem(CHECKS, name)
    (tmp_path / "x.toml").write_text("[run]\ntreads = 1\n")
    done = CliRunner().invoke(main, ["--config", str(tmp_path / "x.toml"), "doctor"])
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    (failed,) = [line for line in lines if line.startswith("fail")]
    assert "[run] treads is not an option of 'fer-edge run'; did you mean threads?" in failed
    assert len([line for line in lines if not line.startswith(" ")]) == len(CHECKS)
    assert f"({anchors.PAGE}#which-configuration-file)" in done.stdout


def test_every_anchor_is_a_heading_of_the_page() -> None:
    heads = re.findall(r"^## (.+)$", (ROOT / anchors.PAGE).read_text("utf-8"), re.MULTILINE)
    headings = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}
    assert len(headings) >= 20
    assert {value for name, value in vars(anchors).items() if name.isupper() and name != "PAGE"} <= headings


def test_a_check_that_breaks_is_a_result() -> None:
    def broken(machine: Machine) -> CheckResult:
        raise ZeroDivisionError("by\nzero")

    result = run_check(broken, Machine())
    assert (result.status, "ZeroDivisionError: by zero" in result.message) == (FAIL, True)


@pytest.mark.parametrize(
    ("process", "reason"),
    [
        (ProcessResult(-4, "", "noise"), "crashes (Illegal instruction)"),
        (
            ProcessResult(1, "", "Traceback\n  x\nImportError: libGL.so.1: not there\n\n"),
            "ImportError: libGL.so.1: not there",
        ),
        (ProcessResult(2, "", "fer-edge: no"), "no"),
        (ProcessResult(3, "", ""), "ends with exit code 3"),
    ],
)
def test_reasons_fit_in_a_line(process: ProcessResult, reason: str) -> None:
    assert process.reason == reason


def test_a_library_that_aborts_is_a_finding() -> None:
    assert run_python(Machine(), "-c", "import os; os.abort()").reason.startswith("crashes (Aborted")


@pytest.mark.parametrize(
    ("check", "modules", "status", "words"),
    [
        (software.numpy, {"numpy": "raise ImportError('no numpy')"}, FAIL, "no numpy"),
        (software.opencv, {"cv2": "raise ImportError('libGL.so.1: cannot open')"}, FAIL, "libgl1"),
        (software.opencv, {"cv2": "raise ImportError('what')"}, FAIL, "--force-reinstall opencv-python"),
        (software.runtime, {"ai_edge_litert": "", "tflite_runtime": ""}, FAIL, "pip install ai-edge-litert"),
        (software.runtime, {"ai_edge_litert": "import os; os.abort()"}, FAIL, "illegal-instruction"),
        (software.inference, {"ai_edge_litert": "import os; os.abort()"}, FAIL, "crashes"),
        (software.accelerators, {"ai_edge_litert": "import os; os.abort()"}, OK, "none"),
        (software.models, {"json": "raise ImportError('broken')"}, FAIL, "broken"),
        (cameras.libcamera, {"picamera2": "raise ValueError('numpy.dtype size changed')"}, OK, "do not need it"),
    ],
)
def test_broken_packages(
    tmp_path: Path, check: Callable[[Machine], CheckResult], modules: dict[str, str], status: str, words: str
) -> None:
    result = check(blocked(tmp_path, **modules))
    assert result.status == status, result
    assert words in " ".join((result.message, result.advice, result.anchor))


def package_with(root: Path, damaged: str) -> Machine:
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
    return Machine(environ=os.environ | {"PYTHONPATH": str(root)})


@pytest.mark.slow
@pytest.mark.parametrize("damaged", ["mobilenet_v2_int8.tflite", "face/yunet_int8.tflite"])
def test_a_damaged_file_fails_and_is_named(tmp_path: Path, damaged: str) -> None:
    """The detector's too: nothing is recognized where no face is found."""
    machine = package_with(tmp_path, damaged)
    result = software.models(machine)
    assert (result.status, result.anchor, damaged in result.message) == (FAIL, anchors.MODEL, True), result
    done = run_python(machine, "-m", "fer_edge.edge.cli", "models", "verify")
    (line,) = [each for each in done.stderr.splitlines() if "INFO" not in each]
    assert (done.exit_code, line.startswith("FAIL  "), damaged in line) == (2, True, True), line
    assert len(done.stdout.splitlines()) == len(SHIPPED) - 1


def test_a_venv_on_a_pi_must_see_the_systems_packages(tmp_path: Path) -> None:
    pi = tree(tmp_path, venv__README="")
    assert software.environment(pi).message == "no virtual environment"
    (tmp_path / "venv/pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    assert software.environment(pi).status == OK
    tree(tmp_path, **{"proc__device-tree__model": f"{PI5}\0"})
    assert software.environment(pi).status == WARN
    (tmp_path / "venv/pyvenv.cfg").write_text("include-system-site-packages = true\n")
    assert software.environment(pi).status == OK


@pytest.mark.parametrize(("version", "status"), [("4.12.0", OK), ("4.14.0", WARN), ("5.0.0", OK)])
def test_an_opencv_that_cannot_read_interlaced_video_is_a_warning(tmp_path: Path, version: str, status: str) -> None:
    information = "  GUI: QT5\n  FFMPEG: YES\n  GStreamer: NO\n  v4l/v4l2: YES\n"
    code = f"__version__ = {version!r}\ndef getBuildInformation():\n    return {information!r}\n"
    (tmp_path / "cv2.py").write_text(code)
    result = software.opencv(Machine(environ={**os.environ, "PYTHONPATH": str(tmp_path)}))
    assert result.status == status
    assert ("interlaced" in result.advice) == (status == WARN)


def test_this_opencvs_build_is_understood() -> None:
    built = software.build_features(cv2.getBuildInformation())
    assert built["FFmpeg"] == built["V4L2"] == "yes"
    assert set(built) == {"windows", "FFmpeg", "V4L2", "GStreamer"}
    headless = (
        "  GUI:    NONE\n  Video I/O:\n    FFMPEG:   NO\n    GStreamer:  YES (1.22)\n    v4l/v4l2:  YES (linux)\n"
    )
    assert software.build_features(headless) == {"windows": "no", "FFmpeg": "no", "V4L2": "yes", "GStreamer": "yes"}


@pytest.mark.parametrize(
    ("check", "files", "status", "words"),
    [
        (hardware.board, {"proc__device-tree__model": PI5, "etc__os-release": 'PRETTY_NAME="Debian 12"'}, OK, PI5),
        (hardware.temperature, {}, OK, "unknown"),
        (hardware.temperature, {"sys__class__thermal__thermal_zone0__temp": "48300"}, OK, "48 °C"),
        (hardware.temperature, {"sys__class__thermal__thermal_zone0__temp": "81000"}, OK, "81 °C"),
        (
            hardware.temperature,
            {
                "sys__class__thermal__thermal_zone0__temp": "81000",
                "sys__class__thermal__thermal_zone0__type": "cpu-thermal",
            },
            WARN,
            "heat sink",
        ),
        (hardware.throttling, {}, OK, "unknown"),
        (hardware.throttling, {"sys__devices__platform__soc__soc:firmware__get_throttled": "0"}, OK, "no"),
        (
            hardware.throttling,
            {"sys__devices__platform__soc__soc:firmware__get_throttled": "40000"},
            WARN,
            "since boot",
        ),
        (hardware.power, {"sys__devices__platform__soc__soc:firmware__get_throttled": "40000"}, OK, "no under-voltage"),
        (hardware.power, {"sys__devices__platform__soc__soc:firmware__get_throttled": "50005"}, WARN, "power supply"),
        (hardware.memory, {"proc__meminfo": "MemTotal: 1 kB\nMemAvailable:  900000 kB\n"}, OK, "878 MiB"),
        (hardware.memory, {"proc__meminfo": "MemAvailable:  200000 kB\n"}, WARN, "mobilenet_v2"),
        (hardware.memory, {"proc__meminfo": "MemAvailable:  50000 kB\n"}, FAIL, "48 MiB"),
        (hardware.memory, {}, OK, "unknown"),
        (hardware.governor, {"sys__devices__system__cpu__cpu0__cpufreq__scaling_governor": "powersave"}, WARN, "tee"),
        (hardware.governor, {"sys__devices__system__cpu__cpu0__cpufreq__scaling_governor": "ondemand"}, OK, "ondemand"),
    ],
)
def test_the_machine(
    tmp_path: Path, check: Callable[[Machine], CheckResult], files: dict[str, str], status: str, words: str
) -> None:
    result = check(tree(tmp_path, **files))
    assert result.status == status
    assert words in f"{result.message} {result.advice}"


def test_powersave_of_intels_own_driver_is_fine(tmp_path: Path) -> None:
    folder = "sys__devices__system__cpu__cpu0__cpufreq__scaling_"
    assert (
        hardware.governor(
            tree(tmp_path, **{f"{folder}governor": "powersave", f"{folder}driver": "intel_pstate"})
        ).status
        == OK
    )


def test_screens() -> None:
    plain = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
    over_ssh = hardware.display(Machine(environ=plain | {"SSH_CONNECTION": "a b c d"}))
    assert (over_ssh.status, "none over SSH" in over_ssh.message) == (OK, True)
    stale = hardware.display(Machine(environ=plain | {"DISPLAY": ":99"}))
    assert (stale.status, stale.anchor) == (WARN, anchors.QT)


def test_a_line_says_what_to_do() -> None:
    assert result_lines("disk", CheckResult(OK, "9 MiB", "unused")) == "ok    disk             9 MiB"
    assert (
        result_lines("disk", CheckResult(FAIL, "x", "do it", "here")).splitlines()[1].strip()
        == f"→ do it ({anchors.PAGE}#here)"
    )
