"""`fer-edge doctor` on this machine, and its questions of software and hardware on made-up ones."""

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
from fer_edge.edge.doctor import (
    FAIL,
    OK,
    WARN,
    Answer,
    Finding,
    Here,
    anchors,
    ask,
    cameras,
    examine,
    machine,
    software,
)
from fer_edge.edge.doctor.command import QUESTIONS, told
from fer_edge.models import FOLDER

ROOT = FOLDER.parent


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
    assert "[run] treads is not an option of 'fer-edge run'; did you mean threads?" in failed
    assert len([line for line in lines if not line.startswith(" ")]) == len(QUESTIONS)
    assert f"({anchors.NAME}#which-configuration-file)" in done.stdout


def test_every_answer_is_a_heading_of_the_page() -> None:
    heads = re.findall(r"^## (.+)$", (ROOT / anchors.NAME).read_text("utf-8"), re.MULTILINE)
    headings = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}
    assert len(headings) >= 20
    assert {value for name, value in vars(anchors).items() if name.isupper() and name != "NAME"} <= headings


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
    assert (found.status, found.answer, damaged in found.found) == (FAIL, anchors.MODEL, True), found
    done = ask(here, "-m", "fer_edge.edge.cli", "models", "verify")
    (told,) = [line for line in done.errors.splitlines() if "INFO" not in line]
    assert (done.code, told.startswith("FAIL  "), damaged in told) == (2, True, True), told
    assert len(done.out.splitlines()) == 5


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
    assert (stale.status, stale.answer) == (WARN, anchors.QT)


def test_a_line_says_what_to_do() -> None:
    assert told("disk", Finding(OK, "9 MiB", "unused")) == "ok    disk             9 MiB"
    assert told("disk", Finding(FAIL, "x", "do it", "here")).splitlines()[1].strip() == f"→ do it ({anchors.NAME}#here)"
