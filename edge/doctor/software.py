"""Checks of Python, its packages and the models, and whether they work together."""

from __future__ import annotations

import json
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from fer_edge.edge.device.installation import installation, pip_install, restore_models
from fer_edge.edge.device.version import full_version
from fer_edge.edge.doctor import anchors
from fer_edge.edge.doctor.check import FAIL, OK, WARN, CheckResult, Machine, run_python

TESTED = ((3, 11), (3, 13))
"""The oldest and the newest Python that the tests run with."""

OPENCV_PACKAGES = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)


def fer_edge(machine: Machine) -> CheckResult:
    """The version, and where it was installed from."""
    return CheckResult(OK, f"{full_version()}, {installation().name}")


def python(machine: Machine) -> CheckResult:
    """Python's version, word size and environment."""
    message = f"{platform.python_version()}, {platform.machine()}, {machine.prefix}"
    if sys.maxsize < 2**32:
        advice = "install a 64-bit system: there is no TFLite runtime and no OpenCV for 32 bits"
        return CheckResult(FAIL, f"{message}, 32-bit", advice, anchors.NO_WHEEL)
    if not TESTED[0] <= sys.version_info[:2] <= TESTED[1]:
        tested = " to ".join(f"{major}.{minor}" for major, minor in TESTED)
        return CheckResult(WARN, message, f"use Python {tested}", anchors.NO_WHEEL)
    return CheckResult(OK, message)


def environment(machine: Machine) -> CheckResult:
    """On a Raspberry Pi the environment sees the system's packages, which the camera module needs."""
    settings = _pyvenv(machine)
    if settings is None:
        return CheckResult(OK, "no virtual environment")
    if settings.get("include-system-site-packages") == "true":
        return CheckResult(OK, "a virtual environment with the system's packages")
    message = "a virtual environment without the system's packages"
    if not machine.is_pi:
        return CheckResult(OK, message)
    advice = "for a camera module, make it with python3 -m venv --system-site-packages"
    return CheckResult(WARN, message, advice, anchors.VENV)


def runtime(machine: Machine) -> CheckResult:
    """The TFLite runtime loads."""
    code = "from fer_edge.edge.tflite.interpreter import runtime; print(runtime().name, runtime().version)"
    process = run_python(machine, "-c", code)
    install = pip_install("ai-edge-litert")
    if process.exit_code < 0:
        advice = "this processor may lack instructions that the package needs; try another runtime"
        return CheckResult(FAIL, process.reason, advice, anchors.INSTRUCTION)
    if process.exit_code:
        return CheckResult(FAIL, _model_error(process.reason), install, anchors.NUMPY_AND_RUNTIME)
    if process.stdout.startswith("LiteRT"):
        return CheckResult(OK, process.stdout)
    return CheckResult(WARN, process.stdout, f"{install}: int8 models run several times faster with it")


def numpy(machine: Machine) -> CheckResult:
    """numpy loads, and is the version that the runtime was compiled for."""
    process = run_python(machine, "-c", "import numpy; print(numpy.__version__)")
    if process.exit_code:
        return CheckResult(FAIL, f"does not load: {process.reason}", pip_install("--force-reinstall", "numpy"))
    needs_numpy_1 = _is_installed("tflite-runtime") and not _is_installed("ai-edge-litert")
    if process.stdout.split(".")[0] != "1" and needs_numpy_1:
        advice = f"{pip_install('ai-edge-litert')}, or {pip_install('numpy<2', 'opencv-python<5')}"
        message = f"{process.stdout}, but tflite-runtime was compiled for numpy 1"
        return CheckResult(FAIL, message, advice, anchors.NUMPY_AND_RUNTIME)
    return CheckResult(OK, process.stdout)


def opencv(machine: Machine) -> CheckResult:
    """OpenCV loads, with what sources and the window need."""
    process = run_python(machine, "-c", "import cv2; print(cv2.__version__); print(cv2.getBuildInformation())")
    if process.exit_code:
        message = f"does not load: {process.reason}"
        if "libGL" in message or "libgthread" in message:
            return CheckResult(FAIL, message, "sudo apt-get install libgl1 libglib2.0-0", anchors.LIBGL)
        return CheckResult(FAIL, message, pip_install("--force-reinstall", "opencv-python"))
    features = build_features(process.stdout)
    names = ", ".join(f"{name} {value}" for name, value in features.items())
    version, install = process.stdout.splitlines()[0], pip_install("opencv-python")
    message = f"{version}; {names}"
    if features["FFmpeg"] == "no":
        return CheckResult(WARN, message, f"{install}: without FFmpeg it opens no video and no stream", anchors.STREAM)
    if features["V4L2"] == "no":
        return CheckResult(WARN, message, f"{install}: without V4L2 it opens no USB camera")
    if version.startswith(("4.13.", "4.14.")):
        advice = f"{pip_install('opencv-python>=5')}, if you have interlaced videos: this version cannot read them"
        return CheckResult(WARN, message, advice, anchors.BLACK)
    return CheckResult(OK, message)


def build_features(information: str) -> dict[str, str]:
    """Which features OpenCV was built with.

    Args:
        information: What cv2.getBuildInformation() returns.

    Returns:
        "no", "yes" or a library's name for windows, FFmpeg, V4L2 and GStreamer.
    """
    keys = {"windows": "GUI", "FFmpeg": "FFMPEG", "V4L2": "v4l/v4l2", "GStreamer": "GStreamer"}
    values: dict[str, str] = {}
    for line in information.splitlines():
        key, colon, value = line.strip().partition(":")
        if colon:
            values.setdefault(key, (value.split() or [""])[0])
    words = {name: values.get(key, "NO") for name, key in keys.items()}
    return {name: {"YES": "yes", "NO": "no", "NONE": "no", "": "yes"}.get(word, word) for name, word in words.items()}


def opencv_packages(machine: Machine) -> CheckResult:
    """Only one of OpenCV's packages is installed: they overwrite each other's files."""
    names = [name for name in OPENCV_PACKAGES if _is_installed(name)]
    if len(names) > 1:
        advice = f"pip uninstall {' '.join(names)}, then {pip_install('opencv-python')}"
        return CheckResult(WARN, " and ".join(names), advice, anchors.NO_WINDOW)
    return CheckResult(OK, names[0] if names else "OpenCV was not installed by pip")


def tensorflow(machine: Machine) -> CheckResult:
    """TensorFlow is not needed on a device."""
    is_installed = find_spec("tensorflow") is not None
    message = "installed, for training only" if is_installed else "not installed, and not needed to run models"
    return CheckResult(OK, message)


MODELS = """
from fer_edge.edge.expression.ensemble_config import read_ensemble
from fer_edge.edge.expression.model_spec import ENSEMBLE_FILE, shipped_models
from fer_edge.edge.faces.face_models import FACE_MODELS, verified_face_model
from fer_edge.edge.tflite.card import checked_card
models = [checked_card(model.path) for model in shipped_models()]
faces = [verified_face_model(name) for name in FACE_MODELS]
read_ensemble(ENSEMBLE_FILE)
print(len(models), "expression models and", len(faces), "face models")
"""


def models(machine: Machine) -> CheckResult:
    """Every shipped model and face detector has the sha256 of its card."""
    process = run_python(machine, "-c", MODELS)
    if process.exit_code:
        return CheckResult(FAIL, _model_error(process.reason), restore_models(), anchors.MODEL)
    return CheckResult(OK, f"{process.stdout}, each with the sha256 of its card")


INFERENCE = """
import json, time
import numpy as np
from fer_edge.edge.expression.ensemble import open_classifier
classify = open_classifier("ensemble", 1)
face = np.zeros((1, 48, 48), np.uint8)
scores = classify(face)
start = time.perf_counter()
for _ in range(5):
    classify(face)
print(json.dumps([bool(abs(scores.sum() - 1) < 1e-3), round(200 * (time.perf_counter() - start), 1)]))
"""


def inference(machine: Machine) -> CheckResult:
    """The ensemble classifies a face."""
    process = run_python(machine, "-c", INFERENCE)
    if process.exit_code:
        anchor = anchors.INSTRUCTION if process.exit_code < 0 else ""
        return CheckResult(FAIL, process.reason, "see the results above for runtime, numpy and models", anchor)
    sum_is_one, milliseconds = json.loads(process.stdout.splitlines()[-1])
    if not sum_is_one:
        return CheckResult(FAIL, "the scores do not sum to 1", restore_models())
    return CheckResult(OK, f"the whole ensemble takes {milliseconds} ms per face on one thread")


ACCELERATORS = """
from fer_edge.edge.errors import ModelError
from fer_edge.edge.expression.model_spec import shipped_models
from fer_edge.edge.tflite.network import open_network
from fer_edge.edge.types import Acceleration
for name in ("gpu", "npu"):
    try:
        print(open_network(shipped_models()[0].path, 1, Acceleration(accelerator=name)).placement)
    except ModelError:
        pass
"""


def accelerators(machine: Machine) -> CheckResult:
    """Which of LiteRT's accelerators run a shipped model; none is needed."""
    process = run_python(machine, "-c", ACCELERATORS)
    found = [line.partition(" on ")[2] for line in process.stdout.splitlines()]
    if process.exit_code or not found:
        return CheckResult(OK, "none for LiteRT: the processor runs the networks")
    return CheckResult(OK, f"{', '.join(found)}; fer-edge bench latency --accelerator measures whether it is faster")


def config(machine: Machine) -> CheckResult:
    """The configuration file has only tables, keys and values that the commands take."""
    words = ["--config", str(machine.config)] if machine.config else []
    process = run_python(machine, "-m", "fer_edge.edge.cli", *words, "config")
    if process.exit_code:
        return CheckResult(FAIL, process.reason, "docs/configuration.md lists what the file may hold", anchors.CONFIG)
    return CheckResult(OK, process.stdout.splitlines()[-1])


def _pyvenv(machine: Machine) -> dict[str, str] | None:
    """The settings in pyvenv.cfg; None where this is no virtual environment."""
    try:
        lines = (machine.prefix / "pyvenv.cfg").read_text("utf-8").splitlines()
    except OSError:
        return None
    return {key.strip(): value.strip().lower() for key, _, value in (line.partition("=") for line in lines)}


def _model_error(reason: str) -> str:
    return reason.removeprefix("fer_edge.edge.errors.ModelError: ")


def _is_installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True
