"""Result files: comparison, report, tables, and whether they match the shipped files."""

from __future__ import annotations

import json
import os
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from measuring import result, run
from predictions import CLASSES

from fer_edge.benchmarks import compare, options, report, report_figures, table
from fer_edge.benchmarks.results_io import record
from fer_edge.benchmarks.results_io.record import RESULTS
from fer_edge.benchmarks.results_io.tables import accuracy
from fer_edge.benchmarks.results_io.tables.summary import summary
from fer_edge.edge.cli import main
from fer_edge.edge.tflite.card import ModelCard, sha256
from fer_edge.models import FOLDER
from fer_edge.train.evaluation.intervals import ratio_interval
from fer_edge.train.evaluation.row_sets import CLEAN

ROOT = FOLDER.parent

# --- compare -----------------------------------------------------------------------------------------------------


def test_compare_pairs_accuracy_by_picture(tmp_path: Path) -> None:
    paths = [tmp_path / "old.json", tmp_path / "new.json"]
    for path, right in zip(paths, ("1" * 60 + "0" * 40, "0" * 5 + "1" * 75 + "0" * 20), strict=True):
        stored = result()
        stored["rows"][0] |= {"correct": right, "predictions": "3" + right[1:], "accuracy": right.count("1") / 100}
        path.write_text(json.dumps(stored))
    done = run("compare", *paths)
    assert done.exit_code == 0, done.output
    assert "+15.00 [" in done.stdout and "20 gained, 5 lost, p = 0.004, 76.00 % same predictions" in done.stdout
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
        ("a.json", "repeat the measurement"),
    ):
        done = run("compare", tmp_path / "a.json", tmp_path / name)
        assert done.exit_code == 2 and expected in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(("gained", "lost", "expected"), [(0, 0, 1.0), (5, 5, 1.0), (10, 0, 2 / 1024), (0, 1, 1.0)])
def test_sign_test(gained: int, lost: int, expected: float) -> None:
    assert compare.sign_test(gained, lost) == pytest.approx(expected)


def test_shared_rounds_are_resampled_together() -> None:
    """A machine that slows down by half slows both: their ratio is as sure as ever, unless they took other turns."""
    drifting = np.linspace(1, 1.5, 10)
    assert ratio_interval(2 * drifting, drifting, paired=True) == (2, 2)
    low, high = ratio_interval(2 * drifting, drifting, paired=False)
    assert low < 1.9 and high > 2.1
    low, high = ratio_interval(drifting, np.ones(10), paired=True, average=np.mean)
    half = 1.96 * drifting.std() / np.sqrt(10)
    assert (high - low) / 2 == pytest.approx(half, rel=0.1)


# --- report ------------------------------------------------------------------------------------------------------


def test_a_report_is_self_contained(tiny: Path, synthetic_csv: Path, tmp_path: Path) -> None:
    """Tables, figures and commands of real results, in one file that loads nothing else."""
    commands = [
        ("accuracy", tiny, "--data", synthetic_csv),
        ("latency", tiny, "--threads", "1", "--runs", "10", "--warmup", "1"),
        ("layers", "mobilenet_v2", "--rounds", "1"),
        ("pipeline", "--faces", "1", "--sizes", "320x240", "--frames", "6", "--minutes", "0.001"),
    ]
    paths = [tmp_path / f"{words[0]}.json" for words in commands]
    for words, path in zip(commands, paths, strict=True):
        assert run(*words, "--out", path).exit_code == 0
    done = run("report", *paths, "--out", tmp_path / "report.html")
    assert done.exit_code == 0, done.output
    page = (tmp_path / "report.html").read_text()
    assert page.count("<table>") == 7 and page.count("src='data:image/png;base64,") == 4
    assert [title for title in report.TITLES if f"<h2 id={title}>" in page] == [
        *("summary", "accuracy", "recall", "latency", "layers", "pipeline", "sustained"),
    ]
    assert "fer-edge bench pipeline --faces 1" in page
    assert not re.search(r"(src|href)=.?http", page) and "<script" not in page


def test_accuracy_and_latency_are_of_one_runtime() -> None:
    slow = {"model": "m", "runtime": "tflite-runtime 2.14.0", "threads": 1, "classifier": {"p50": 60.0}}
    fast = slow | {"runtime": "LiteRT 9.9", "classifier": {"p50": 4.0}}
    for rows in ([fast, slow], [slow, fast]):
        assert report_figures.accuracy_and_latency([result(), result("latency", rows=rows)]) == {"m": (4.0, 50.0)}


# --- tables ------------------------------------------------------------------------------------------------------


def test_accuracy_table(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(result()))
    assert table.tables([path])["accuracy"].splitlines() == [
        "fer.csv, split `val`, 4 pictures; Some CPU, 4 cores, Some OS, Python 3.11.2, ai-edge-litert 9.9, 2020-02-02.",
        "",
        "| model | runtime | file size | invocations | accuracy, % | balanced accuracy, % | calibration error |",
        "|---|--:|--:|--:|--:|--:|--:|",
        "| m | LiteRT 9.9 | 3.0 MiB | 1 | 50.00 | 25.00 | 0.125 |",
    ]


def test_recall_table_counts_confusions() -> None:
    """Of 11 fears none is taken for surprise; of 11 surprises none for fear; 11 are neutral and 10 are called so."""
    row = result()["rows"][0]
    row["confusion"][CLASSES.index("surprise")][CLASSES.index("fear")] = 11  # now half of 22
    last = accuracy.recall(result(rows=[row])).splitlines()[-1]
    assert last == "| m |" + " 25.0 % |" * 7 + " 0.91 | 0.0 % | 50.0 % |"


def test_cost_of_int8_is_read_from_the_cards() -> None:
    """Three rows a network; a line above of the machine, once where it is the same for all."""
    figures = {"accuracy": 0.7, "balanced_accuracy": 0.6, "ece": 0.05}
    host = result()["machine"]
    accuracy_of_card = {
        "split": "val",
        "pictures": 9,
        "machine": host,
        "float": figures,
        "post_training": figures | {"agreement": 0.9},
    }
    runtimes = {"LiteRT 9.9, 1 thread": figures | {"accuracy": 0.71, "agreement": 0.95}, "tflite-runtime": "not run"}
    accuracy_of_card["runtimes"] = runtimes
    cards = [ModelCard("x", name, "0", CLASSES, accuracy=accuracy_of_card) for name in ("a", "b")]
    lines = accuracy.quantization(cards).splitlines()
    assert lines[0] == (
        "LiteRT 9.9, split `val`, 9 pictures; "
        "Some CPU, 4 cores, Some OS, Python 3.11.2, ai-edge-litert 9.9, 2020-02-02."
    )
    assert lines[4:7] == [
        "| a, float | 70.00 % | 60.00 % | 0.050 | – |",
        "| a, int8, post-training | 70.00 % | 60.00 % | 0.050 | 90.0 % |",
        "| a, int8, fine-tuned | 71.00 % | 60.00 % | 0.050 | 95.0 % |",
    ]
    assert len(lines) == 10


def test_a_measured_latency_becomes_a_table(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "latency.json"
    assert run("latency", tiny, "--threads", "1", "--runs", "10", "--warmup", "1", "--out", out).exit_code == 0
    done = run("table", out)
    assert done.exit_code == 0, done.output
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("| tiny")]
    assert " | 1.00 | " in line  # beside itself, without an interval
    assert line.count("|") == done.stdout.splitlines()[2].count("|")


def test_summary_puts_accuracy_size_and_speed_of_a_model_side_by_side() -> None:
    """fer takes 60 ms for a frame, m 20: three times as long, in every round."""
    latency = {"model": "m", "runtime": "LiteRT 9.9", "threads": 1, "classifier": {"p50": 1.25}}
    peers = [
        {"name": name, "package": "fer==1, x", "accuracy": 0.4, "classifier": {"p50": 0.5}}
        | {"frame": {"mean": mean}, "rounds": [mean] * 3}
        for name, mean in (("fer", 60.0), ("m", 20.0))
    ]
    alone = [result(), result("latency", rows=[latency, latency | {"threads": 2}])]
    assert "| m | 50.00 | 3.0 | 1.25 |\n" in summary(alone)  # without the columns that nothing fills
    lines = summary([*alone, result("peers", rows=peers)]).splitlines()
    assert lines[4:6] == [
        "| m | 50.00 | 3.0 | 1.25 | 20.0 | 3.0 |",
        "| fer | 40.00 | – | 0.50 | 60.0 | 1.0 |",
    ]
    assert "`fer==1`: accuracy on the first 4 pictures" in lines[-1]
    assert summary(alone[:1]) == ""
    row = result()["rows"][0] | {"rows": {CLEAN: {"accuracy": 0.4, "intervals": {"accuracy": [0.35, 0.45]}}}}
    clean = summary([result(rows=[row]), *alone[1:]])
    assert "| m | 50.00 | 40.00 (35.0–45.0) | 3.0 |" in clean and "not in Training" in clean
    assert "| 50.00 | 40.00 (35.0–45.0) | 25.00 |" in accuracy.accuracy(result(rows=[row]))


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


@pytest.mark.faults
def test_no_result_or_page_is_overwritten_by_another_output(tmp_path: Path, synthetic_csv: Path) -> None:
    path, data, link = tmp_path / "a.json", tmp_path / "fer.csv", tmp_path / "link"
    path.write_text(json.dumps(result()))
    data.write_bytes(synthetic_csv.read_bytes())
    link.symlink_to(path)
    before = {each: each.read_bytes() for each in tmp_path.iterdir()}
    for words in (
        ("report", path, "--out", link),
        ("report", "--out", tmp_path / "." / "a.json", path),
        ("table", "--write", path, path),
        ("robustness", "mobilenet_v2", "--data", data, "--out", data),
        ("robustness", "mobilenet_v2", "--data", data, "--plot", data),
        ("robustness", "mobilenet_v2", "--out", tmp_path / "x", "--data", data, "--plot", tmp_path / "x"),
    ):
        done = run(*words)
        assert done.exit_code == 2 and done.stderr.startswith("fer-edge: --"), done.stderr
        assert done.stderr.endswith("give another name\n") and done.stderr.count("\n") == 1
    assert {each: each.read_bytes() for each in tmp_path.iterdir()} == before


@pytest.mark.faults
@pytest.mark.parametrize("option", ["--out", "--plot"])
def test_an_output_that_cannot_be_written_is_refused_before_the_work(option: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for path in (file / "x", file / "new" / "x"):
        done = run("stability", "--data", tmp_path / "missing.csv", option, path)
        assert done.exit_code == 2 and done.stderr.startswith(f"fer-edge: {path} cannot be written: "), done.stderr
    done = run("stability", "--data", tmp_path / "missing.csv", option, tmp_path / "new" / "folder" / "x")
    assert "missing.csv" in done.stderr, "a missing folder is made"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


@pytest.mark.faults
def test_so_is_a_default_folder_of_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "results").touch()
    monkeypatch.setattr(options, "RESULTS", tmp_path / "results")
    done = run("stability", "--data", tmp_path / "missing.csv")
    assert done.exit_code == 2 and f"{tmp_path / 'results'} is not a writable folder" in done.stderr


def test_a_page_without_markers_is_left_alone(tmp_path: Path) -> None:
    page, path = tmp_path / "README.md", tmp_path / "a.json"
    page.write_text("no table here\n")
    path.write_text(json.dumps(result()))
    done = run("table", path, "--write", page)
    assert done.exit_code == 2
    assert "table:" in done.stderr
    assert page.read_text() == "no table here\n"


@pytest.mark.parametrize("content", ["", "[]", "{}", "not JSON", '{"kind": "accuracy", "machine": {}, "rows": []}'])
def test_an_invalid_result_file_is_refused(content: str, tmp_path: Path) -> None:
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


@pytest.mark.parametrize("page", ["README.md", "docs/benchmarks.md", "docs/reliability.md", "docs/scale.md"])
def test_published_tables_are_what_the_result_files_give(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    rendered = table.published()
    assert table.insert(text, rendered) == text, f"run: fer-edge bench table --write {page}"
    for kind, body in re.findall(r"<!-- table:([a-z-]+) -->\n(.*?)<!-- /table -->", text, re.DOTALL):
        assert kind in rendered or not body.strip(), f"{page} has a {kind} table without a result file"


@pytest.mark.slow
def test_results_are_of_the_shipped_files() -> None:
    for path in record.RESULTS.glob("*.json"):
        stored = record.read(path)
        for row in (stored, *stored["rows"]):
            for name, digest in row.get("sha256", {}).items():
                if (FOLDER / name).exists():  # others were measured beside the shipped ones, and have a folder's name
                    assert sha256(FOLDER / name) == digest, f"{path.name} has another {name}: run its command again"


def test_identity_of_an_ensemble_includes_its_fusion(tmp_path: Path) -> None:
    for path in (FOLDER / name for name in (*record.identity("ensemble")["sha256"], "mobilenet_v2_int8.json")):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    for card in FOLDER.glob("*_int8.json"):
        (tmp_path / card.name).write_bytes(card.read_bytes())
    changed = tmp_path / "ensemble.json"
    before = record.identity(str(changed))["sha256"]
    changed.write_text(json.dumps(json.loads(changed.read_text()) | {"temperature": 2.0}))
    after = record.identity(str(changed))["sha256"]
    assert {name for name in before if before[name] != after[name]} == {str(changed)}


@pytest.mark.faults
@pytest.mark.parametrize("name", sorted(path.name for path in RESULTS.glob("*.json")))
def test_a_result_file_with_anything_in_it_costs_one_line(name: str, tmp_path: Path) -> None:
    """One value of the first row becomes something else, or is gone: a table, or one short line."""
    whole = json.loads((RESULTS / name).read_text("utf-8"))
    path = tmp_path / name
    rng = random.Random(name)
    for index in range(24):
        changed = json.loads(json.dumps(whole))
        table: Any = changed
        keys = [rng.choice(("rows", "data", "machine"))]
        while isinstance(table.get(keys[-1]), dict | list) and len(keys) < 4:
            table = table[keys[-1]]
            if isinstance(table, list):
                table = table[0] if table and isinstance(table[0], dict) else {}
            keys.append(rng.choice([*table, "missing"]))
        if index % 3:
            table[keys[-1]] = rng.choice((None, 5, "x" * 3000, [], {}, [[1]], True))
        else:
            table.pop(keys[-1], None)
        path.write_text(json.dumps(changed))
        for words in (["table", path], ["compare", RESULTS / name, path]):
            done = CliRunner().invoke(main, ["bench", *map(str, words)])
            assert done.exit_code == 0 or (done.exit_code == 2 and len(done.stderr.splitlines()[-1]) < 900), done.output
