"""The demo's parts: the clip, and the environment's rules."""

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
from networks import coarse_faces, tiny_network
from waiting import LIMIT, signals_heard

from examples import EXAMPLES, environment, example, make_clip
from fer_edge.edge.faces.detector import open_detector
from fer_edge.edge.types import Frame
from fer_edge.train.data.splits import Split

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> list[np.ndarray]:
    path = make_clip.write(tmp_path_factory.mktemp("clip") / "new" / "clip.mp4")
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (answer := capture.read())[0]:
        frames.append(answer[1])
    assert capture.get(cv2.CAP_PROP_FPS) == make_clip.RATE
    return frames


def test_the_clip_has_its_length_and_size(clip: list[np.ndarray]) -> None:
    assert len(clip) == 4 * make_clip.RATE
    assert {frame.shape for frame in clip} == {(480, 640, 3)}


def test_every_frame_shows_one_face_and_it_moves(clip: list[np.ndarray]) -> None:
    detector = open_detector("blazeface", 1)
    found = [detector.detect(Frame(frame)) for frame in clip[::5]]
    assert [len(faces) for faces in found] == [1] * len(found)
    middles = np.array([(face.box.x + face.box.width / 2, face.box.y + face.box.height / 2) for (face,) in found])
    assert np.ptp(middles[:, 0]) > 50
    assert np.ptp([face.box.width for (face,) in found]) > 10


def test_the_page_is_there_until_it_is_interrupted(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "demo.py"), "--web", "127.0.0.1:0"]
    with signals_heard():
        started = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True)
    with started as demo:
        assert demo.stderr is not None
        link = next(line for line in demo.stderr if line.startswith("live page: ")).split()[-1]
        assert httpx.get(f"{link}api/state", timeout=LIMIT).json()["model"]
        os.killpg(demo.pid, signal.SIGINT)  # as a terminal does
        demo.stderr.read()
    assert demo.returncode == 0


def test_a_portrait_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"none\.jpg cannot be read"):
        make_clip.write(tmp_path / "clip.mp4", tmp_path / "none.jpg")


def test_apts_picamera2_is_kept_working_on_python_3_11_only() -> None:
    assert environment.constraints((3, 11)) == ["numpy<2", "opencv-python<5"]
    assert environment.constraints((3, 13)) == []


def test_picamera2_is_looked_for_in_the_systems_python(tmp_path: Path) -> None:
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


def test_activations_are_exchanged_and_compared() -> None:
    """The tiny network has two swishes and two gates; a hard swish is zero below -3 and its input above 3."""
    activations = example("activations")
    model = tiny_network()
    assert activations.exchange(model, {"swish": activations.hard_swish}) == 2
    assert activations.exchange(model, {"swish": activations.hard_swish}) == 0
    assert np.allclose(model.get_layer("swish")(np.float32([-4, -3, 0, 3, 4])), [0, 0, 0, 3, 4])
    faces = coarse_faces()
    head, *lines = activations.compare(tiny_network, Split(faces, np.zeros(len(faces), np.int64)), faces)
    assert head.split() == ["float", "int8", "time"]
    assert [line[:26].strip() for line in lines] == list(activations.VARIANTS)
    assert lines[0].endswith("1.00x (1.00–1.00)")
