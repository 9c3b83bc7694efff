"""End-to-end benchmarks: frames from capture to sink, other packages, and processes from start to exit."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from measuring import run

from fer_edge.benchmarks import peers
from fer_edge.benchmarks.fixtures.clips import NOISE, PORTRAIT, write_clip
from fer_edge.benchmarks.peer_process import open_peer, share_packages
from fer_edge.benchmarks.report_figures import ms_per_frame
from fer_edge.benchmarks.results_io import record
from fer_edge.edge.expression.ensemble import open_classifier
from fer_edge.edge.expression.ensemble_config import EnsembleConfig, read_ensemble, write_ensemble
from fer_edge.edge.preprocess import to_gray
from fer_edge.edge.sources.video import open_video
from fer_edge.edge.tflite.card import card_path
from fer_edge.models import FOLDER
from fer_edge.train.data.loading import load

# --- pipeline ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_pipeline_is_measured_stage_by_stage(tmp_path: Path) -> None:
    out = tmp_path / "pipeline.json"
    words = ("--faces", "2", "--sizes", "640x480", "--frames", "12", "--minutes", "0.01")
    done = run("pipeline", *words, "--out", out)
    assert done.exit_code == 0, done.output
    (row,) = json.loads(out.read_text())["rows"]
    assert row["faces_found"] == 2 and row["detections_per_frame"] < 1
    assert set(row["stages"]) >= {"capture", "detect", "track", "crop", "classify", "fuse", "draw", "sink"}
    first = Path(read_ensemble(FOLDER / "ensemble.json").members[0]).stem  # the one that sees every face
    assert row["models"][first]["p50"] > 0 and 0 < row["outside_models"] < 1
    assert row["camera"]["processed"] + row["camera"]["dropped"] <= 4 * 30
    assert row["rate"] > 0 and row["cpu_seconds"] > 0 and row["peak_mib"] > 0
    bar_length = sum(ms_per_frame(row, name) for name in (*row["models"], "fuse"))
    assert bar_length == pytest.approx(row["stages"]["classify"]["mean"], abs=0.01)
    assert f"| {row['models_per_face']:.2f} | {100 * row['outside_models']:.0f} % |" in run("table", out).stdout
    (window,) = row["sustained"]  # one, however short the run
    assert window["ms"]["count"] > 0 and window["ms"]["p50"] <= window["ms"]["p99"]
    assert window["resident_mib"] > 0 and row["resident_mib"]["start"] > 0 and row["resident_mib"]["end"] > 0
    assert f"| 640x480, 2 faces | 1 | 0.0 | {window['rate']:.0f} → " in run("table", out).stdout


def test_a_clip_keeps_its_noise(tmp_path: Path) -> None:
    """In gray: the mean of three channels' noise, and of what subsampled colour leaves of it."""
    pictures = [frame.pixels for frame in open_video(write_clip(tmp_path / "clip.avi", 16, 1, 640, 480))]
    assert len(pictures) == 16
    corner = np.stack([to_gray(pixels)[:40, :40] for pixels in pictures]).astype(float)  # where no face comes
    assert corner.std(axis=0).mean() == pytest.approx(NOISE * np.linalg.norm((0.114, 0.587, 0.299)), rel=0.1)


@pytest.mark.parametrize("words", [("--sizes", "640"), ("--sizes", "10x10"), ("--faces", "0"), ("--faces", "x")])
def test_pipeline_refuses_invalid_clips(words: tuple[str, str]) -> None:
    done = run("pipeline", *words)
    assert done.exit_code == 2 and "expected" in done.stderr


# --- peers -------------------------------------------------------------------------------------------------------


def test_peers_measures_every_model_on_one_core(
    tiny: Path, synthetic_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our own rows, without the gigabytes of the others; files are looked at as the shipped models are."""
    monkeypatch.setattr(peers, "PACKAGES", {})
    for file in (tiny, card_path(tiny)):
        shutil.copy(file, tmp_path)
    floats = write_ensemble(tmp_path / "ensemble.json", EnsembleConfig(("tiny.tflite",), (1.0,), 1.0, (1.0,)))
    out = tmp_path / "peers.json"
    done = run("peers", tiny, floats, "--data", synthetic_csv, "--limit", "8", "--frames", "10", "--out", out)
    assert done.exit_code == 0, done.output
    rows = {row["name"]: row for row in json.loads(out.read_text())["rows"]}
    assert list(rows) == ["run", "ensemble", "mobilenet_v2", "tiny", "ensemble (float32)"]
    part = load(synthetic_csv).split("val")
    predictions = open_classifier()(part.faces[:8]).argmax(axis=1)
    assert rows["ensemble"]["accuracy"] == round(float((predictions == part.labels[:8]).mean()), 5)
    for name, row in rows.items():
        assert row["faces_found"] == 1 and row["first_ms"] > 0 and row["peak_mib"] > 0
        assert name == "run" or 0 < row["classifier"]["p50"] < row["frame"]["p50"]
        assert {"numpy", "opencv-python", "ai-edge-litert"} <= row["packages"].keys()
        assert row["package"] == "fer-edge" and row["sha256"]
        low, high = row["ratio_interval"]
        assert len(row["rounds"]) == peers.ROUNDS and low <= row["ratio"] <= high
    assert "classifier" not in rows["run"] and rows["run"]["ratio_interval"] == [1, 1]
    tables = run("table", out).stdout
    assert re.search(r"^\| run \| fer-edge \|.*\| 1\.0 \| – \|", tables, re.MULTILINE)
    assert re.search(r"^\| ensemble \(float32\) \|.*\| [\d.]+ \([\d.]+–[\d.]+\) \| \d", tables, re.MULTILINE)


def test_an_environment_shares_this_ones_packages(tmp_path: Path) -> None:
    """Its own packages come first, so that it can have an older OpenCV."""
    venv.create(tmp_path)
    python = tmp_path / "bin" / "python"
    (own,) = tmp_path.glob("lib/python*/site-packages")
    (own / "cv2.py").write_text("")
    share_packages(python)
    process = subprocess.run(
        [python, "-c", "import cv2, numpy; print(cv2.__file__, numpy.__file__)"], capture_output=True, text=True
    )
    assert process.stdout.split() == [str(own / "cv2.py"), np.__file__], process.stderr


def test_a_peer_that_cannot_be_imported_is_one_line(tmp_path: Path) -> None:
    peer = open_peer("facex", Path(sys.executable), PORTRAIT, 0)
    with pytest.raises(record.ResultError, match="facex failed in its environment: ModuleNotFoundError"), peer:
        pass


# --- start -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_start_is_compared_with_imports_alone(tmp_path: Path) -> None:
    out = tmp_path / "start.json"
    done = run("start", "mobilenet_v2", "--runs", "3", "--frames", "10", "--out", out)
    assert done.exit_code == 0, done.output
    imports, predict, headless = json.loads(out.read_text())["rows"]
    assert imports["model"].startswith("import cv2") and imports["ratio"] == 1 and "sha256" not in imports
    assert predict["ratio"] == pytest.approx(predict["ms"]["p50"] / imports["ms"]["p50"], abs=1e-3)
    assert headless["model"] == "run, headless, 10 frames" and headless["sha256"] == predict["sha256"]
    assert headless["rate"] > 0
    assert imports["peak_mib"] < predict["peak_mib"] < headless["peak_mib"]  # of the process alone
    tables = run("table", out).stdout
    assert re.search(r"^\| import cv2.*\| 1\.00 \| – \| \d+ MiB \|$", tables, re.MULTILINE)
    assert f"| {headless['rate']:.0f} | {headless['peak_mib']:.0f} MiB |" in tables
    again = run("compare", out, out)
    assert again.exit_code == 0, again.output
    assert again.stdout.count("1.00x [") == 3


@pytest.mark.slow
def test_a_model_that_is_missing_is_one_line(mistake: Callable[..., str]) -> None:
    assert "no/such.tflite" in mistake("bench", "start", "no/such.tflite", "--runs", "3")
