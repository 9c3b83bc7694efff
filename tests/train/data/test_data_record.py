"""`fer-edge data record`: a video in place of a camera, the real detector, a terminal that asks, signals."""

from __future__ import annotations

import ctypes
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from fake_picamera2 import install_fake_picamera2
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from photos import photograph
from running import ENVIRONMENT
from waiting import LIMIT, default_signal_handlers, until

from fer_edge.edge.cli import main
from fer_edge.edge.sinks import OutputClosed
from fer_edge.edge.types import Box, Face, Frame
from fer_edge.train.commands import record_window
from fer_edge.train.commands.record_window import FIRST, REPEAT, SPACE, HeldKey, drawn
from fer_edge.train.data.face_recorder import MIN_CHANGE, least_change
from fer_edge.train.data.loading import load

RECORD = (sys.executable, "-m", "fer_edge.edge.cli", "data", "record")
NAME = re.compile(r"\d{8}-\d{6}_\d{4}\.png")


def record(*words: str | Path) -> Result:
    return CliRunner(env={"DISPLAY": None, "WAYLAND_DISPLAY": None}).invoke(main, ["data", "record", *map(str, words)])


def pictures(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.png"))


def sessions(folder: Path) -> set[str]:
    """The names of the sessions below a folder: those of the pictures without their numbers."""
    return {path.stem.rpartition("_")[0] for path in pictures(folder)}


def write_video(path: Path, frames: Sequence[np.ndarray]) -> Path:
    """A video with 10 frames per second."""
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (width, height))
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


@pytest.fixture(scope="module")
def lively(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A face that nods to the left and to the right, for three seconds; nobody in the last."""
    portrait = photograph((240, 180, 130))
    turns = [cv2.getRotationMatrix2D((240, 180), angle, 1) for angle in (0, 10, 20, 30, 20, 10, 0, -10, -20, -30) * 2]
    frames = [cv2.warpAffine(portrait, turn, (480, 360), borderMode=cv2.BORDER_REPLICATE) for turn in turns]
    return write_video(tmp_path_factory.mktemp("lively") / "lively.avi", [*frames, *[photograph()] * 10])


def test_a_video_becomes_pictures_of_one_session(lively: Path, tmp_path: Path) -> None:
    faces = tmp_path / "faces"
    result = record(faces, "--class", "awake", "--source", lively, "--yes")
    assert result.exit_code == 0, result.output
    assert f"stored in {faces / 'awake'}" in result.stderr
    found = pictures(faces)
    assert len(found) >= 2 and all(NAME.fullmatch(path.name) and path.parent == faces / "awake" for path in found)
    assert len(sessions(faces)) == 1
    assert re.search(rf"{len(found)} recorded, (\d+ too alike, )?5 no face", result.stdout)
    for path in (faces, *faces.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
    assert record(faces, "--class", "drowsy", "--source", lively, "--yes", "--count", "1").exit_code == 0
    dataset = load(faces)
    assert dataset.classes == ("awake", "drowsy")
    assert dataset.splits["train"].counts().tolist() == [len(found), 1]
    assert (faces / "contact-awake.jpg").exists()


def test_sessions_of_one_second_have_names_of_their_own(lively: Path, tmp_path: Path) -> None:
    for _ in range(3):
        assert record(tmp_path / "f", "--class", "a", "--source", lively, "--yes", "--count", "1").exit_code == 0
    assert len(sessions(tmp_path / "f")) == len(pictures(tmp_path / "f")) == 3


def test_a_face_that_holds_still_is_stored_few_times(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    still = photograph((240, 180, 130))
    frames = [np.clip(still + rng.normal(0, 3, still.shape), 0, 255).astype(np.uint8) for _ in range(40)]
    video = write_video(tmp_path / "still.avi", frames)
    result = record(tmp_path / "faces", "--class", "awake", "--source", video, "--yes", "--every", "0")
    assert result.exit_code == 0, result.output
    assert 1 <= len(pictures(tmp_path / "faces")) <= 10
    assert re.search(r"3\d too alike", result.stdout)


def test_val_is_a_session_of_its_own(lively: Path, tmp_path: Path) -> None:
    words = ("--class", "awake", "--source", lively, "--yes", "--count", "1")
    for split in ("train", "val"):
        assert record(tmp_path / "faces", "--split", split, *words).exit_code == 0
    assert {path.parent.parent.name for path in pictures(tmp_path / "faces")} == {"train", "val"}
    mixed = record(tmp_path / "faces", *words)
    assert mixed.exit_code == 2 and "train" in mixed.stderr
    assert len(pictures(tmp_path / "faces")) == 2


def test_recording_joins_what_was_cropped_alike(lively: Path, tmp_path: Path) -> None:
    words = (tmp_path / "faces", "--class", "awake", "--source", lively, "--yes", "--count", "1")
    assert record(*words, "--size", "64", "--colour").exit_code == 0
    assert cv2.imread(str(pictures(tmp_path)[0]), cv2.IMREAD_UNCHANGED).shape == (64, 64, 3)
    assert "--size 64" in record(*words).stderr
    (tmp_path / "photos" / "drowsy").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "photos" / "drowsy" / "a.png"), photograph((240, 180, 130)))
    crop = ["data", "crop", str(tmp_path / "photos"), str(tmp_path / "faces"), "--size", "64", "--colour"]
    assert CliRunner().invoke(main, crop).exit_code == 0
    assert len(pictures(tmp_path / "faces")) == 2


# without a window


@pytest.mark.slow
def test_a_live_source_is_recorded_for_some_seconds(lively: Path, tmp_path: Path) -> None:
    words = ("--class", "awake", "--source", lively, "--loop", "--yes", "--seconds", "1", "--countdown", "1")
    result = record(tmp_path / "faces", *words)
    assert result.exit_code == 0, result.output
    assert "begins in 1 s" in result.stderr
    assert 1 <= len(pictures(tmp_path / "faces")) <= 6


def test_a_camera_module_is_opened_as_run_opens_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    camera = install_fake_picamera2(monkeypatch)
    words = ("--class", "awake", "--camera", "picamera2", "--yes", "--seconds", "0.5", "--countdown", "0")
    result = record(tmp_path / "faces", *words)
    assert result.exit_code == 2 and re.search(r"no face was recorded: .*[1-9] no face", result.stderr)
    until(lambda: not camera.open_cameras)
    assert not (tmp_path / "faces").exists()


@pytest.mark.slow
@pytest.mark.faults
def test_ctrl_c_keeps_what_was_recorded(lively: Path, tmp_path: Path) -> None:
    words = ("--class", "awake", "--source", lively, "--loop", "--yes", "--seconds", "60", "--countdown", "0")
    with default_signal_handlers():
        process = subprocess.Popen([*RECORD, tmp_path / "faces", *words], text=True, stderr=subprocess.PIPE)
    until(lambda: process.poll() is not None or pictures(tmp_path / "faces"))
    process.send_signal(signal.SIGINT)
    errors = process.communicate(timeout=LIMIT)[1]
    assert process.returncode == 0, errors
    assert all(cv2.imread(str(path)) is not None for path in pictures(tmp_path / "faces"))
    assert (tmp_path / "faces" / "contact-awake.jpg").exists()


@pytest.mark.slow
def test_ctrl_c_in_the_countdown_leaves_nothing(lively: Path, tmp_path: Path) -> None:
    words = ("--class", "awake", "--source", lively, "--loop", "--yes", "--seconds", "9", "--countdown", "99")
    with default_signal_handlers():
        process = subprocess.Popen([*RECORD, tmp_path / "faces", *words], text=True, stderr=subprocess.PIPE)
    assert process.stderr is not None
    until(lambda: "begins in" in process.stderr.readline())
    process.send_signal(signal.SIGINT)
    assert "Traceback" not in process.communicate(timeout=LIMIT)[1]
    assert process.returncode == 130
    assert not (tmp_path / "faces").exists()


def test_errors_say_what_to_do_and_leave_nothing(tmp_path: Path) -> None:
    empty = write_video(tmp_path / "empty.avi", [photograph()] * 5)
    for words, expected in {
        ("--source", empty, "--yes"): "no face was recorded",
        ("--source", tmp_path / "none.avi", "--yes"): "no such file",
        ("--camera", "0"): "--seconds",
        ("--camera", "0", "--seconds", "1"): "--yes",
        ("--camera", "0", "--source", empty, "--yes"): "exclude",
    }.items():
        result = record(tmp_path / "faces", "--class", "awake", *words)
        assert result.exit_code == 2 and expected in result.stderr.splitlines()[-1], result.output
    assert record(tmp_path / "faces", "--class", "test", "--source", empty, "--yes").exit_code == 2
    assert not (tmp_path / "faces").exists()


@pytest.mark.parametrize(("answer", "code"), [(b"n\n", 1), (b"\n", 1), (b"y\n", 0)])
def test_a_terminal_is_asked_whether_the_people_agree(lively: Path, tmp_path: Path, answer: bytes, code: int) -> None:
    ours, theirs = pty.openpty()
    words = ("--class", "awake", "--source", lively, "--count", "1")
    os.write(ours, answer)
    try:
        done = subprocess.run(
            [*RECORD, tmp_path / "faces", *words], stdin=theirs, capture_output=True, text=True, timeout=LIMIT
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == code, done.stderr
    assert "Do they agree?" in done.stderr
    assert len(pictures(tmp_path)) == (code == 0)
    assert (tmp_path / "faces").exists() == (code == 0)


# the window


class FakeWindow:
    """A window whose user holds the space key from the sixth frame to the tenth, and then closes it."""

    def __init__(self, title: str, otherwise: str) -> None:
        self.frames = 0

    def show(self, picture: np.ndarray) -> list[int]:
        self.frames += 1
        if self.frames > 10:
            raise OutputClosed
        return [SPACE] if self.frames > 5 else []

    def close(self) -> None:
        pass


@pytest.mark.parametrize("presses", [True, False])
def test_the_space_key_records(lively: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, presses: bool) -> None:
    monkeypatch.setattr(record_window, "PictureWindow", FakeWindow)
    monkeypatch.setattr(record_window, "SPACE", SPACE if presses else ord("x"))
    result = record(tmp_path / "faces", "--class", "awake", "--source", lively, "--loop", "--yes", "--every", "0")
    assert result.exit_code == 0, result.output
    assert (1 <= len(pictures(tmp_path)) <= 5) if presses else not (tmp_path / "faces").exists()


class Keyboard:
    """The keyboard of an X server, with the pointer over the windows that shall have the keys (XTEST)."""

    def __init__(self, display: str) -> None:
        self._x, self._test = ctypes.CDLL("libX11.so.6"), ctypes.CDLL("libXtst.so.6")
        self._x.XOpenDisplay.restype = ctypes.c_void_p
        self._display = ctypes.c_void_p(self._x.XOpenDisplay(display.encode()))
        self._test.XTestFakeMotionEvent(self._display, -1, 100, 100, ctypes.c_ulong(0))
        self._x.XFlush(self._display)

    def set(self, key: str, is_down: bool) -> None:
        code = self._x.XKeysymToKeycode(self._display, ctypes.c_ulong(ord(key)))  # of ASCII, both are the same
        self._test.XTestFakeKeyEvent(self._display, code, int(is_down), ctypes.c_ulong(0))
        self._x.XFlush(self._display)


def is_missing(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return True
    return False


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("Xvfb") is None or is_missing("libXtst.so.6"), reason="needs Xvfb and libXtst")
def test_the_space_key_of_a_real_keyboard_records(lively: Path, tmp_path: Path) -> None:
    read, write = os.pipe()
    server = subprocess.Popen(["Xvfb", "-displayfd", str(write)], pass_fds=(write,), stderr=subprocess.DEVNULL)
    os.close(write)
    words = ("--class", "awake", "--source", lively, "--loop", "--yes", "--every", "0.05")
    try:
        with os.fdopen(read) as answer:
            display = f":{answer.readline().strip()}"
        keyboard = Keyboard(display)
        environment = {**ENVIRONMENT, "DISPLAY": display}
        with subprocess.Popen(
            [*RECORD, tmp_path / "faces", *words], env=environment, stderr=subprocess.PIPE, text=True
        ) as process:
            until(lambda: "source: " in process.stderr.readline())
            for key, is_over in ((" ", lambda: pictures(tmp_path)), ("q", lambda: process.poll() is not None)):
                while not is_over():  # the window opens some time
                    keyboard.set(key, True)
                    time.sleep(1)
                    keyboard.set(key, False)
                    assert process.poll() in (None, 0)
            assert process.returncode == 0
    finally:
        server.terminate()
        server.wait(LIMIT)
    assert 1 <= len(pictures(tmp_path)) <= 30


def test_a_key_is_held_until_it_repeats_itself_no_more() -> None:
    key = HeldKey()
    assert not key.is_held(0.0)
    key.press(10.0)
    assert key.is_held(10.0 + 0.9 * FIRST) and not key.is_held(10.0 + 1.1 * FIRST)
    for now in (10.5, 10.54, 10.58):
        key.press(now)
    assert key.is_held(10.58 + 0.9 * REPEAT) and not key.is_held(10.58 + 1.1 * REPEAT)


@pytest.mark.parametrize("size", [(48, 48), (240, 320), (1080, 1920)])
def test_the_window_shows_the_face_and_whether_it_is_recorded(size: tuple[int, int]) -> None:
    frame = Frame(np.full(size, 90, np.uint8))
    shown = [drawn(frame, [Face(Box(10, 20, 20, 20), 1.0)], "awake: 3 recorded", each) for each in (True, False)]
    assert all(picture.shape == (*size, 3) for picture in shown)
    assert (shown[0] != shown[1]).any()
    assert (frame.pixels == 90).all()


# what is new in a face


@given(arrays(np.uint8, (48, 48)), st.integers(0, 5))
def test_a_face_is_like_itself_in_any_brightness(face: np.ndarray, shift: int) -> None:
    assert least_change(face, face[None]) == 0
    dim = (face // 2).astype(np.uint8)
    assert least_change(dim, (dim + np.uint8(shift))[None]) == pytest.approx(0, abs=1e-4)


def test_an_open_mouth_and_closed_eyes_are_new() -> None:
    face = photograph((240, 180, 150))
    crop = cv2.resize(cv2.cvtColor(face[105:255, 165:315], cv2.COLOR_BGR2GRAY), (48, 48), interpolation=cv2.INTER_AREA)
    moved = np.roll(crop, (1, -2), (0, 1))
    assert least_change(moved, crop[None]) < MIN_CHANGE
    for rows, columns, gray in ((slice(15, 21), slice(10, 38), crop[26, 24]), (slice(33, 39), slice(19, 30), 30)):
        changed = crop.copy()
        changed[rows, columns] = gray
        assert least_change(changed, np.stack([moved, crop])) > MIN_CHANGE
