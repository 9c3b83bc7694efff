"""The commands of docs/own-classes.md, as they are there, on a few drawn pictures and with a short training."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge.edge.tflite.card import checked_card
from fer_edge.models import FOLDER

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

SMALL = "mobilenet_v2_small"
PAGE = Path(__file__).parent.parent / "docs" / "own-classes.md"
SHORT = {
    "FER_EDGE_DATA_CROP_CROP": "false",  # the pictures are drawn: nothing in them is a face
    "FER_EDGE_TRAIN_WARMUP_EPOCHS": "3",
    "FER_EDGE_TRAIN_TOP_EPOCHS": "1",
    "FER_EDGE_TRAIN_FROZEN_VIEWS": "2",
    "FER_EDGE_CONVERT_CALIBRATION_SAMPLES": "16",
    "FER_EDGE_CONVERT_STEPS_PER_EPOCH": "2",
    "FER_EDGE_CONVERT_BATCH_SIZE": "8",
    "FER_EDGE_CONVERT_MIN_AGREEMENT": "0",
    "FER_EDGE_CONVERT_MAX_DROP": "100",
    "FER_EDGE_RUN_SHOW": "none",
    "FER_EDGE_RUN_JSONL": "faces.jsonl",
}


def commands(heading: str) -> list[list[str]]:
    """The words of each `fer-edge` command in the first block below a heading."""
    section = PAGE.read_text("utf-8").split(f"## {heading}\n")[1]
    block = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert block is not None
    return [line.partition("#")[0].split() for line in block[1].splitlines() if line.startswith("fer-edge ")]


def drawn(bright: int, seed: int) -> np.ndarray:
    """A picture with a bright stripe, high or low, on a pattern of its own."""
    rng = np.random.default_rng(seed)
    picture = cv2.resize(rng.integers(0, 120, (12, 12)).astype(np.uint8), (96, 96), interpolation=cv2.INTER_CUBIC)
    picture[bright : bright + 24] //= 2
    picture[bright : bright + 24] += 128
    return picture


def test_four_commands_lead_from_pictures_to_a_running_model(tmp_path: Path, clip: Path) -> None:
    for number, name in enumerate(("awake", "drowsy")):
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        for index in range(14):
            assert cv2.imwrite(
                str(folder / f"{'abcdefghijklmn'[index]}.png"), drawn(10 + 50 * number, index + 50 * number)
            )
    (tmp_path / "models").symlink_to(FOLDER)
    environment = {**os.environ, **SHORT, "FER_EDGE_RUN_SOURCE": str(clip)}
    for words in commands("Four commands"):  # of the page's network the smallest kin, which is a third of the time
        words = [word.replace("mobilenet_v2", SMALL) for word in words]
        command = [sys.executable, "-m", "fer_edge.edge.cli", *words[1:]]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
    card = checked_card(tmp_path / f"runs/own/{SMALL}_int8.tflite")
    assert card.labels == ("awake", "drowsy") and "FER2013" not in json.dumps(card.training.get("data", ""))
    lines = [json.loads(line) for line in (tmp_path / "faces.jsonl").read_text().splitlines()]
    assert {tuple(face["scores"]) for line in lines for face in line["faces"]} == {("awake", "drowsy")}
    assert (tmp_path / f"runs/own/{SMALL}/confusion_matrix.png").stat().st_size > 1000
    assert (tmp_path / "faces/contact-awake.jpg").is_file()
