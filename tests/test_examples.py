"""The demo's examples: the clip, the live page's process, and the environment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from waiting import LIMIT, default_signal_handlers, until

from examples import EXAMPLES, environment, make_clip
from fer_edge.edge.faces.detector import open_detector
from fer_edge.edge.types import Frame


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> list[np.ndarray]:
    path = make_clip.write(tmp_path_factory.mktemp("clip") / "new" / "clip.mp4")
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (reading := capture.read())[0]:
        frames.append(reading[1])
    assert capture.get(cv2.CAP_PROP_FPS) == make_clip.RATE
    return frames


def test_the_clip_has_its_length_and_size(clip: list[np.ndarray]) -> None:
    assert len(clip) == 4 * make_clip.RATE
    assert {frame.shape for frame in clip} == {(480, 640, 3)}


def test_every_frame_shows_one_face_and_it_moves(clip: list[np.ndarray]) -> None:
    detector = open_detector(continuous=True)
    detections = [detector.detect(Frame(frame)) for frame in clip[::5]]
    assert [len(faces) for faces in detections] == [1] * len(detections)
    boxes = [face.box for (face,) in detections]
    assert np.ptp([box.x + box.width / 2 for box in boxes]) > 50
    assert np.ptp([box.width for box in boxes]) > 10


def test_the_page_is_served_until_it_is_interrupted(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "demo.py"), "--web", "127.0.0.1:0"]
    with default_signal_handlers():
        started = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True)
    with started as demo:
        assert demo.stderr is not None
        link = next(line for line in demo.stderr if line.startswith("live page: ")).split()[-1]
        until(lambda: httpx.get(f"{link}api/state", timeout=LIMIT).json()["frames"])
        os.killpg(demo.pid, signal.SIGINT)  # as a terminal does
        demo.stderr.read()
    assert demo.returncode == 0


def test_a_portrait_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"none\.jpg cannot be read"):
        make_clip.write(tmp_path / "clip.mp4", tmp_path / "none.jpg")


def test_versions_are_limited_for_apts_picamera2_on_python_3_11_only() -> None:
    assert environment.constraints((3, 11)) == ["numpy<2", "opencv-python<5"]
    assert environment.constraints((3, 13)) == []


def test_picamera2_is_searched_in_the_systems_python(tmp_path: Path) -> None:
    python = tmp_path / "python3"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    assert not environment.has_picamera2(str(python))
    (tmp_path / "picamera2.py").touch()
    assert environment.has_picamera2(str(python))
    assert not environment.has_picamera2("/no/such/python")


@pytest.mark.parametrize(
    ("error", "package"),
    [
        ("ImportError: libGL.so.1: cannot open shared object file", "libgl1"),
        ("ImportError: libgthread-2.0.so.0: cannot open shared object file", "libglib2.0-0"),
    ],
)
def test_a_missing_library_names_its_package(error: str, package: str) -> None:
    assert environment.missing_library(error).endswith(f"sudo apt-get install {package}")
    assert environment.missing_library("ImportError: something else") is None


def test_an_old_python_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    with pytest.raises(SystemExit, match=r"3\.11 or later"):
        environment.check_python()


def test_a_missing_venv_package_is_named(tmp_path: Path) -> None:
    environment.check_venv(sys.executable)
    python = tmp_path / "python3"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    with pytest.raises(SystemExit, match="apt-get install python3-venv"):
        environment.check_venv(str(python))
