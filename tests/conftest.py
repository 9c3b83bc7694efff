"""What the tests share: a small FER2013-like data set, models made from it, the wheel, a clip, a camera, a broker."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import settings
from logs import logged
from network_camera import network_camera
from predictions import CLASSES
from running import scene
from training import NETWORK, SHORT, command, synthetic_rows
from waiting import until

from fer_edge.edge.cli import main
from fer_edge.edge.preprocess import INPUT_SIZE
from fer_edge.edge.sources.capture import quiet_opencv
from fer_edge.edge.tflite.card import ModelCard, sha256, write_card
from fer_edge.models import FOLDER

if TYPE_CHECKING:
    from broker import Broker
    from viewing import WebRun

quiet_opencv()  # FFmpeg asks once, when the first capture in this process opens
settings.register_profile("patient", deadline=None, derandomize=True)
settings.load_profile("patient")  # the machine may have other things to do, and the same commit gives the same answer

NOT_SOURCE = (".*", "build", "dist", "runs", "demo-output", "*.egg-info", "__pycache__")
USAGES = ("Training", "PublicTest", "PrivateTest")


NEEDS = {"tiny": "tensorflow", "finished_run": "tensorflow", "mosquitto": "system", "certificates": "system"}
"""Fixtures whose tests are marked with what they need."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="many more cases: fuzzing, random signals (make test-faults)")


@pytest.fixture(scope="session", autouse=True)
def _cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What fer-edge remembers of models lies in a folder of the session's, not in the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _records_reach_caplog() -> None:
    """A command that an earlier test called keeps the package's records from the root logger."""
    logging.getLogger("fer_edge").propagate = True


@pytest.fixture(scope="session")
def cases(request: pytest.FixtureRequest) -> Callable[[int, int], int]:
    """How many cases a repeated test tries: `cases(few, many)` is `many` with --long."""
    return lambda few, many: many if request.config.getoption("--long") else few


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by the fixtures that they use; TensorFlow's, the longest, begin, so that workers end together."""
    for item in items:
        for marker in {NEEDS[name] for name in getattr(item, "fixturenames", ()) if name in NEEDS}:
            item.add_marker(marker)
    items.sort(key=lambda item: item.get_closest_marker("tensorflow") is None)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """A module of tests that are all deselected is not even imported: a package of theirs may be missing."""
    deselected = [name for name in ("tensorflow", "slow") if f"not {name}" in config.getoption("markexpr")]
    if collection_path.suffix != ".py" or not deselected:
        return None
    text = collection_path.read_text("utf-8")
    return True if any(f"\npytestmark = pytest.mark.{name}\n" in text for name in deselected) else None


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    """A folder with copies of the shipped models, their cards and the ensemble's file."""
    for file in (*FOLDER.glob("*.tflite"), *FOLDER.glob("*.json")):
        shutil.copy(file, tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def synthetic_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "fer2013.csv"
    sizes = zip(USAGES, (140, 42, 14), strict=True)
    rows = [row for seed, (usage, count) in enumerate(sizes) for row in synthetic_rows(count, usage, seed)]
    path.write_text("\n".join(["emotion,pixels,Usage", *rows]) + "\n")
    return path


@pytest.fixture(scope="session")
def delegate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TFLite external delegate, which claiming_delegate.c describes."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    library = tmp_path_factory.mktemp("delegate") / "libclaiming.so"
    source = Path(__file__).parent / "support" / "claiming_delegate.c"
    subprocess.run([compiler, "-Wall", "-Werror", "-O1", "-shared", "-fPIC", "-o", library, source], check=True)
    return library


@pytest.fixture(scope="session")
def tflite_python() -> Path:
    """The Python of an environment with tflite-runtime, which the Makefile makes where there is one for this Python."""
    python = os.environ.get("FER_EDGE_TFLITE_PYTHON")
    if not python:
        pytest.skip("FER_EDGE_TFLITE_PYTHON names no environment with tflite-runtime (make test makes one)")
    return Path(python)


@pytest.fixture(scope="session")
def finished_run(synthetic_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    done = subprocess.run(
        command("train", NETWORK, "--data", synthetic_csv, "--runs", runs, *SHORT),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return runs / NETWORK


@pytest.fixture(scope="session")
def weights() -> np.ndarray:
    return np.random.default_rng(3).normal(size=(12, 7)).astype(np.float32)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory, weights: np.ndarray) -> Path:
    """A float model with its card: the input's quarters averaged, then one dense layer."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((1, INPUT_SIZE, INPUT_SIZE, 3))])
    def network(pixels: Any) -> Any:
        quarters = tf.nn.avg_pool2d(pixels, INPUT_SIZE // 2, INPUT_SIZE // 2, "VALID")
        return tf.matmul(tf.reshape(quarters, (1, 12)), weights)

    holder = tf.Module()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([network.get_concrete_function()], holder)
    path = tmp_path_factory.mktemp("models") / "tiny.tflite"
    path.write_bytes(converter.convert())
    write_card(path, ModelCard("tiny", "quarters", sha256(path), CLASSES, quantization="float32"))
    return path


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel; built from a copy, because setuptools leaves a build folder in the tree."""
    tree, out = tmp_path_factory.mktemp("tree") / "source", tmp_path_factory.mktemp("wheel")
    shutil.copytree(FOLDER.parent, tree, ignore=shutil.ignore_patterns(*NOT_SOURCE))
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(out), str(tree)]
    if int(version("setuptools").split(".")[0]) >= 77:
        build.append("--no-build-isolation")  # needs no network
    subprocess.run(build, check=True, capture_output=True, text=True)
    (made,) = out.glob("*.whl")
    return made


@pytest.fixture
def mistake(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs `fer-edge` in this process, without a display; the one line that a user's mistake may cost."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)

    def error_line(*words: object) -> str:
        done = CliRunner().invoke(main, [str(word) for word in words])
        noise = [line for line in capfd.readouterr().err.splitlines() if not line.startswith("INFO: ")]  # TFLite's
        assert (done.exit_code, done.stdout, noise) == (2, "", []), done.stderr
        (line,) = done.stderr.splitlines()
        assert line.startswith("fer-edge: ")
        return line

    return error_line


@pytest.fixture
def messages() -> Iterator[list[str]]:
    """What the package logs during the test."""
    with logged() as lines:
        yield lines


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds: a face that moves, then none."""
    path = tmp_path_factory.mktemp("clip") / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (320, 240))
    for index in range(20):
        writer.write(scene(2 * index) if index < 15 else np.full((240, 320, 3), 90, np.uint8))
    writer.release()
    return path


@pytest.fixture(scope="session")
def camera() -> Iterator[str]:
    """The address of a camera on the network."""
    with network_camera() as address:
        yield address


@pytest.fixture(scope="module")
def page(camera: str) -> Iterator[WebRun]:
    """A run whose page this machine alone can look at."""
    from viewing import WebRun  # here: it needs the extra `web`

    with WebRun("--source", camera, "--web", "127.0.0.1:0") as run:
        until(lambda: run.state()["faces"])
        yield run


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a made-up authority, another one, and a broker's certificate by the first."""
    from broker import make_certificates

    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder)
    return folder


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Broker]:
    from broker import broker  # here: it needs the extra `mqtt`

    with broker(tmp_path) as running:
        yield running
