"""Python, its packages, the models, and whether they work together."""

from __future__ import annotations

import json
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from fer_edge.edge.doctor import FAIL, OK, WARN, Finding, Here, anchors, ask

TESTED = ((3, 11), (3, 13))
"""The first and the last Python that the tests run with."""

OPENCVS = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")


def python(here: Here) -> Finding:
    """Version, word size, and whether it is a virtual environment."""
    found = f"{platform.python_version()}, {platform.machine()}, {here.prefix}"
    if sys.maxsize < 2**32:
        advice = "install a 64-bit system: no TFLite runtime and no OpenCV is built for 32 bits"
        return Finding(FAIL, f"{found}, 32-bit", advice, anchors.NO_WHEEL)
    if not TESTED[0] <= sys.version_info[:2] <= TESTED[1]:
        tested = " to ".join(f"{major}.{minor}" for major, minor in TESTED)
        return Finding(WARN, found, f"use Python {tested}", anchors.NO_WHEEL)
    return Finding(OK, found)


def environment(here: Here) -> Finding:
    """On a Pi the environment must see the system's packages, or it has no camera module."""
    settings = _pyvenv(here)
    if settings is None:
        return Finding(OK, "no virtual environment")
    if settings.get("include-system-site-packages") == "true":
        return Finding(OK, "a virtual environment that sees the system's packages")
    found = "a virtual environment without the system's packages"
    if not here.is_pi:
        return Finding(OK, found)
    advice = "for a camera module, make it with python3 -m venv --system-site-packages"
    return Finding(WARN, found, advice, "no-module-named-libcamera-or-picamera2-in-a-virtual-environment")


def _pyvenv(here: Here) -> dict[str, str] | None:
    """pyvenv.cfg's settings; None where this is no virtual environment."""
    try:
        lines = (here.prefix / "pyvenv.cfg").read_text("utf-8").splitlines()
    except OSError:
        return None
    return {key.strip(): value.strip().lower() for key, _, value in (line.partition("=") for line in lines)}


def runtime(here: Here) -> Finding:
    """The TFLite interpreter loads."""
    answer = ask(here, "-c", "from fer_edge.edge.tflite.interpreter import runtime as r; print(r().name, r().version)")
    if answer.code < 0:
        advice = "this processor may be older than the wheel expects; try another runtime"
        return Finding(FAIL, answer.reason, advice, anchors.INSTRUCTION)
    if answer.code:
        reason = answer.reason.removeprefix("fer_edge.edge.errors.ModelError: ")
        return Finding(FAIL, reason, "pip install ai-edge-litert", anchors.NUMPY_AND_RUNTIME)
    if answer.out.startswith("LiteRT"):
        return Finding(OK, answer.out)
    return Finding(WARN, answer.out, "pip install ai-edge-litert: int8 models run several times faster with it")


def numpy(here: Here) -> Finding:
    """numpy loads, and the runtime beside it was compiled for that version."""
    answer = ask(here, "-c", "import numpy; print(numpy.__version__)")
    if answer.code:
        return Finding(FAIL, f"does not load: {answer.reason}", "pip install --force-reinstall numpy")
    needs_old = _installed("tflite-runtime") and not _installed("ai-edge-litert")
    if answer.out.split(".")[0] != "1" and needs_old:
        advice = "pip install ai-edge-litert, or pip install 'numpy<2' 'opencv-python<5'"
        found = f"{answer.out}, but tflite-runtime was compiled for numpy 1"
        return Finding(FAIL, found, advice, anchors.NUMPY_AND_RUNTIME)
    return Finding(OK, answer.out)


def opencv(here: Here) -> Finding:
    """OpenCV loads, and can do what sources and the window ask of it."""
    answer = ask(here, "-c", "import cv2; print(cv2.__version__); print(cv2.getBuildInformation())")
    if answer.code:
        found = f"does not load: {answer.reason}"
        if "libGL" in found or "libgthread" in found:
            return Finding(FAIL, found, "sudo apt-get install libgl1 libglib2.0-0", anchors.LIBGL)
        return Finding(FAIL, found, "pip install --force-reinstall opencv-python")
    built = build(answer.out)
    found = f"{answer.out.splitlines()[0]}; " + ", ".join(f"{key} {value}" for key, value in built.items())
    if built["FFmpeg"] == "no":
        advice = "pip install opencv-python: without FFmpeg it opens no video and no stream"
        return Finding(WARN, found, advice, anchors.STREAM)
    if built["V4L2"] == "no":
        return Finding(WARN, found, "pip install opencv-python: without V4L2 it opens no USB camera")
    return Finding(OK, found)


def build(information: str) -> dict[str, str]:
    """What cv2.getBuildInformation() says of windows, FFmpeg, V4L2 and GStreamer: 'no', 'yes' or a name."""
    names = {"windows": "GUI", "FFmpeg": "FFMPEG", "V4L2": "v4l/v4l2", "GStreamer": "GStreamer"}
    said: dict[str, str] = {}
    for line in information.splitlines():
        key, colon, value = line.strip().partition(":")
        if colon:
            said.setdefault(key, (value.split() or [""])[0])
    words = {name: said.get(key, "NO") for name, key in names.items()}
    return {name: {"YES": "yes", "NO": "no", "NONE": "no", "": "yes"}.get(word, word) for name, word in words.items()}


def opencv_packages(here: Here) -> Finding:
    """One of OpenCV's packages: they overwrite each other's files."""
    found = [name for name in OPENCVS if _installed(name)]
    if len(found) > 1:
        advice = f"pip uninstall {' '.join(found)}, then pip install opencv-python"
        return Finding(WARN, " and ".join(found), advice, anchors.NO_WINDOW)
    return Finding(OK, found[0] if found else "OpenCV does not come from pip")


def tensorflow(here: Here) -> Finding:
    """Never needed on a device."""
    there = find_spec("tensorflow") is not None
    return Finding(OK, "installed, for training only" if there else "not installed, and not needed to run models")


MODELS = """
from fer_edge.edge.faces.blazeface import verify_blazeface
from fer_edge.edge.tflite.card import checked_card
from fer_edge.edge.faces.detector import VARIANTS
from fer_edge.edge.expression.ensemble_config import (read_ensemble)
from fer_edge.edge.expression.model_spec import shipped_models
from fer_edge.models import FOLDER
networks = [checked_card(model.path) for model in shipped_models()]
detectors = [verify_blazeface(variant) for variant in VARIANTS.values()]
read_ensemble(FOLDER / "ensemble.json")
print(len(networks), "networks and", len(detectors), "face detectors")
"""


def models(here: Here) -> Finding:
    """Every shipped network and face detector is the file that its card describes."""
    answer = ask(here, "-c", MODELS)
    if answer.code:
        reason = answer.reason.removeprefix("fer_edge.edge.errors.ModelError: ")
        return Finding(FAIL, reason, "install fer-edge again", anchors.MODEL)
    return Finding(OK, f"{answer.out}, each with the sha256 of its card")


INFERENCE = """
import json, time
import numpy as np
from fer_edge.edge.expression.ensemble import (open_classifier)
classify = open_classifier("ensemble", 1)
face = np.zeros((1, 48, 48), np.uint8)
scores = classify(face)
start = time.perf_counter()
for _ in range(5):
    classify(face)
print(json.dumps([bool(abs(scores.sum() - 1) < 1e-3), round(200 * (time.perf_counter() - start), 1)]))
"""


def inference(here: Here) -> Finding:
    """The ensemble answers."""
    answer = ask(here, "-c", INFERENCE)
    if answer.code:
        anchor = anchors.INSTRUCTION if answer.code < 0 else ""
        return Finding(FAIL, answer.reason, "see what the lines above say of the runtime, numpy and models", anchor)
    sums, milliseconds = json.loads(answer.out.splitlines()[-1])
    if not sums:
        return Finding(FAIL, "the scores do not sum to 1", "install fer-edge again")
    return Finding(OK, f"the whole ensemble takes {milliseconds} ms a face on one thread")


def config(here: Here) -> Finding:
    """The configuration file says nothing that a command does not understand."""
    given = ["--config", str(here.config)] if here.config else []
    answer = ask(here, "-m", "fer_edge.edge.cli", *given, "config")
    if answer.code:
        return Finding(FAIL, answer.reason, "docs/configuration.md lists what it may hold", anchors.CONFIG)
    return Finding(OK, answer.out.splitlines()[-1])


def _installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True
