"""End-to-end benchmarks: frames from capture to sink, other packages, the live page, processes from start to exit."""

from __future__ import annotations

import asyncio
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
from predictions import CLASSES

from fer_edge.benchmarks import page, page_viewers, peers
from fer_edge.benchmarks.fixtures.clips import NOISE, PORTRAIT, write_clip
from fer_edge.benchmarks.page_connection import Connection, Reader
from fer_edge.benchmarks.page_process import PageProcess, open_page
from fer_edge.benchmarks.page_viewers import Figures, add_pictures
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


@pytest.mark.slow
def test_an_empty_room_is_measured(tmp_path: Path) -> None:
    out = tmp_path / "pipeline.json"
    done = run("pipeline", "mobilenet_v2", "--faces", "0", "--sizes", "320x240", "--frames", "40", "--out", out)
    assert done.exit_code == 0, done.output
    (row,) = json.loads(out.read_text())["rows"]
    assert row["faces_found"] == row["models_per_face"] == 0 and 0 < row["detections_per_frame"] < 0.2
    assert "320x240, 0 faces" in run("table", out).stdout


def test_a_clip_keeps_its_noise(tmp_path: Path) -> None:
    """In gray: the mean of three channels' noise, and of what subsampled colour leaves of it."""
    pictures = [frame.pixels for frame in open_video(write_clip(tmp_path / "clip.avi", 16, 1, 640, 480))]
    assert len(pictures) == 16
    corner = np.stack([to_gray(pixels)[:40, :40] for pixels in pictures]).astype(float)  # where no face comes
    assert corner.std(axis=0).mean() == pytest.approx(NOISE * np.linalg.norm((0.114, 0.587, 0.299)), rel=0.1)


@pytest.mark.parametrize("words", [("--sizes", "640"), ("--sizes", "10x10"), ("--faces", "-1"), ("--faces", "x")])
def test_pipeline_refuses_invalid_clips(words: tuple[str, str]) -> None:
    done = run("pipeline", *words)
    assert done.exit_code == 2 and "expected" in done.stderr


# --- capture -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_both_ways_from_a_cameras_buffers_find_the_face(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "capture.json"
    done = run("capture", tiny, "--sizes", "640x480", "--frames", "20", "--out", out)
    assert done.exit_code == 0, done.output
    rows = json.loads(out.read_text())["rows"]
    faces = {"one face": 1, "empty room": 0, "one face, in a window": 1}
    assert [row["faces_found"] for row in rows] == 2 * [[count] * 2 for count in faces.values()]
    assert all(min(row["pixels_ms"]) > 0 and row["whole_ms"] > 0 for row in rows)
    assert f"| Motion JPEG, 640x480 | one face | {rows[0]['pixels_ms'][0]:.2f} | " in run("table", out).stdout
    assert run("capture", "--cameras", "film").exit_code == 2


# --- peers -------------------------------------------------------------------------------------------------------


def test_peers_measures_every_model_on_one_core(
    tiny: Path, synthetic_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our own rows, without the gigabytes of the others; files are looked at as the shipped models are."""
    monkeypatch.setattr(peers, "PACKAGES", {})
    for file in (tiny, card_path(tiny)):
        shutil.copy(file, tmp_path)
    config = EnsembleConfig(("tiny.tflite",), (1.0,), 1.0, (1.0,), CLASSES, (0.0,) * 7)
    floats = write_ensemble(tmp_path / "ensemble.json", config)
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


# --- page --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_page_is_measured_with_viewers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "ROUNDS", 1)
    monkeypatch.setattr(page_viewers, "WARM_UP", 0.5)
    out = tmp_path / "page.json"
    done = run("page", "--viewers", "2", "--seconds", "0.8", "--out", out)
    assert done.exit_code == 0, done.output
    alone, pages, players = json.loads(out.read_text())["rows"]
    assert (alone["viewers"], alone["pictures"]) == (0, 0) and "picture_ms" not in alone
    for row in (pages, players):
        assert row["viewers"] == 2 and row["state_ms"]["count"] > 0 and row["frames_per_second"] > 0
        assert row["picture_ms"]["count"] > 0 and row["behind_ms"]["count"] > 0
        assert row["server_cpu"] >= 0 and row["client_cpu"] > 0
    assert pages["event_ms"]["count"] > 0 and "event_ms" not in players
    tables = run("table", out).stdout
    assert f"| 2 pages | {pages['state_ms']['p50']:.1f} |" in tables and "| none | " in tables


@pytest.mark.slow
def test_a_page_that_cannot_be_served_is_one_line(tmp_path: Path) -> None:
    with (
        pytest.raises(record.ResultError, match=r"run --web failed: .*no\.avi"),
        open_page("--source", str(tmp_path / "no.avi")),
    ):
        pass


@pytest.mark.slow
def test_a_refused_request_is_one_line(clip: Path) -> None:
    async def request(server: PageProcess) -> None:
        answered = asyncio.get_running_loop().create_future()
        connection = Connection(server, answered.set_result)
        await connection.open()
        connection.get("/api/state")
        assert (await answered).startswith(b"HTTP/1.1 200 OK")
        connection.get("/no-such-page")
        for _ in range(1000):
            await asyncio.sleep(0.05)
            connection.check()

    with (
        open_page("--source", str(clip), "--loop") as server,
        pytest.raises(record.ResultError, match=r"answered HTTP.* 404 Not Found"),
    ):
        asyncio.run(request(server))


def test_page_refuses_what_is_no_number_of_viewers() -> None:
    done = run("page", "--viewers", "0")
    assert done.exit_code == 2 and "expected numbers" in done.stderr


def test_skipped_and_late_pictures_are_counted() -> None:
    """Two viewers of frames 1 to 5: the second misses 2 and 3, and gets 4 and 5 half a second later."""
    figures = Figures()
    add_pictures(figures, [[(float(n), n) for n in range(1, 6)], [(1.0, 1), (4.5, 4), (5.5, 5)]], 0.0, 5.2)
    assert (figures.pictures, figures.skipped) == (7, 2)
    assert figures.interval == [1000] * 4 + [3500]
    assert figures.behind == [0, 500]


def test_a_client_splits_answers_parts_and_events() -> None:
    """However they arrive: an answer with a body, one without, and two parts of a stream."""
    picture = b"\xff\r\n\r\n\xd9"
    part = b"--b\r\nX-Frame: %d\r\nContent-Length: 6\r\n\r\n" + picture + b"\r\n"
    sent = (
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}HTTP/1.1 204 No Content\r\na: b\r\n\r\n" + part % 1 + part % 2
    )
    for size in (1, 7, len(sent)):
        heads: list[bytes] = []
        reader = Reader(heads.append, b"\r\n\r\n")
        for start in range(0, len(sent), size):
            piece = sent[start : start + size]
            reader.get_buffer(-1)[: len(piece)] = piece
            reader.buffer_updated(len(piece))
        assert [head.split(b"\r\n")[0] for head in heads[:2]] == [b"HTTP/1.1 200 OK", b"HTTP/1.1 204 No Content"]
        assert [re.search(rb"X-Frame: (\d)", head)[1] for head in heads[2:]] == [b"1", b"2"]


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


# --- archives ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_archives_are_measured_with_several_numbers_of_workers(tmp_path: Path) -> None:
    out = tmp_path / "archive.json"
    words = ("--pictures", "80", "--rounds", "1", "--workers", "1,2", "--model", "mobilenet_v2")
    done = run("archive", *words, "--out", out)
    assert done.exit_code == 0, done.output
    result = json.loads(out.read_text())
    assert [row["workers"] for row in result["rows"]] == [1, 2] and result["rows"][0]["ratio"] == 1
    for row in result["rows"]:
        memory = row["memory_mib"]
        assert row["rate"]["p50"] > 0 and 0 < memory["worker_pss"] < memory["worker_rss"] < 1000
        assert row["workers"] * 10 < memory["all_pss"]
    assert f"| 1 | {result['rows'][0]['rate']['p50']:.1f} | 1.00 | " in run("table", out).stdout


def test_evaluation_is_measured_with_several_numbers_of_threads(tmp_path: Path) -> None:
    out = tmp_path / "evaluation.json"
    done = run("evaluation", "mobilenet_v2_small", "--faces", "40", "--rounds", "2", "--workers", "1,2", "--out", out)
    assert done.exit_code == 0, done.output
    rows = json.loads(out.read_text())["rows"]
    assert [row["workers"] for row in rows] == [1, 2] and rows[0]["ratio"] == 1
    assert f"| mobilenet_v2_small | 2 | {rows[1]['rate']['p50']:.1f} |" in run("table", out).stdout
