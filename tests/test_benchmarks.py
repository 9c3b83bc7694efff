"""The benchmarks: statistics, machine facts, result files and their tables, on a real (tiny) TFLite model."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from fer_edge.benchmarks import compare, latency, machine, peers, record, table
from fer_edge.benchmarks.clips import PORTRAIT
from fer_edge.edge.card import sha256
from fer_edge.edge.cli import main
from fer_edge.edge.ensemble import open_classifier
from fer_edge.edge.preprocess import INPUT_SIZE, network_input
from fer_edge.edge.scores import softmax
from fer_edge.edge.types import EMOTIONS
from fer_edge.models import FOLDER
from fer_edge.train.data import load

ROOT = Path(record.__file__).resolve().parent.parent


def run(*arguments: object) -> Any:
    return CliRunner().invoke(main, ["bench", *map(str, arguments)])


# --- accuracy ----------------------------------------------------------------------------------------------------


def test_accuracy_is_what_numpy_computes(tiny: Path, weights: np.ndarray, synthetic_csv: Path, tmp_path: Path) -> None:
    out = tmp_path / "accuracy.json"
    done = run("accuracy", tiny, "--data", synthetic_csv, "--flip", "--out", out)
    assert done.exit_code == 0, done.output
    result = json.loads(out.read_text())
    part = load(synthetic_csv).split("val")
    half = INPUT_SIZE // 2

    def logits(faces: np.ndarray) -> np.ndarray:
        quarters = network_input(faces).reshape(-1, 2, half, 2, half, 3).mean(axis=(2, 4))
        return quarters.reshape(-1, 12) @ weights

    row, flipped = result["rows"]
    plain, mirrored = logits(part.faces), logits(part.faces[:, :, ::-1])
    assert row["accuracy"] == round(float(np.mean(plain.argmax(1) == part.labels)), 5)
    both = softmax(plain) + softmax(mirrored)
    assert flipped["accuracy"] == round(float(np.mean(both.argmax(1) == part.labels)), 5)
    assert (row["flip"], row["invocations"], flipped["flip"], flipped["invocations"]) == (False, 1, True, 2)
    assert row["sha256"] == {"tiny.tflite": sha256(tiny)}
    assert (result["data"]["split"], result["data"]["pictures"]) == ("val", len(part))
    assert result["command"].startswith(f"fer-edge bench accuracy {tiny}")
    assert [path.name for path in tmp_path.iterdir()] == ["accuracy.json"]


def test_accuracy_of_another_environments_runtime(
    tiny: Path, synthetic_csv: Path, tmp_path: Path, tflite_python: Path
) -> None:
    out = tmp_path / "accuracy.json"
    done = run("accuracy", tiny, "--data", synthetic_csv, "--python", tflite_python, "--out", out)
    assert done.exit_code == 0, done.output
    here, there = json.loads(out.read_text())["rows"]
    assert here["runtime"] != there["runtime"]
    assert there["runtime"].startswith("tflite-runtime")
    assert here["confusion"] == there["confusion"]


@pytest.mark.parametrize("python", ["/bin/false", "/no/such/python"])
def test_another_environment_that_fails_is_one_line(
    python: str, tiny: Path, synthetic_csv: Path, tmp_path: Path
) -> None:
    out = tmp_path / "accuracy.json"
    done = run("accuracy", tiny, "--data", synthetic_csv, "--python", python, "--out", out)
    assert done.exit_code == 2
    assert python in done.stderr.splitlines()[-1]
    assert not out.exists()


def test_a_missing_model_is_one_line(synthetic_csv: Path) -> None:
    done = run("accuracy", "no/such.tflite", "--data", synthetic_csv)
    assert done.exit_code == 2
    assert "no/such.tflite" in done.stderr


# --- latency -----------------------------------------------------------------------------------------------------


def test_latency_keeps_the_phases_apart(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "latency.json"
    done = run("latency", tiny, tiny, "--threads", "1,2", "--runs", "23", "--warmup", "2", "--out", out)
    assert done.exit_code == 0, done.output
    rows = json.loads(out.read_text())["rows"]
    assert [row["threads"] for row in rows] == [1, 1, 2, 2]
    for row in rows:
        whole = row["classifier"]
        assert 0 < whole["min"] <= whole["p50"] <= whole["p90"] <= whole["p99"]
        assert row["open"] > 0
        assert row["first"] > 0
        assert row["peak_mib"] > 0
    for first, second in ((0, 1), (2, 3)):
        assert rows[first]["ratio"] == 1
        expected = rows[second]["classifier"]["p50"] / rows[first]["classifier"]["p50"]
        assert rows[second]["ratio"] == pytest.approx(expected, abs=5e-4)  # rounded to three digits


def test_latency_of_a_whole_frame_includes_detection(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "latency.json"
    portrait = ROOT / "examples" / "astronaut.jpg"
    done = run("latency", tiny, "--threads", "1", "--runs", "10", "--warmup", "1", "--picture", portrait, "--out", out)
    assert done.exit_code == 0, done.output
    (row,) = json.loads(out.read_text())["rows"]
    assert row["frame"]["p50"] > row["classifier"]["p50"] > row["invoke"]["p50"]


@pytest.mark.parametrize("pixels", [None, 127])
def test_a_picture_without_a_face_is_one_line(pixels: int | None, tiny: Path, tmp_path: Path) -> None:
    picture, out = tmp_path / "empty.png", tmp_path / "latency.json"
    if pixels is not None:
        cv2.imwrite(str(picture), np.full((240, 320, 3), pixels, np.uint8))
    done = run("latency", tiny, "--threads", "1", "--runs", "10", "--warmup", "1", "--picture", picture, "--out", out)
    assert done.exit_code == 2
    assert "expected a picture of one face" in done.stderr.splitlines()[-1]
    assert not out.exists()


@pytest.mark.parametrize("threads", ["0", "1,", "two", "1,-2"])
def test_latency_refuses_thread_counts_that_are_none(threads: str, tiny: Path) -> None:
    done = run("latency", tiny, "--threads", threads)
    assert done.exit_code == 2
    assert "whole numbers above 0" in done.stderr


def test_peak_memory_is_the_fresh_processs_own(tiny: Path) -> None:
    ballast = np.ones(16 * 2**20, np.uint8)  # 16 MiB that a child would inherit as ru_maxrss
    small = latency._fresh(str(tiny), 1)["peak_mib"]
    ballast = np.ones(192 * 2**20, np.uint8)
    big = latency._fresh(str(tiny), 1)["peak_mib"]
    del ballast
    assert abs(big - small) < 64


def test_summary_is_exact_on_a_known_series() -> None:
    series = np.arange(101.0)[::-1]
    assert latency.summary(series) == {"p50": 50.0, "p90": 90.0, "p99": 99.0, "mean": 50.0, "min": 0.0}


def test_timed_counts_its_calls() -> None:
    calls: list[int] = []
    times = latency.timed(lambda: calls.append(1), 5)
    assert len(times) == len(calls) == 5
    assert min(times) >= 0


# --- the machine -------------------------------------------------------------------------------------------------


@pytest.fixture
def raspberry(tmp_path: Path) -> Path:
    files = {
        "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
        "proc/cpuinfo": "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\n\nRevision\t: c03114\n",
        "proc/meminfo": "MemTotal:        3884360 kB\nMemFree: 1 kB\n",
        "proc/loadavg": "0.52 0.58 0.59 1/123 4567\n",
        "etc/os-release": 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "600000\n",
        "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": "1800000\n",
        "sys/class/thermal/thermal_zone0/temp": "48686\n",
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path


def test_facts_of_a_raspberry_pi(raspberry: Path) -> None:
    found = machine.facts(raspberry)
    assert found["model"] == "Raspberry Pi 4 Model B Rev 1.4"
    assert found["cpu"] == "Cortex-A72"
    assert found["memory_mib"] == 3884360 // 1024
    assert found["os"] == "Debian GNU/Linux 12 (bookworm)"
    assert (found["governor"], found["mhz"], found["max_mhz"]) == ("ondemand", 600.0, 1800.0)
    assert (found["celsius"], found["load"]) == (48.7, 0.52)
    assert record.slug(found["model"]) == "raspberry-pi-4-model-b-rev-1-4"
    assert record.slug("Intel(R) Core(TM) i7-9999") == "intel-core-i7-9999"


def test_facts_of_a_machine_that_tells_nothing(tmp_path: Path) -> None:
    found = machine.facts(tmp_path)
    assert found["model"] is None
    assert found["celsius"] is None
    assert found["python"]
    json.dumps(found)


# --- compare -----------------------------------------------------------------------------------------------------


def test_compare_pairs_accuracy_by_picture(tmp_path: Path) -> None:
    paths = [tmp_path / "old.json", tmp_path / "new.json"]
    for path, right in zip(paths, ("1" * 60 + "0" * 40, "0" * 5 + "1" * 75 + "0" * 20), strict=True):
        kept = result()
        kept["rows"][0] |= {"right": right, "accuracy": right.count("1") / 100}
        path.write_text(json.dumps(kept))
    done = run("compare", *paths)
    assert done.exit_code == 0, done.output
    assert "+15.00 [" in done.stdout and "20 gained, 5 lost, p = 0.004" in done.stdout
    assert run("compare", paths[0], paths[0]).stdout.count("p = 1.000") == 1


def test_compare_gives_a_ratio_and_its_interval(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "latency.json"
    assert run("latency", tiny, "--threads", "1", "--runs", "20", "--warmup", "1", "--out", out).exit_code == 0
    slower = json.loads(out.read_text())
    row = slower["rows"][0]
    for name in ("classifier", "invoke"):
        row[name]["p50"] *= 2
        row["rounds"][name] = [2 * each for each in row["rounds"][name]]
    (tmp_path / "slower.json").write_text(json.dumps(slower))
    done = run("compare", tmp_path / "slower.json", out)
    assert done.exit_code == 0, done.output
    assert done.stdout.count("2.00x [") == 2


def test_what_cannot_be_compared_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(result()))
    (tmp_path / "b.json").write_text(json.dumps(result("latency")))
    other = result()
    other["data"]["sha256"] = "another"
    (tmp_path / "c.json").write_text(json.dumps(other))
    for name, expected in (
        ("b.json", "two of one kind"),
        ("c.json", "different pictures"),
        ("a.json", "run its command"),
    ):
        done = run("compare", tmp_path / "a.json", tmp_path / name)
        assert done.exit_code == 2 and expected in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(("gained", "lost", "expected"), [(0, 0, 1.0), (5, 5, 1.0), (10, 0, 2 / 1024), (0, 1, 1.0)])
def test_sign_test(gained: int, lost: int, expected: float) -> None:
    assert compare.sign_test(gained, lost) == pytest.approx(expected)


# --- pipeline ----------------------------------------------------------------------------------------------------


def test_the_pipeline_is_measured_stage_by_stage(tmp_path: Path) -> None:
    out = tmp_path / "pipeline.json"
    done = run("pipeline", "--faces", "2", "--sizes", "640x480", "--frames", "12", "--out", out)
    assert done.exit_code == 0, done.output
    (row,) = json.loads(out.read_text())["rows"]
    assert row["faces_found"] == 2 and row["looks"] < 1
    assert set(row["stages"]) >= {"capture", "detect", "track", "crop", "classify", "fuse", "draw", "sink"}
    assert row["models"]["mobilenet_v2_int8"]["p50"] > 0 and 0 < row["outside"] < 1
    assert row["camera"]["taken"] + row["camera"]["dropped"] <= 4 * 30
    assert row["rate"] > 0 and row["cpu_seconds"] > 0 and row["peak_mib"] > 0


@pytest.mark.parametrize("words", [("--sizes", "640"), ("--sizes", "10x10"), ("--faces", "0"), ("--faces", "x")])
def test_pipeline_refuses_what_is_no_clip(words: tuple[str, str]) -> None:
    done = run("pipeline", *words)
    assert done.exit_code == 2 and "expected" in done.stderr


# --- peers -------------------------------------------------------------------------------------------------------


def test_peers_takes_turns_on_one_core(
    tiny: Path, synthetic_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our own rows, without the gigabytes of the others."""
    monkeypatch.setattr(peers, "PACKAGES", {})
    out = tmp_path / "peers.json"
    done = run("peers", tiny, "--data", synthetic_csv, "--limit", "8", "--frames", "10", "--out", out)
    assert done.exit_code == 0, done.output
    rows = {row["name"]: row for row in json.loads(out.read_text())["rows"]}
    assert list(rows) == ["run", "ensemble", "mobilenet_v2", "tiny"]
    part = load(synthetic_csv).split("val")
    answers = open_classifier()(part.faces[:8]).argmax(axis=1)
    assert rows["ensemble"]["accuracy"] == round(float((answers == part.labels[:8]).mean()), 5)
    for name in peers.OURS:
        row = rows[name]
        assert row["faces_found"] == 1 and row["first_ms"] > 0 and row["peak_mib"] > 0
        assert 0 < row["classifier"]["p50"] < row["frame"]["p99"]
    assert "| run | fer-edge |" in run("table", out).stdout


def test_a_peer_that_cannot_be_imported_is_one_line(tmp_path: Path) -> None:
    worker = peers._worker("facex", Path(sys.executable), PORTRAIT, 0)
    with pytest.raises(record.ResultError, match="facex failed in its environment: ModuleNotFoundError"), worker:
        pass


# --- start -------------------------------------------------------------------------------------------------------


def test_start_is_measured_beside_bare_imports(tmp_path: Path) -> None:
    out = tmp_path / "start.json"
    done = run("start", "mobilenet_v2", "--runs", "3", "--out", out)
    assert done.exit_code == 0, done.output
    bare, ours = json.loads(out.read_text())["rows"]
    assert bare["model"].startswith("import cv2") and bare["ratio"] == 1
    assert ours["ratio"] == pytest.approx(ours["ms"]["p50"] / bare["ms"]["p50"], abs=1e-3)


# --- report ------------------------------------------------------------------------------------------------------


def test_a_report_needs_nothing_but_itself(tiny: Path, synthetic_csv: Path, tmp_path: Path) -> None:
    """Tables, pictures and the commands of real results, in one file that loads nothing."""
    made = [
        ("accuracy", tiny, "--data", synthetic_csv),
        ("latency", tiny, "--threads", "1", "--runs", "10", "--warmup", "1"),
        ("pipeline", "--faces", "1", "--sizes", "320x240", "--frames", "6"),
    ]
    paths = [tmp_path / f"{words[0]}.json" for words in made]
    for words, path in zip(made, paths, strict=True):
        assert run(*words, "--out", path).exit_code == 0
    done = run("report", *paths, "--out", tmp_path / "report.html")
    assert done.exit_code == 0, done.output
    page = (tmp_path / "report.html").read_text()
    assert page.count("<table>") == 4 and page.count("src='data:image/png;base64,") == 3
    assert "fer-edge bench pipeline --faces 1" in page
    assert not re.search(r"(src|href)=.?http", page) and "<script" not in page


# --- tables ------------------------------------------------------------------------------------------------------


def result(kind: str = "accuracy", **changes: object) -> dict[str, Any]:
    about = {"model": None, "cpu": "Some CPU", "cores": 4, "os": "Some OS", "python": "3.11.2"}
    about |= {"packages": {"ai-edge-litert": "9.9", "numpy": "2.0"}, "date": "2020-02-02T00:00:00+00:00"}
    row = {
        "model": "m",
        "runtime": "LiteRT 9.9",
        "bytes": 3 * 2**20,
        "flip": False,
        "invocations": 1,
        "confusion": (10 * np.eye(7, dtype=int) + np.eye(7, k=-1, dtype=int)).tolist(),
        "per_class": {name: {"recall": 0.25} for name in EMOTIONS},
        "accuracy": 0.5,
        "balanced_accuracy": 0.25,
        "ece": 0.125,
    }
    data = {"name": "fer.csv", "split": "val", "pictures": 4}
    return {"kind": kind, "command": "", "machine": about, "data": data, "rows": [row], **changes}


def test_accuracy_table(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(result()))
    assert table.tables([path])["accuracy"].splitlines() == [
        "fer.csv, split `val`, 4 pictures; Some CPU, 4 cores, Some OS, Python 3.11.2, ai-edge-litert 9.9, 2020-02-02.",
        "",
        "| model | runtime | files | invocations | accuracy | balanced | calibration error |",
        "|---|--:|--:|--:|--:|--:|--:|",
        "| m | LiteRT 9.9 | 3.0 MiB | 1 | 50.00 % | 25.00 % | 0.125 |",
    ]


def test_recall_table_counts_what_goes_wrong() -> None:
    """Of 11 fears none is taken for surprise; of 11 surprises none for fear; 11 are neutral and 10 are called so."""
    row = result()["rows"][0]
    row["confusion"][EMOTIONS.index("surprise")][EMOTIONS.index("fear")] = 11  # now half of 22
    last = table._recall(result(rows=[row])).splitlines()[-1]
    assert last == "| m |" + " 25.0 % |" * 7 + " 0.91 | 0.0 % | 50.0 % |"


def test_a_measured_latency_becomes_a_table(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "latency.json"
    assert run("latency", tiny, "--threads", "1", "--runs", "10", "--warmup", "1", "--out", out).exit_code == 0
    done = run("table", out)
    assert done.exit_code == 0, done.output
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("| tiny")]
    assert line.count("|") == done.stdout.splitlines()[2].count("|")


def test_write_replaces_only_what_is_between_the_markers(tmp_path: Path) -> None:
    page, path = tmp_path / "README.md", tmp_path / "a.json"
    page.write_text(
        "before\n<!-- table:accuracy -->\nold\n<!-- /table -->\nafter\n<!-- table:latency -->\nx\n<!-- /table -->\n"
    )
    path.write_text(json.dumps(result()))
    for _ in range(2):  # the second time changes nothing
        done = run("table", path, "--write", page)
        assert done.exit_code == 0, done.output
        text = page.read_text()
        assert text.startswith("before\n<!-- table:accuracy -->\nfer.csv")
        assert text.endswith("|\n<!-- /table -->\nafter\n<!-- table:latency -->\nx\n<!-- /table -->\n")
        assert "old" not in text


def test_a_page_without_markers_is_left_alone(tmp_path: Path) -> None:
    page, path = tmp_path / "README.md", tmp_path / "a.json"
    page.write_text("no table here\n")
    path.write_text(json.dumps(result()))
    done = run("table", path, "--write", page)
    assert done.exit_code == 2
    assert "table:" in done.stderr
    assert page.read_text() == "no table here\n"


@pytest.mark.parametrize("content", ["", "[]", "{}", "not JSON"])
def test_what_is_no_result_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    done = run("table", path)
    assert done.exit_code == 2
    assert str(path) in done.stderr


def test_a_failed_write_keeps_the_old_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    monkeypatch.setattr(record, "command_line", str)
    with pytest.raises(record.FerEdgeError, match="No space left"):
        record.write("accuracy", {"rows": []}, path)
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["a.json"]


def test_the_readmes_tables_are_what_the_result_files_give() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    rendered = table.tables(sorted(record.RESULTS.glob("*.json")))
    assert table.insert(readme, rendered) == readme, "run: fer-edge bench table --write README.md"
    for kind, body in re.findall(r"<!-- table:([a-z-]+) -->\n(.*?)<!-- /table -->", readme, re.DOTALL):
        assert kind in rendered or not body.strip(), f"the README has a {kind} table without a result file"


def test_results_are_of_the_shipped_files() -> None:
    for path in record.RESULTS.glob("*.json"):
        for row in record.read(path).get("rows", []):
            for name, digest in row.get("sha256", {}).items():
                if (FOLDER / name).exists():  # others were measured beside the shipped ones
                    assert sha256(FOLDER / name) == digest, f"{path.name} has another {name}: run its command again"


def test_bench_lists_only_commands_that_exist() -> None:
    from fer_edge.benchmarks.cli import COMMANDS, bench

    context = click.Context(bench)
    listed = bench.list_commands(context)
    assert set(listed) <= set(COMMANDS)
    assert all(isinstance(bench.get_command(context, name), click.Command) for name in listed)
    assert bench.get_command(context, "nonsense") is None
