"""Conversion of a small network, the whole way: integer files, and refusals that write nothing."""

from __future__ import annotations

import lzma
import os
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest
import tf_keras
from click.testing import CliRunner
from networks import coarse_faces, tiny_network, unsettle

from fer_edge.convert import conversion, verify
from fer_edge.convert import evaluator as judge
from fer_edge.convert.conversion import Job, convert, measure
from fer_edge.convert.export import export_float, export_int8, export_post_training
from fer_edge.convert.finetune import Tuning
from fer_edge.convert.float_network import Source, open_source
from fer_edge.convert.fold import folded
from fer_edge.convert.graph import unfold
from fer_edge.convert.onnx import onnx_bytes, onnx_logits
from fer_edge.convert.quantization import fake_quantized, quantizers
from fer_edge.convert.ranges import calibrate
from fer_edge.convert.sensitivity import sensitivity
from fer_edge.edge.cli import main
from fer_edge.edge.errors import ModelError
from fer_edge.edge.expression.classifier import TFLiteClassifier
from fer_edge.edge.tflite.card import ModelCard, checked_card, sha256, write_card
from fer_edge.edge.tflite.interpreter import open_interpreter
from fer_edge.edge.tflite.labels import read_labels
from fer_edge.edge.types import EMOTIONS
from fer_edge.train import architectures
from fer_edge.train.architectures.layers import head
from fer_edge.train.architectures.mobilenet_v2 import backbone
from fer_edge.train.data.splits import Dataset, Split
from fer_edge.train.loop import predict_logits
from fer_edge.train.weights import save_half

pytestmark = pytest.mark.tensorflow

SIZE = 32


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Weights are drawn as they were the last time."""
    tf_keras.utils.set_random_seed(2)


@pytest.fixture(scope="module")
def tiny():
    return tiny_network()


@pytest.fixture(scope="module")
def fake(tiny):
    unfolded = unfold(folded(tiny))
    return fake_quantized(unfolded, calibrate(unfolded, coarse_faces()))


@pytest.fixture(scope="module")
def int8_file(fake, tmp_path_factory):
    path = tmp_path_factory.mktemp("int8") / "tiny_int8.tflite"
    path.write_bytes(export_int8(fake))
    return path


@pytest.fixture(scope="module")
def float_file(tiny, tmp_path_factory):
    path = tmp_path_factory.mktemp("float") / "tiny_float32.tflite"
    path.write_bytes(export_float(tiny, "float32"))
    return path


def _data(model, count=24):
    """A data set that the float model has all right, so that drop and agreement say the same."""
    faces = coarse_faces(count)
    labels = predict_logits(model, faces).argmax(axis=1).astype(np.int64)
    return Dataset(Path("made"), {"train": Split(faces, labels), "val": Split(faces, labels)})


# --- the int8 file ---------------------------------------------------------------------------------------------


def test_the_export_is_int8_throughout(int8_file):
    ops = verify.check_integer(int8_file)
    assert ops["DEPTHWISE_CONV_2D"] == 2 and ops["LOGISTIC"] == 4
    assert not {"QUANTIZE", "DEQUANTIZE", "SHAPE"} & set(ops)
    model = open_interpreter(int8_file)
    assert model.inputs[0].dtype == model.outputs[0].dtype == np.int8
    assert (model.inputs[0].scale, model.inputs[0].zero_point) == (1 / 128, 0)


def test_convolution_weights_have_a_scale_per_channel(int8_file):
    model = open_interpreter(int8_file, xnnpack=False)
    tensors = model.tensors()
    for operator in model.operators():
        if operator.name in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            kernel = tensors[operator.inputs[1]]
            assert kernel.dtype == np.int8
            assert len(kernel.scales) == kernel.shape[3 if operator.name == "DEPTHWISE_CONV_2D" else 0]


def test_the_file_gives_what_the_fake_quantized_model_gives(fake, int8_file):
    """Each layer may round a half the other way: one step each, which the few layers behind it carry on."""
    classifier = TFLiteClassifier(int8_file, xnnpack=False)
    steps = np.abs(classifier.logits(coarse_faces()) - predict_logits(fake, coarse_faces())) / classifier.output_step
    assert steps.mean() < 1 and steps.max() <= 4


def test_post_training_quantization_is_int8_throughout(tiny, tmp_path):
    path = tmp_path / "tiny_ptq.tflite"
    path.write_bytes(export_post_training(tiny, coarse_faces(8)))
    assert "LOGISTIC" in verify.check_integer(path)


def test_the_float_export_equals_keras(tiny, float_file):
    logits = TFLiteClassifier(float_file).logits(coarse_faces())
    np.testing.assert_allclose(logits, predict_logits(tiny, coarse_faces()), atol=1e-4)


# --- verify ----------------------------------------------------------------------------------------------------


def test_a_float_model_is_refused(float_file):
    with pytest.raises(ModelError, match="the input is float32, expected int8"):
        verify.check_integer(float_file)


def test_a_float_island_is_refused(tiny, tmp_path):
    """The same network with one layer that lost its range."""
    unfolded = unfold(tiny)
    ranges = calibrate(unfolded, coarse_faces(8))
    holed = fake_quantized(unfolded, ranges)
    layer = next(layer for layer in holed.layers if layer.name == "quant_add" or "add" in layer.name)
    layer._output_quantizers = []
    path = tmp_path / "holed.tflite"
    path.write_bytes(export_int8(holed))
    with pytest.raises(ModelError, match="nothing was written"):
        verify.check_integer(path)


def test_low_agreement_and_a_large_drop_are_refused():
    split = Split(coarse_faces(4), np.array([0, 1, 2, 3]))
    reference = np.eye(7, dtype=np.float32)[:4]
    figures = verify.compare(np.eye(7, dtype=np.float32)[[0, 1, 2, 6]], reference, split)
    assert (figures["accuracy"], figures["drop_points"], figures["agreement"]) == (0.75, 25.0, 0.75)
    assert figures["balanced_accuracy"] == 0.75 and figures["recall"]["happy"] == 0 and figures["recall"]["angry"] == 1
    with pytest.raises(ModelError, match=r"agrees with the float model on 75\.0 %"):
        verify.check_answers(Path("x.tflite"), "LiteRT", figures, verify.Limits(0.85, 50.0))
    with pytest.raises(ModelError, match=r"loses 25\.00 points"):
        verify.check_answers(Path("x.tflite"), "LiteRT", figures, verify.Limits(0.5, 1.0))
    verify.check_answers(Path("x.tflite"), "LiteRT", figures, verify.Limits(0.75, 25.0))


# --- the whole way ---------------------------------------------------------------------------------------------


def test_convert_writes_a_model_and_a_card_that_fit(tiny, tmp_path):
    source = Source("tiny", tmp_path / "run" / "float.npz", tiny_network(), {"recipe": "none"})
    out = tmp_path / "models"
    job = Job(tuning=Tuning(epochs=1, batch_size=8, steps=2), limits=verify.Limits(0.0, 100.0), limit=16, onnx=True)
    ((path, card),) = convert(source, _data(tiny), job, out, echo=lambda _: None)
    assert sorted(file.name for file in out.iterdir()) == ["tiny_int8.json", "tiny_int8.onnx", "tiny_int8.tflite"]
    assert checked_card(path) == card
    assert read_labels(path) == EMOTIONS
    (figures,) = (value for key, value in card.accuracy["runtimes"].items() if key.startswith("LiteRT"))
    assert figures["agreement"] > 0.5
    assert card.accuracy["runtimes"]["tflite-runtime"] == "not run"
    assert card.accuracy["float"]["accuracy"] == 1 and 0 < card.accuracy["float"]["ece"] < 1
    assert card.accuracy["post_training"]["agreement"] > 0.5
    assert card.accuracy["machine"]["cores"] == os.cpu_count()
    assert card.conversion["operators"]["CONV_2D"] == 6
    assert len(card.conversion["history"]) == 2
    assert card.conversion["resumed"] is False
    assert card.conversion["onnx"]["file"] == "tiny_int8.onnx"


def test_a_file_is_measured_anew_beside_its_network(tiny, int8_file, tmp_path):
    path = tmp_path / int8_file.name
    path.write_bytes(int8_file.read_bytes())
    card = ModelCard("tiny_int8", "tiny", sha256(path), colour="gray", date="2020-02-02")
    write_card(path, card)
    source = Source("tiny", tmp_path / "float.npz", tiny_network(), {})
    job = Job(limits=verify.Limits(0.5, 50.0), limit=16)
    _, found = measure(path, source, _data(tiny), job, echo=lambda _: None)
    assert replace(found, accuracy={}) == card and checked_card(path) == found
    assert found.accuracy["post_training"]["agreement"] > 0.5 and found.accuracy["float"]["accuracy"] == 1
    with pytest.raises(ModelError, match="agrees with the float model"):
        measure(path, source, _data(tiny), replace(job, limits=verify.Limits(1.01, 50.0)), echo=lambda _: None)
    with pytest.raises(ModelError, match="int8 of tiny; expected int8 of other"):
        measure(path, replace(source, name="other"), _data(tiny), job, echo=lambda _: None)
    assert checked_card(path) == found


def test_what_cannot_be_quantized_after_training_is_still_fine_tuned(tiny, monkeypatch):
    def refuse(model, faces):
        raise ModelError("TensorFlow's converter refused the model: no")

    monkeypatch.setattr(judge, "export_post_training", refuse)
    split, told = _data(tiny).split("val"), []
    found = judge.Judge(split, predict_logits(tiny, split.faces), verify.Limits(), None, told.append)
    assert found.post_training(tiny, split.faces) is None and "refused the model: no; nothing to compare" in told[-1]


class Enough(Exception):
    """What was asked has been seen."""


@pytest.mark.parametrize("kind", ["int8", "ptq"])
def test_nothing_is_fitted_to_what_it_is_judged_by(tiny, tmp_path, monkeypatch, kind):
    """Ranges and fine-tuning come from the train split, whose faces are of another brightness."""
    seen = {}

    def calibrated(model, faces, **_):
        seen["ranges"] = faces
        return {}

    def compared(model, faces):
        seen["post_training"] = faces
        return export_post_training(model, faces)

    def tuned(student, teacher, train, val, *_, **__):
        seen["train"], seen["val"] = train.faces, val.faces
        raise Enough

    def exported(model, faces):
        seen["ranges"] = faces
        raise Enough

    monkeypatch.setattr(conversion, "calibrate", calibrated)
    monkeypatch.setattr(conversion, "fake_quantized", lambda teacher, ranges: teacher)
    monkeypatch.setattr(conversion, "finetune", tuned)
    monkeypatch.setattr(conversion, "export_post_training", exported)
    monkeypatch.setattr(judge, "export_post_training", compared)
    dark, light = (Split(np.full((6, 48, 48), shade, np.uint8), np.arange(6)) for shade in (10, 200))
    source = Source("tiny", tmp_path / "float.npz", tiny_network(), {})
    with pytest.raises(Enough):
        convert(source, Dataset(Path("made"), {"train": dark, "val": light}), Job((kind,), limit=4), tmp_path / "out")
    assert (seen["ranges"] == 10).all() and len(seen["ranges"]) == 4
    if kind == "int8":
        assert (seen["train"] == 10).all() and (seen["val"] == 200).all()
        assert (seen["post_training"] == 10).all()


def test_int8_stays_int8_in_onnx(int8_file):
    proto = onnx.load_from_string(onnx_bytes(int8_file, "none"))
    weights = [each for each in proto.graph.initializer if len(each.dims) > 1]
    assert weights and all(each.data_type == onnx.TensorProto.INT8 for each in weights)
    assert {node.op_type for node in proto.graph.node} >= {"QuantizeLinear", "DequantizeLinear", "Conv"}
    classifier, found = TFLiteClassifier(int8_file), onnx_logits(proto.SerializeToString(), coarse_faces())
    steps = np.abs(found - classifier.logits(coarse_faces())) / classifier.output_step
    assert steps.mean() < 1 and steps.max() <= 4


def test_convert_writes_nothing_where_verification_fails(tiny, tmp_path):
    source = Source("tiny", tmp_path / "float.npz", tiny_network(), {})
    out = tmp_path / "models"
    with pytest.raises(ModelError, match="agrees with the float model"):
        convert(source, _data(tiny), Job(("ptq",), limits=verify.Limits(1.01, 100.0)), out, echo=lambda _: None)
    assert not out.exists()


def test_only_integer_models_must_run_in_an_older_runtime(tiny, tmp_path):
    """A stand-in for tflite-runtime that imports but loads nothing, as version 2.14 does with dynamic models."""
    old = tmp_path / "python"
    old.write_text('#!/bin/sh\ncase "$2" in import\\ numpy*) exit 0;; esac\necho "Registration failed." >&2\nexit 1\n')
    old.chmod(0o755)
    source = Source("tiny", tmp_path / "float.npz", tiny_network(), {})
    limits = verify.Limits(0.0, 100.0)
    ((path, card),) = convert(
        source, _data(tiny), Job(("dynamic",), limits=limits, other_python=old), tmp_path / "a", echo=lambda _: None
    )
    assert path.exists() and card.accuracy["runtimes"]["tflite-runtime"] == "cannot run it"
    with pytest.raises(ModelError, match="Registration failed"):
        convert(
            source, _data(tiny), Job(("ptq",), limits=limits, other_python=old), tmp_path / "b", echo=lambda _: None
        )
    assert not (tmp_path / "b").exists()


def test_a_run_is_found_by_name_folder_and_file(tmp_path):
    run = tmp_path / "mobilenet_v2"
    run.mkdir()
    model = architectures.build("mobilenet_v2", tf_keras)
    save_half(model, run / "float.npz")
    for what in ("mobilenet_v2", str(run), str(run / "float.npz")):
        found = open_source(what, tmp_path)
        assert found.name == "mobilenet_v2"
    np.testing.assert_allclose(found.model.get_weights()[0], model.get_weights()[0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("stride", [32, 16])
def test_a_network_of_another_definition_is_refused(tmp_path, stride):
    """Its weights have the shapes of today's, and mean something else."""
    inputs = keras.layers.Input((64, 64, 3))
    defined = keras.Model(inputs, head(keras, backbone(keras, inputs, output_stride=stride)), name="mobilenet_v2")
    unsettle(defined).save(tmp_path / "float.keras")
    if stride == 32:
        assert open_source(str(tmp_path), tmp_path).name == "mobilenet_v2"
        return
    with pytest.raises(ModelError, match="another definition"):
        open_source(str(tmp_path), tmp_path)


@pytest.mark.parametrize(
    ("what", "expected"),
    [("mobilenet_v2", "fer-edge train"), ("here.txt", "no such file"), ("bad.npz", "no .npz file")],
)
def test_the_command_says_in_one_line_what_is_wrong(what, expected, tmp_path):
    data = tmp_path / "fer.csv.xz"
    pixels = " ".join(["7"] * 48 * 48)
    rows = [f"{label},{pixels},{usage}" for label in (0, 1) for usage in ("Training", "PublicTest")]
    data.write_bytes(lzma.compress("\n".join(["emotion,pixels,Usage", *rows]).encode()))
    (tmp_path / "bad.npz").write_bytes(b"nothing")
    path = what if what == "mobilenet_v2" else str(tmp_path / what)
    arguments = ["convert", path, "--data", str(data), "--runs", str(tmp_path), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert expected in result.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_sensitivity_names_the_layer_that_hurts() -> None:
    """A range that cuts an output to a sliver costs more than any other, and the switches are put back."""
    model = unfold(unsettle(architectures.build("mobilenet_v2", tf_keras, SIZE)))
    faces = np.random.default_rng(4).integers(0, 256, (8, 48, 48), np.uint8)
    ranges = calibrate(model, faces)
    victim = "head_pool"  # all the logits know comes through it
    low, high = ranges[victim]
    student = fake_quantized(model, ranges | {victim: (low / 1000, high / 1000)})
    together, costs = sensitivity(student, faces)
    assert (costs[0].layer, costs[0].what) == (victim, "output")
    assert all(cost.divergence > -1e-6 for cost in costs) and together.divergence > costs[1].divergence
    assert {cost.what for cost in costs} == {"weights", "output"}
    assert all(quantizer.active for quantizer in quantizers(student).values())
