"""The benchmarks of models: accuracy, latency and the machine's facts, on a real (tiny) TFLite model."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click
import cv2
import numpy as np
import pytest
from measuring import run

from fer_edge.benchmarks import latency, timing
from fer_edge.benchmarks.results_io import machine, record
from fer_edge.edge.expression.scores import softmax
from fer_edge.edge.preprocess import INPUT_SIZE, network_input
from fer_edge.edge.tflite.card import sha256
from fer_edge.train.data.loading import load

ROOT = Path(record.__file__).resolve().parents[2]

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
    assert row["sha256"] == {str(tiny): sha256(tiny)}
    assert result["before"].keys() == result["after"].keys() == machine.condition().keys()
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


def test_another_environment_does_not_measure_yet_another_one(
    tiny: Path, synthetic_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes from the environment or the file here must not come a second time there, --python least of all."""
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\nenv > {tmp_path}/environment\necho $* > {tmp_path}/words\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setenv("FER_EDGE_BENCH_ACCURACY_PYTHON", str(python))
    assert run("accuracy", tiny, "--data", synthetic_csv, "--out", tmp_path / "accuracy.json").exit_code == 2
    assert "FER_EDGE_BENCH" not in (tmp_path / "environment").read_text()
    assert f"--config {os.devnull} bench accuracy" in (tmp_path / "words").read_text()


def test_a_missing_model_is_one_line(synthetic_csv: Path) -> None:
    done = run("accuracy", "no/such.tflite", "--data", synthetic_csv)
    assert done.exit_code == 2
    assert "no/such.tflite" in done.stderr


# --- latency -----------------------------------------------------------------------------------------------------


def test_latency_reports_each_phase(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "latency.json"
    done = run("latency", tiny, tiny, "--threads", "1,2", "--runs", "23", "--warmup", "2", "--out", out)
    assert done.exit_code == 0, done.output
    rows = json.loads(out.read_text())["rows"]
    assert [row["threads"] for row in rows] == [1, 1, 2, 2]
    for row in rows:
        ms = row["classifier"]
        assert 0 < ms["min"] <= ms["p50"] <= ms["p90"] <= ms["p99"]
        assert row["open"] > 0
        assert row["first"] > 0
        assert row["peak_mib"] > 0
        assert [row[name]["count"] for name in ("classifier", "invoke")] == [23, 23]
        assert {name: each["count"] for name, each in row["warmup"].items()} == {"classifier": 2, "invoke": 2}
        low, high = row["ratio_interval"]
        assert low <= high
    for first, second in ((0, 1), (2, 3)):
        assert rows[first]["ratio"] == 1 and rows[first]["ratio_interval"] == [1, 1]
        expected = rows[second]["classifier"]["p50"] / rows[first]["classifier"]["p50"]
        assert rows[second]["ratio"] == pytest.approx(expected, abs=5e-4)  # rounded to three digits


def test_latency_of_a_whole_frame_includes_detection(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "latency.json"
    portrait = ROOT / "benchmarks" / "astronaut.jpg"
    done = run("latency", tiny, "--threads", "1", "--runs", "10", "--warmup", "1", "--picture", portrait, "--out", out)
    assert done.exit_code == 0, done.output
    (row,) = json.loads(out.read_text())["rows"]
    assert row["frame"]["p50"] > row["classifier"]["p50"] > row["invoke"]["p50"]


def test_latency_with_a_delegate_is_measured_beside_the_interpreter(delegate: Path, tmp_path: Path) -> None:
    out = tmp_path / "latency.json"
    words = ["mobilenet_v2", "--threads", "1", "--runs", "10", "--warmup", "1", "--delegate", delegate, "--out", out]
    done = run("latency", *words)
    assert done.exit_code == 0, done.output
    plain, delegated = json.loads(out.read_text())["rows"]
    assert "placement" not in plain and plain["ratio"] == 1
    assert delegated["placement"] == "10 of 72 operators on libclaiming.so, 62 on XNNPACK" in done.stdout
    assert delegated["model"] == plain["model"] and delegated["ratio"] > 0


@pytest.mark.parametrize("pixels", [None, 127])
def test_a_picture_without_a_face_is_one_line(pixels: int | None, tiny: Path, tmp_path: Path) -> None:
    picture, out = tmp_path / "empty.png", tmp_path / "latency.json"
    if pixels is not None:
        cv2.imwrite(str(picture), np.full((240, 320, 3), pixels, np.uint8))
    done = run("latency", tiny, "--threads", "1", "--runs", "10", "--warmup", "1", "--picture", picture, "--out", out)
    assert done.exit_code == 2
    assert "expected a picture of one face" in done.stderr.splitlines()[-1]
    assert not out.exists()


def test_latency_is_measured_on_one_to_four_threads(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for cores, threads in ((1, [1]), (3, [1, 2, 3]), (16, [1, 2, 3, 4])):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        done = run("latency", tiny, "--runs", "10", "--warmup", "1", "--out", tmp_path / "latency.json")
        assert done.exit_code == 0, done.output
        assert [row["threads"] for row in json.loads((tmp_path / "latency.json").read_text())["rows"]] == threads


@pytest.mark.parametrize("threads", ["0", "1,", "two", "1,-2", "1,99999"])
def test_latency_refuses_invalid_thread_counts(threads: str, tiny: Path) -> None:
    done = run("latency", tiny, "--threads", threads)
    assert done.exit_code == 2
    assert "whole numbers from 1 to 64" in done.stderr


def test_peak_memory_is_that_of_the_new_process(tiny: Path) -> None:
    ballast = np.ones(16 * 2**20, np.uint8)  # 16 MiB that a child would inherit as ru_maxrss
    small = latency.in_new_process(str(tiny), 1)["peak_mib"]
    ballast = np.ones(192 * 2**20, np.uint8)
    big = latency.in_new_process(str(tiny), 1)["peak_mib"]
    del ballast
    assert abs(big - small) < 64


def test_summary_is_exact_on_a_known_series() -> None:
    series = np.arange(101.0)[::-1]
    spread = {"std": 29.1548, "min": 0.0, "max": 100.0, "count": 101}  # √((101² - 1) / 12)
    assert timing.summary(series) == {"p50": 50.0, "p90": 90.0, "p99": 99.0, "mean": 50.0, **spread}


def test_the_recorded_command_line_has_what_came_from_the_environment(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "latency.json"
    for name, value in {"THREADS": "1,2", "WARMUP": "1", "RUNS": "12"}.items():
        monkeypatch.setenv(f"FER_EDGE_BENCH_LATENCY_{name}", value)
    done = run("latency", tiny, "--runs", "10", "--out", out)
    assert done.exit_code == 0, done.output
    command = json.loads(out.read_text())["command"]
    assert command == f"fer-edge bench latency {tiny} --runs 10 --out {out} --threads 1,2 --warmup 1"


def test_timed_counts_its_calls() -> None:
    calls: list[int] = []
    times = timing.timed(lambda: calls.append(1), 5)
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
    facts = machine.facts(raspberry)
    assert facts["model"] == "Raspberry Pi 4 Model B Rev 1.4"
    assert facts["cpu"] == "Cortex-A72"
    assert facts["memory_mib"] == 3884360 // 1024
    assert facts["os"] == "Debian GNU/Linux 12 (bookworm)"
    assert (facts["governor"], facts["mhz"], facts["max_mhz"]) == ("ondemand", 600.0, 1800.0)
    assert (facts["celsius"], facts["load"]) == (48.7, 0.52)
    assert record.slug(facts["model"]) == "raspberry-pi-4-model-b-rev-1-4"
    assert record.slug("Intel(R) Core(TM) i7-9999") == "intel-core-i7-9999"


def test_without_a_governor_the_frequency_is_that_of_cpuinfo(raspberry: Path) -> None:
    (raspberry / "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq").unlink()
    (raspberry / "proc/cpuinfo").write_text(
        "processor\t: 0\ncpu MHz\t\t: 2000.25\n\nprocessor\t: 1\ncpu MHz\t\t: 3000\n"
    )
    assert machine.condition(raspberry)["mhz"] == 2500.1


def test_facts_of_a_machine_without_sensors(tmp_path: Path) -> None:
    facts = machine.facts(tmp_path)
    assert facts["model"] is None
    assert facts["celsius"] is None
    assert facts["python"]
    json.dumps(facts)


# --- the commands ------------------------------------------------------------------------------------------------


def test_bench_lists_only_commands_that_exist() -> None:
    from fer_edge.benchmarks.cli import COMMANDS, bench

    context = click.Context(bench)
    listed = bench.list_commands(context)
    assert set(listed) <= set(COMMANDS)
    assert all(isinstance(bench.get_command(context, name), click.Command) for name in listed)
    assert bench.get_command(context, "nonsense") is None
