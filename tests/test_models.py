"""Cards, quantization, classifiers and ensembles, on the shipped files and on damaged copies of them."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fer_edge.edge.card import ModelCard, card_path, checked_card, write_card
from fer_edge.edge.catalog import shipped
from fer_edge.edge.classifier import TFLiteClassifier
from fer_edge.edge.cli import main
from fer_edge.edge.detector import VARIANTS
from fer_edge.edge.ensemble import NAMES, EnsembleConfig, open_classifier, read_ensemble, share_out, write_ensemble
from fer_edge.edge.errors import ModelError
from fer_edge.edge.interpreter import Tensor, open_interpreter, runtime
from fer_edge.edge.preprocess import network_input
from fer_edge.edge.quantize import dequantize, gray_table, quantize
from fer_edge.edge.scores import fuse
from fer_edge.models import FOLDER
from fer_edge.train.calibration import (
    even_weights,
    fit_prior,
    fit_temperature,
    fit_weights,
    held_out,
    parts,
    rare_class_offsets,
)
from fer_edge.train.evaluation import collect

PORTRAIT = str(FOLDER.parent / "benchmarks" / "astronaut.jpg")
INT8 = Tensor("x", 0, (1,), np.dtype(np.int8), 0.0078, -1)
LOGITS = arrays(np.float32, (2, 5, 7), elements=st.floats(-20, 20, width=32))


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    for file in (*FOLDER.glob("*.tflite"), *FOLDER.glob("*.json")):
        shutil.copy(file, tmp_path)
    return tmp_path


def faces(count: int = 6) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 48, 48), np.uint8)


def test_three_int8_files_are_shipped_and_small() -> None:
    assert [path.name for path in shipped()] == sorted(f"{name}_int8.tflite" for name in NAMES)
    assert sum(path.stat().st_size for path in shipped()) < 16e6
    for path in shipped():
        card, model = checked_card(path), open_interpreter(path)
        assert card.quantization == "int8" and model.inputs[0].dtype == model.outputs[0].dtype == np.int8
        assert model.outputs[0].shape == (1, 7)
        assert model.xnnpack == runtime().xnnpack


@pytest.mark.parametrize("name", NAMES)
def test_a_card_says_what_its_model_is_for_and_what_not(name: str) -> None:
    stored = json.loads(card_path(FOLDER / f"{name}_int8.tflite").read_text("utf-8"))
    assert (stored["intended_use"], stored["limits"]) == (ModelCard.intended_use, ModelCard.limits)
    shown = json.loads(CliRunner().invoke(main, ["models", "show", name]).stdout)
    assert "Not for decisions about people" in shown["intended_use"]
    assert all(each in shown["limits"] for each in ("ethnic groups", "unmeasured", "2024/1689, Art. 5(1)(f)"))


def test_ensemble_is_the_members_fused() -> None:
    config = read_ensemble(FOLDER / "ensemble.json")
    logits = np.stack([TFLiteClassifier(FOLDER / name).logits(faces()) for name in config.members])
    scores = open_classifier("ensemble")(faces())
    assert np.allclose(scores, fuse(logits, np.array(config.weights), config.temperature, config.offsets), atol=1e-6)
    assert scores.dtype == np.float32 and np.allclose(scores.sum(axis=1), 1, atol=1e-5)
    assert open_classifier("ensemble")(faces(0)).shape == (0, 7)


def test_views_are_collected_face_by_face_in_order() -> None:
    def first_column(crops: np.ndarray) -> np.ndarray:
        return crops[:, :7, 0].astype(np.float32)

    many = faces(600)  # more than are asked about in one go
    plain, mirrored = collect(first_column, many, flip=True)
    assert np.array_equal(plain, many[:, :7, 0]) and np.array_equal(mirrored, many[:, :7, -1])


def test_threads_change_nothing() -> None:
    for name in ("mobilenet_v2", "ensemble"):
        one, *more = (open_classifier(name, threads)(faces()) for threads in (1, 2, 3, 5))
        assert all(np.array_equal(one, other) for other in more), name


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(1, 7))
def test_lanes_share_the_members_out(costs: list[int], threads: int) -> None:
    lanes = share_out(costs, threads)
    assert len(lanes) == min(threads, len(costs)) and all(lanes)
    assert sorted(member for lane in lanes for member in lane) == list(range(len(costs)))
    loads = [sum(costs[member] for member in lane) for lane in lanes]
    assert max(loads) <= sum(costs) / len(lanes) + max(costs)


def test_lookup_equals_quantizing_the_network_input() -> None:
    model = TFLiteClassifier(FOLDER / "mobilenet_v2_int8.tflite")
    _, side, _, channels = model._input.shape
    expected = quantize(network_input(faces(1), side, channels), model._input)
    (logits,) = model._interpreter.run(expected)
    assert np.array_equal(dequantize(logits[0], model._output), model.logits(faces(1))[0])


@given(arrays(np.float32, 20, elements=st.floats(-0.96875, 0.96875, width=32)))
def test_quantization_is_off_by_half_a_step_at_most(real: np.ndarray) -> None:
    assert np.abs(dequantize(quantize(real, INT8), INT8) - real).max() <= INT8.scale / 2 + 1e-6


@given(arrays(np.float32, 20, elements=st.floats(-1e6, 1e6, width=32)))
def test_quantization_clips(real: np.ndarray) -> None:
    integers = quantize(real, INT8)
    assert integers.dtype == np.int8 and np.all(integers[real > 1] == 127) and np.all(integers[real < -1] == -128)


def test_gray_table_is_monotonic_and_spans_the_range() -> None:
    table = gray_table(INT8)
    assert table.shape == (256,) and np.all(np.diff(table.astype(int)) >= 0) and table[0] < -120 and table[-1] > 120


@given(LOGITS, st.floats(0.25, 4))
def test_fused_scores_are_probabilities(logits: np.ndarray, temperature: float) -> None:
    scores = fuse(logits, np.array([0.25, 0.75]), temperature)
    assert scores.shape == (5, 7) and np.allclose(scores.sum(axis=1), 1, atol=1e-5) and scores.min() >= 0


@given(LOGITS)
def test_rare_classes_gain_by_their_frequency(logits: np.ndarray) -> None:
    counts = np.array([1000, 10, 1000, 1000, 1000, 1000, 1000])
    even = np.full(len(logits), 1 / len(logits))
    plain, favoured = (fuse(logits, even, 1.0, rare_class_offsets(counts, strength)) for strength in (0, 0.5))
    assert np.allclose(plain, fuse(logits, even, 1.0))
    assert np.all(favoured[:, 1] >= plain[:, 1]) and np.allclose(favoured.sum(axis=1), 1, atol=1e-5)
    odds = rare_class_offsets(counts, 0.5)
    assert odds[1] - odds[0] == pytest.approx(np.log(10), abs=1e-4) and sum(odds) == pytest.approx(0, abs=1e-4)


def drawn(members: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """(M, 4000, 7) logits and labels drawn from what they say, fused."""
    rng = np.random.default_rng(4)
    logits = rng.normal(0, 2, (members, 4000, 7)).astype(np.float32)
    shares = fuse(logits, np.full(members, 1 / members), 1.0)
    return logits, (shares.cumsum(axis=1) > rng.random((4000, 1))).argmax(axis=1)


def test_fitted_temperature_undoes_a_known_one() -> None:
    logits, labels = drawn()
    _, temperature = fit_temperature(logits * 3, labels, np.ones(1, np.float32))
    assert temperature == pytest.approx(3, rel=0.1)


def test_a_fitted_prior_undoes_a_known_shift_of_the_classes() -> None:
    logits, labels = drawn()
    shift = np.array([0.5, -0.5, 0, 1, -1, 0.25, -0.25], np.float32)
    _, offsets = fit_prior(logits + shift, labels, (1.0,))
    rarest = np.bincount(labels).min()
    assert offsets == pytest.approx(-shift, abs=3 / rarest**0.5)  # three standard errors of that class's share


def test_with_a_fitted_prior_members_say_each_class_as_often_as_it_is_and_are_likelier() -> None:
    logits, labels = drawn(3)
    even = np.full(3, 1 / 3, np.float32)
    skewed = logits + np.linspace(-1, 1, 7, dtype=np.float32)
    temperature, offsets = fit_prior(skewed, labels, even)
    said = fuse(skewed, even, temperature, offsets).mean(axis=0)
    assert said == pytest.approx(np.bincount(labels) / len(labels), abs=0.001)
    assert fit_temperature(skewed, labels, even, offsets)[0] < fit_temperature(skewed, labels, even)[0]


def test_a_class_without_examples_has_a_finite_offset() -> None:
    logits, labels = drawn()
    labels[labels == 1] = 0
    assert np.all(np.isfinite(fit_prior(logits, labels, (1.0,))[1]))


def test_what_is_held_out_is_not_fitted_on() -> None:
    """Labels that are chance: what was fitted to them is likelier on them than on those left out."""
    rng = np.random.default_rng(6)
    logits, labels = rng.normal(0, 1, (1, 300, 7)).astype(np.float32), rng.integers(0, 7, 300)
    temperature, offsets = fit_prior(logits, labels, (1.0,))
    own, other = fuse(logits, np.ones(1), temperature, offsets), held_out(logits, labels, even_weights)
    assert np.allclose(other.sum(axis=1), 1, atol=1e-5)
    assert np.log(own[np.arange(300), labels]).mean() > np.log(other[np.arange(300), labels]).mean()


def test_fitted_weights_prefer_the_member_that_knows() -> None:
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 7, 500)
    knows = rng.normal(0, 1, (500, 7)).astype(np.float32) + 3 * np.eye(7, dtype=np.float32)[labels]
    logits = np.stack([knows, rng.normal(0, 3, (500, 7)).astype(np.float32)])
    assert fit_weights(logits, labels)[0] == 0.9, "the other one keeps the least there is: a cascade may ask it first"


def test_a_held_out_face_is_weighed_without_its_label() -> None:
    logits, labels = drawn(2)
    here = next(parts(len(labels), 5))
    seen: list[int] = []

    def weigh(some: np.ndarray, of: np.ndarray) -> tuple[float, ...]:
        seen.append(len(of))
        return (1.0, 0.0) if np.array_equal(of, labels[~here]) else (0.0, 1.0)

    scores = held_out(logits, labels, weigh)
    alone = held_out(logits[:1], labels, even_weights), held_out(logits[1:], labels, even_weights)
    assert seen == [len(labels) - part.sum() for part in parts(len(labels), 5)]
    assert np.allclose(scores[here], alone[0][here]) and np.allclose(scores[~here], alone[1][~here])


def test_one_flipped_byte_is_one_line(copied: Path) -> None:
    path = copied / "mobilenet_v2_int8.tflite"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    result = CliRunner().invoke(main, ["models", "verify", str(path)])
    assert result.exit_code == 2 and "not the file its card describes" in result.output
    with pytest.raises(ModelError, match="sha256"):
        open_classifier(str(copied / "ensemble.json"))


def test_model_needs_its_card(copied: Path) -> None:
    path = copied / "mobilenet_v2_int8.tflite"
    card = checked_card(path)
    write_card(path, replace(card, labels=tuple(reversed(card.labels))))
    with pytest.raises(ModelError, match="labels"):
        open_classifier(str(path))
    card_path(path).write_text("{")
    with pytest.raises(ModelError, match="cannot be read as a model card"):
        open_classifier(str(path))
    card_path(path).unlink()
    with pytest.raises(ModelError, match="no card"):
        open_classifier(str(path))


@pytest.mark.parametrize(
    "change",
    [
        {"labels": 5},
        {"labels": [1, 2]},
        {"pixel_range": None},
        {"pixel_range": [0, "1"]},
        {"sha256": None},
        {"accuracy": []},
    ],
)
def test_a_card_of_other_kinds_is_one_line(copied: Path, change: dict[str, object]) -> None:
    path = card_path(copied / "mobilenet_v2_int8.tflite")
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ModelError, match=rf"is no model card; expected .*{next(iter(change))}"):
        checked_card(copied / "mobilenet_v2_int8.tflite")


@pytest.mark.parametrize("content", [b"", b"not a model at all", b"\0\0\0\0TFL3" + bytes(64)])
def test_what_is_no_model_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.tflite"
    path.write_bytes(content)
    with pytest.raises(ModelError):
        open_interpreter(path)


def test_unknown_names_are_one_line() -> None:
    for words in (["predict", PORTRAIT, "--model", "resnet"], ["models", "show", "resnet"]):
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 2 and "unknown model 'resnet'; expected" in result.output


@pytest.mark.parametrize(
    "change",
    [
        {"members": []},
        {"weights": [1.0]},
        {"weights": [1, 1, 1]},
        {"weights": [1.5, -0.5, 0]},
        {"weights": [math.nan, 0.5, 0.5]},
        {"temperature": 0},
        {"temperature": "x"},
        {"temperature": math.nan},
        {"temperature": math.inf},
        {"alone": [1.0, 0.0, 1.0]},
        {"alone": [1.0, math.nan, 1.0]},
        {"offsets": [math.inf, *6 * [0]]},
    ],
)
def test_impossible_ensembles_are_refused(copied: Path, change: dict[str, object]) -> None:
    path = copied / "ensemble.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ModelError, match=r"ensemble\.json"):
        read_ensemble(path)


def test_ensemble_file_round_trip(tmp_path: Path) -> None:
    config = EnsembleConfig(("a.tflite", "b.tflite"), (0.4, 0.6), 1.25, (1.1, 0.9), (0.1,) * 7, "val split")
    assert read_ensemble(write_ensemble(tmp_path / "ensemble.json", config)) == config


def test_catalogue_commands() -> None:
    runner = CliRunner()
    listed = json.loads(runner.invoke(main, ["models", "list", "--json"]).stdout)
    assert {card["architecture"] for card in listed} == set(NAMES)
    assert runner.invoke(main, ["models", "verify"]).stdout.count("ok  ") == len(NAMES) + len(VARIANTS)
    assert json.loads(runner.invoke(main, ["models", "show", "se_mobilenet_v2"]).stdout)["labels"][3] == "happy"


def test_ensemble_fit_writes_what_run_reads(copied: Path, synthetic_csv: Path) -> None:
    members = [str(copied / f"{name}_int8.tflite") for name in NAMES]
    words = ["ensemble", "fit", *members, "--data", str(synthetic_csv), "--out"]
    result = CliRunner().invoke(main, [*words, str(copied / "ensemble.json")])
    assert result.exit_code == 0, result.output
    assert open_classifier(str(copied / "ensemble.json"))(faces()).shape == (6, 7)
    elsewhere = CliRunner().invoke(main, [*words, str(copied / "other" / "ensemble.json")])
    assert elsewhere.exit_code == 2 and "does not lie beside" in elsewhere.output


def test_what_others_say_while_a_model_opens_is_not_lost() -> None:
    """Its own notices are; the network of a detector opens while a run is under way."""
    program = f"""
import os, threading
from fer_edge.edge.interpreter import open_interpreter
opened = threading.Event()
def talk():
    count = 0
    while not opened.is_set() or count < 200:
        os.write(2, b"line %d\\n" % count)
        count += 1
    print(count)
talking = threading.Thread(target=talk)
talking.start()
for _ in range(5):
    open_interpreter({str(FOLDER / "mobilenet_v2_int8.tflite")!r})
opened.set()
talking.join()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stderr.splitlines()) == sorted(f"line {count}" for count in range(int(done.stdout)))


LATE = """
import os
from fer_edge.edge.interpreter import _quiet_stderr
with _quiet_stderr():
    under_way = os.dup(2)  # what a write holds that another thread has begun
os.write(under_way, b"late\\n")
"""

AT_ONCE = f"""
import os, threading
from fer_edge.edge.interpreter import open_interpreter
def open_some():
    for _ in range(20):
        open_interpreter({str(FOLDER / "mobilenet_v2_int8.tflite")!r})
threads = [threading.Thread(target=open_some) for _ in range(4)]
for each in threads: each.start()
for each in threads: each.join()
os.write(2, b"late\\n")
"""


@pytest.mark.parametrize("program", [LATE, AT_ONCE], ids=["a write under way", "models that open at once"])
def test_stderr_is_not_lost_to(program: str) -> None:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "late\n")
