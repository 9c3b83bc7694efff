"""Compares predictions on 64-bit Arm with those on this computer; tests/device/arm.sh runs it on both: `make test-arm`.

`check_arm.py record FOLDER` makes faces and a clip there, unless they exist, and records the predictions of the
installed runtime. On Arm, `check_arm.py compare FOLDER` repeats them and prints a line per check; `check_arm.py use`
tries the other commands. Exits with 1 where a check fails.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from device_checks import check, failures

from fer_edge import read_picture
from fer_edge.edge.expression.classifier import TFLiteClassifier
from fer_edge.edge.expression.model_spec import shipped_models
from fer_edge.edge.preprocess import shrink, to_gray
from fer_edge.edge.tflite.interpreter import runtime

Record = dict[str, Any]
COMMAND = Path(sys.executable).with_name("fer-edge")
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PORTRAIT = EXAMPLES.parent / "benchmarks" / "astronaut.jpg"
FACE = (173, 74, 105)  # x, y and side of the portrait's face, pixels
TIMEOUT = 900  # seconds for any command: the machine is emulated

MAX_OUTPUT_STEPS = 20
"""Largest difference of a model's outputs from those on x86, int8 steps.

Kernels round at different places: on x86 LiteRT and tflite-runtime differ by 7, 15 and 13 for MobileNetV2,
SE-MobileNetV2 and EfficientNet-B0 on the worst of 24 faces, by 1 on average. Measured on Arm: 0, 1 and 5 by LiteRT,
10, 14 and 6 by tflite-runtime.
"""

MAX_SCORE_DIFFERENCE = 0.05
"""Largest difference of a score; where the two highest scores are closer than twice that, either may be the highest.

Measured: 0.024 by LiteRT, 0.045 by tflite-runtime, for faces that are rotated by 90 or 180 degrees.
"""

MAX_BOX_PIXELS = 4
"""Largest difference of a box: OpenCV's bilinear resizing differs by one gray level on Arm, and boxes are rounded.

One step of the detector's int8 output is 1.7 % of a face's size, 2 pixels of the clip's, and moves both edges of a box.
Measured: 0 in a picture, 3 where a face was tracked through a clip.
"""


def fer_edge(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `fer-edge`; its output is shown where it failed."""
    words = [str(each) for each in arguments]
    process = subprocess.run([COMMAND, *words], capture_output=True, text=True, timeout=TIMEOUT)
    if process.returncode:
        print(f"$ fer-edge {' '.join(words)}\n{process.stdout}{process.stderr}exit code {process.returncode}")
    return process


def make_clip(path: Path) -> None:
    subprocess.run([sys.executable, EXAMPLES / "make_clip.py", path, "--seconds", "1"], check=True, capture_output=True)


def make_inputs(folder: Path) -> None:
    """Make a clip, and face crops of the portrait that differ a little, some of them rotated by 90 or 180 degrees."""
    make_clip(folder / "clip.mp4")
    (folder / "faces").mkdir()
    portrait = read_picture(PORTRAIT)
    x, y, side = FACE
    for index in range(24):
        top, left, size = y + 4 * (index % 5 - 2), x + 4 * (index // 5 - 2), side + index - 12
        face = np.rot90(portrait[top : top + size, left : left + size], index % 4)
        cv2.imwrite(str(folder / "faces" / f"{index:02}.png"), face)


def predictions(folder: Path) -> dict[str, list[list[Record]]]:
    """The faces of each picture or frame; in the clip with tracking, smoothing and early exit."""
    commands = {
        "face crops": ("predict", "--faces-cropped", folder / "faces"),
        "a picture": ("predict", PORTRAIT),
        "a clip": ("run", "--source", folder / "clip.mp4", "--show", "none"),
    }
    lines = {what: fer_edge(*words, "--jsonl", "-").stdout.splitlines() for what, words in commands.items()}
    return {what: [json.loads(line)["faces"] for line in output] for what, output in lines.items()}


def outputs(folder: Path) -> dict[str, list[list[int]]]:
    """Each model's outputs for the face crops, in its int8 steps."""
    crops = np.stack([shrink(to_gray(read_picture(path))) for path in sorted((folder / "faces").iterdir())])
    models = {model.text: TFLiteClassifier(model.path) for model in shipped_models()}
    return {name: np.rint(each.logits(crops) / each.output_step).tolist() for name, each in models.items()}


def results(folder: Path) -> Record:
    versions = f"{runtime().name} {runtime().version}, OpenCV {cv2.__version__}, Python {platform.python_version()}"
    return {"versions": versions, "outputs": outputs(folder), "predictions": predictions(folder)}


def record(folder: Path) -> None:
    if not (folder / "faces").exists():
        make_inputs(folder)
    (folder / f"{runtime().name}.json").write_text(json.dumps(results(folder)))


def compare(folder: Path) -> None:
    x86 = json.loads((folder / f"{runtime().name}.json").read_text())
    arm = results(folder)
    print(f"Arm: {arm['versions']}; x86: {x86['versions']}", flush=True)
    for name, steps in arm["outputs"].items():
        difference = np.abs(np.subtract(steps, x86["outputs"][name]))
        share = f"{np.mean(difference > 0):.0%} of the outputs"
        check(
            f"{name}: {share} differ from x86, by {difference.max():.0f} steps at most",
            difference.max() <= MAX_OUTPUT_STEPS,
        )
    for what, frames in arm["predictions"].items():
        compare_faces(what, frames, x86["predictions"][what])


def compare_faces(what: str, arm: list[list[Record]], x86: list[list[Record]]) -> None:
    """Check that each frame has as many faces, at the same places, with the same emotions and scores."""
    pairs = list(zip(chain(*arm), chain(*x86), strict=False))
    same = bool(pairs) and [len(faces) for faces in arm] == [len(faces) for faces in x86]
    check(f"{what}: {len(pairs)} faces, as on x86", same)
    if not same:
        return
    same_emotions = [
        one["emotion"] == other["emotion"] or margin(other) < 2 * MAX_SCORE_DIFFERENCE for one, other in pairs
    ]
    check(f"{what}: the same emotions, where the highest score is clear", all(same_emotions))
    boxes = max(np.abs(np.subtract(one["box"], other["box"])).max() for one, other in pairs)
    scores = max(abs(score - other["scores"][name]) for one, other in pairs for name, score in one["scores"].items())
    close = boxes <= MAX_BOX_PIXELS and scores <= MAX_SCORE_DIFFERENCE
    check(f"{what}: boxes differ by {boxes} pixels at most, scores by {scores:.4f}", close)


def margin(face: Record) -> float:
    """The difference of the two highest scores."""
    second, first = sorted(face["scores"].values())[-2:]
    return float(first - second)


def use() -> None:
    check("models verify", fer_edge("models", "verify").returncode == 0)
    findings = json.loads(fer_edge("doctor", "--json").stdout)
    check("doctor: nothing fails", "fail" not in {each["status"] for each in findings})
    with tempfile.TemporaryDirectory() as folder:
        clip, video, result = (Path(folder) / name for name in ("clip.mp4", "annotated.mp4", "latency.json"))
        make_clip(clip)
        process = fer_edge("run", "--source", clip, "--show", "none", "--save-video", video, "--max-frames", 5)
        check("a clip is made, and run writes it annotated", process.returncode == 0 and video.stat().st_size > 0)
        arguments = ("mobilenet_v2", "--threads", 1, "--runs", 10, "--warmup", 1, "--out", result)
        process = fer_edge("bench", "latency", *arguments)
        machine = json.loads(result.read_text())["machine"] if result.exists() else {}
        has_name = str(machine.get("cpu")).startswith("Cortex-")
        check("bench latency measures, and names the processor", process.returncode == 0 and has_name)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["record", folder]:
            record(Path(folder))
        case ["compare", folder]:
            compare(Path(folder))
        case ["use"]:
            use()
        case _:
            sys.exit("expected: check_arm.py record FOLDER, compare FOLDER, or use")
    sys.exit(1 if failures else 0)
