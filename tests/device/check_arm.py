"""What a Raspberry Pi must see: the same as this computer; tests/device/arm.sh runs it on both: `make test-arm`.

`check_arm.py record FOLDER` makes faces and a clip there, unless they are there, and notes what the installed runtime
answers. On Arm, `check_arm.py compare FOLDER` asks the same and prints a line per check; `check_arm.py use` tries the
other commands. Exits with 1 where a check fails.
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
from checking import check, failed

from fer_edge import read_picture
from fer_edge.edge.expression.classifier import TFLiteClassifier
from fer_edge.edge.expression.model_spec import MODEL_NAMES
from fer_edge.edge.preprocess import shrink, to_gray
from fer_edge.edge.tflite.interpreter import runtime
from fer_edge.models import FOLDER

Record = dict[str, Any]
COMMAND = Path(sys.executable).with_name("fer-edge")
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PORTRAIT = EXAMPLES.parent / "benchmarks" / "astronaut.jpg"
FACE = (173, 74, 105)  # x, y and side of the portrait's face, pixels
PATIENCE = 900  # seconds for anything: the machine is emulated

STEPS = 20
"""By how many int8 steps a network's outputs may differ from those on x86.

Kernels round in places of their own: on x86 LiteRT and tflite-runtime differ by 7, 15 and 13 for MobileNetV2,
SE-MobileNetV2 and EfficientNet-B0 on the worst of 24 faces, by 1 on average. Measured on Arm: 0, 1 and 5 by LiteRT,
10, 14 and 6 by tflite-runtime.
"""

SCORES = 0.05
"""By how much an emotion's score may: where two lead by less than twice that, either is a right answer.

Measured: 0.024 by LiteRT, 0.045 by tflite-runtime, of faces that lie or stand on their heads.
"""

PIXELS = 2
"""By how many pixels a box may: OpenCV's bilinear resizing differs by one gray level there, and boxes are rounded.

Measured: 0 in a picture, 2 where a face was followed through a clip.
"""


def fer_edge(*words: object) -> subprocess.CompletedProcess[str]:
    """What the command said; it is shown where it failed."""
    done = subprocess.run([COMMAND, *map(str, words)], capture_output=True, text=True, timeout=PATIENCE)
    if done.returncode:
        print(f"$ fer-edge {' '.join(map(str, words))}\n{done.stdout}{done.stderr}exit code {done.returncode}")
    return done


def make_clip(path: Path) -> None:
    subprocess.run([sys.executable, EXAMPLES / "make_clip.py", path, "--seconds", "1"], check=True, capture_output=True)


def make_given(folder: Path) -> None:
    """A clip, and faces cut out of the portrait a little differently, some of them lying or upside down."""
    make_clip(folder / "clip.mp4")
    (folder / "faces").mkdir()
    portrait = read_picture(PORTRAIT)
    x, y, side = FACE
    for index in range(24):
        top, left, size = y + 4 * (index % 5 - 2), x + 4 * (index // 5 - 2), side + index - 12
        face = np.rot90(portrait[top : top + size, left : left + size], index % 4)
        cv2.imwrite(str(folder / "faces" / f"{index:02}.png"), face)


def predictions(folder: Path) -> dict[str, list[list[Record]]]:
    """The faces of each picture or frame; those of the clip have been followed, smoothed and cascaded."""
    asked = {
        "faces cut out": ("predict", "--faces-cropped", folder / "faces"),
        "a picture": ("predict", PORTRAIT),
        "a clip": ("run", "--source", folder / "clip.mp4", "--show", "none"),
    }
    lines = {what: fer_edge(*words, "--jsonl", "-").stdout.splitlines() for what, words in asked.items()}
    return {what: [json.loads(line)["faces"] for line in those] for what, those in lines.items()}


def outputs(folder: Path) -> dict[str, list[list[int]]]:
    """What each network says of the faces, in its int8 steps."""
    crops = np.stack([shrink(to_gray(read_picture(path))) for path in sorted((folder / "faces").iterdir())])
    networks = {name: TFLiteClassifier(FOLDER / f"{name}_int8.tflite") for name in MODEL_NAMES}
    return {name: np.rint(each.logits(crops) / each.output_step).tolist() for name, each in networks.items()}


def answers(folder: Path) -> Record:
    versions = f"{runtime().name} {runtime().version}, OpenCV {cv2.__version__}, Python {platform.python_version()}"
    return {"versions": versions, "outputs": outputs(folder), "predictions": predictions(folder)}


def record(folder: Path) -> None:
    if not (folder / "faces").exists():
        make_given(folder)
    (folder / f"{runtime().name}.json").write_text(json.dumps(answers(folder)))


def compare(folder: Path) -> None:
    here = json.loads((folder / f"{runtime().name}.json").read_text())
    there = answers(folder)
    print(f"Arm: {there['versions']}; x86: {here['versions']}", flush=True)
    for name, steps in there["outputs"].items():
        apart = np.abs(np.subtract(steps, here["outputs"][name]))
        share = f"{np.mean(apart > 0):.0%} of the outputs"
        check(f"{name}: {share} differ from x86, by {apart.max():.0f} steps at most", apart.max() <= STEPS)
    for what, frames in there["predictions"].items():
        compare_faces(what, frames, here["predictions"][what])


def compare_faces(what: str, there: list[list[Record]], here: list[list[Record]]) -> None:
    """As many in each frame, at the same places, with the same emotions; scores follow from the networks' outputs."""
    pairs = list(zip(chain(*there), chain(*here), strict=False))
    same = bool(pairs) and [len(faces) for faces in there] == [len(faces) for faces in here]
    check(f"{what}: {len(pairs)} faces, as on x86", same)
    if not same:
        return
    alike = [one["emotion"] == other["emotion"] or lead(other) < 2 * SCORES for one, other in pairs]
    check(f"{what}: the same emotions, where one leads clearly", all(alike))
    boxes = max(np.abs(np.subtract(one["box"], other["box"])).max() for one, other in pairs)
    scores = max(abs(score - other["scores"][name]) for one, other in pairs for name, score in one["scores"].items())
    near = boxes <= PIXELS and scores <= SCORES
    check(f"{what}: boxes differ by {boxes} pixels at most, scores by {scores:.4f}", near)


def lead(face: Record) -> float:
    """How far the likeliest emotion is before the next."""
    second, first = sorted(face["scores"].values())[-2:]
    return float(first - second)


def use() -> None:
    check("models verify", fer_edge("models", "verify").returncode == 0)
    told = json.loads(fer_edge("doctor", "--json").stdout)
    check("doctor: nothing fails", "fail" not in {each["status"] for each in told})
    with tempfile.TemporaryDirectory() as made:
        clip, film, result = (Path(made) / name for name in ("clip.mp4", "film.mp4", "latency.json"))
        make_clip(clip)
        done = fer_edge("run", "--source", clip, "--show", "none", "--save-video", film, "--max-frames", 5)
        check("a clip is made, and run writes it annotated", done.returncode == 0 and film.stat().st_size > 0)
        words = ("mobilenet_v2", "--threads", 1, "--runs", 10, "--warmup", 1, "--out", result)
        done = fer_edge("bench", "latency", *words)
        machine = json.loads(result.read_text())["machine"] if result.exists() else {}
        named = str(machine.get("cpu")).startswith("Cortex-")
        check("bench latency measures, and names the processor", done.returncode == 0 and named)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["record", given]:
            record(Path(given))
        case ["compare", given]:
            compare(Path(given))
        case ["use"]:
            use()
        case _:
            sys.exit("expected: check_arm.py record FOLDER, compare FOLDER, or use")
    sys.exit(1 if failed else 0)
