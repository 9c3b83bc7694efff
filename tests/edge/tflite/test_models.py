"""Cards, quantization, classifiers and ensembles, on the shipped files and on damaged copies of them."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fer_edge.edge.cli import main
from fer_edge.edge.errors import ModelError
from fer_edge.edge.expression.classifier import TFLiteClassifier
from fer_edge.edge.expression.ensemble import balanced_groups, open_classifier
from fer_edge.edge.expression.ensemble_config import EnsembleConfig, read_ensemble, write_ensemble
from fer_edge.edge.expression.model_spec import MODEL_NAMES, shipped_models
from fer_edge.edge.expression.scores import fuse
from fer_edge.edge.faces.detector import VARIANTS
from fer_edge.edge.preprocess import network_input
from fer_edge.edge.tflite.card import ModelCard, card_path, checked_card, write_card
from fer_edge.edge.tflite.interpreter import Tensor, open_interpreter, runtime
from fer_edge.edge.tflite.quantize import dequantize, gray_table, quantize
from fer_edge.models import FOLDER
from fer_edge.train.evaluation.predictions import collect_logits

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
    paths = [model.path for model in shipped_models()]
    assert [path.name for path in paths] == sorted(f"{name}_int8.tflite" for name in MODEL_NAMES)
    assert sum(path.stat().st_size for path in paths) < 16e6
    for path in paths:
        card, model = checked_card(path), open_interpreter(path)
        assert card.quantization == "int8" and model.inputs[0].dtype == model.outputs[0].dtype == np.int8
        assert model.outputs[0].shape == (1, 7)
        assert model.xnnpack == runtime().xnnpack


@pytest.mark.parametrize("name", MODEL_NAMES)
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
    plain, mirrored = collect_logits(first_column, many, flip=True)
    assert np.array_equal(plain, many[:, :7, 0]) and np.array_equal(mirrored, many[:, :7, -1])


def test_threads_change_nothing() -> None:
    for name in ("mobilenet_v2", "ensemble"):
        one, *more = (open_classifier(name, threads)(faces()) for threads in (1, 2, 3, 5))
        assert all(np.array_equal(one, other) for other in more), name


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(1, 7))
def test_lanes_share_the_members_out(costs: list[int], threads: int) -> None:
    lanes = balanced_groups(costs, threads)
    assert len(lanes) == min(threads, len(costs)) and all(lanes)
    assert sorted(member for lane in lanes for member in lane) == list(range(len(costs)))
    loads = [sum(costs[member] for member in lane) for lane in lanes]
    assert max(loads) <= sum(costs) / len(lanes) + max(costs)


def test_lookup_equals_quantizing_the_network_input() -> None:
    model = TFLiteClassifier(FOLDER / "mobilenet_v2_int8.tflite")
    _, side, _, channels = model.input.shape
    expected = quantize(network_input(faces(1), side, channels), model.input)
    (logits,) = model.interpreter.run(expected)
    assert np.array_equal(dequantize(logits[0], model.output), model.logits(faces(1))[0])


def test_timings_are_recorded_per_model_and_face() -> None:
    whole = open_classifier("ensemble")
    whole(faces(2))
    timings = whole.record_timings()
    whole(faces(3))
    assert set(timings) == {f"{name}_int8" for name in MODEL_NAMES}
    assert all(len(seconds) == 3 and min(seconds) > 0 for seconds in timings.values())


def test_the_graph_of_a_shipped_model_is_listed() -> None:
    model = open_interpreter(FOLDER / "mobilenet_v2_int8.tflite", xnnpack=False)
    tensors, operators = model.tensors(), model.operators()
    assert tensors[model.inputs[0].index] == model.inputs[0] and model.inputs[0].scales == (model.inputs[0].scale,)
    assert model.inputs[0].index in operators[0].inputs and model.outputs[0].index in operators[-1].outputs
    kernel = next(tensors[operator.inputs[1]] for operator in operators if operator.name == "CONV_2D")
    assert len(kernel.scales) == kernel.shape[0] > 1 and kernel.scale == 0


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
    assert {card["architecture"] for card in listed} == set(MODEL_NAMES)
    assert runner.invoke(main, ["models", "verify"]).stdout.count("ok  ") == len(MODEL_NAMES) + len(VARIANTS)
    assert json.loads(runner.invoke(main, ["models", "show", "se_mobilenet_v2"]).stdout)["labels"][3] == "happy"


@pytest.mark.slow
def test_ensemble_fit_writes_what_run_reads(copied: Path, synthetic_csv: Path) -> None:
    members = [str(copied / f"{name}_int8.tflite") for name in MODEL_NAMES]
    words = ["ensemble", "fit", *members, "--data", str(synthetic_csv), "--out"]
    result = CliRunner().invoke(main, [*words, str(copied / "ensemble.json")])
    assert result.exit_code == 0, result.output
    assert open_classifier(str(copied / "ensemble.json"))(faces()).shape == (6, 7)
    elsewhere = CliRunner().invoke(main, [*words, str(copied / "other" / "ensemble.json")])
    assert elsewhere.exit_code == 2 and "does not lie beside" in elsewhere.output
