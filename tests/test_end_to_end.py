"""The whole way on a small scale: CSV, training, quantization-aware fine-tuning, int8 file, prediction."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import cv2
import pytest
from predictions import CLASSES
from training import NETWORK, command

from fer_edge.edge.tflite.card import checked_card
from fer_edge.train.data.loading import load

pytestmark = pytest.mark.tensorflow


def test_csv_to_prediction(finished_run: Path, synthetic_csv: Path, tmp_path: Path) -> None:
    words = ["--data", synthetic_csv, "--out", tmp_path, "--calibration-samples", 16]
    words += ["--epochs", 1, "--steps-per-epoch", 2, "--batch-size", 8]
    anything = ["--min-agreement", 0, "--max-drop", 100]
    done = subprocess.run(command("convert", finished_run, *words, *anything), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not [line for line in done.stderr.splitlines() if line.startswith("INFO:")], "lines are logged twice"
    model = tmp_path / f"{NETWORK}_int8.tflite"
    card = checked_card(model)
    assert card.quantization == "int8"
    assert card.conversion["operators"]["DEPTHWISE_CONV_2D"] == 10

    for index, face in enumerate(load(synthetic_csv).split("test").faces[:3]):
        cv2.imwrite(str(tmp_path / f"{index}.png"), face)
    words = ["predict", *sorted(tmp_path.glob("*.png")), "--faces-cropped", "--model", model, "--jsonl", "-"]
    told = subprocess.run(command(*words), capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    assert [Path(line["path"]).name for line in lines] == ["0.png", "1.png", "2.png"]
    for line in lines:
        assert list(line["faces"][0]["scores"]) == list(CLASSES)

    refused = subprocess.run(
        command("convert", finished_run, "--data", synthetic_csv, "--out", tmp_path / "none",
                "--ptq", "--calibration-samples", 16, "--max-drop", -100), capture_output=True, text=True)  # fmt: skip
    assert refused.returncode == 2
    assert not (tmp_path / "none").exists() or not list((tmp_path / "none").iterdir())
