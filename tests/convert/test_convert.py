"""Conversion of a small network: export, verification, cards, and failures that write nothing."""

from __future__ import annotations

import csv
import lzma
import os
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf
import tf_keras
from click.testing import CliRunner
from networks import coarse_faces, tiny_network, tiny_resnet, unsettle
from predictions import CLASSES

from fer_edge.convert import conversion, evaluator, student, verify
from fer_edge.convert.checkpoint import Checkpoint
from fer_edge.convert.conversion import convert
from fer_edge.convert.evaluator import Evaluator
from fer_edge.convert.fake_quantization import fake_quantize, quantizers
from fer_edge.convert.finetune import finetune
from fer_edge.convert.float_network import FloatNetwork, open_float_network
from fer_edge.convert.fold import fold_input
from fer_edge.convert.graph import decompose
from fer_edge.convert.measurement import measure
from fer_edge.convert.onnx_export import onnx_bytes, onnx_logits
from fer_edge.convert.options import ConversionOptions, TuningOptions, VerificationOptions
from fer_edge.convert.ranges import calibrate
from fer_edge.convert.runtimes import with_tflite_python
from fer_edge.convert.sensitivity import analyse_sensitivity, report_sensitivity
from fer_edge.convert.tflite_export import export_float, export_int8, export_post_training
from fer_edge.edge.cli import main
from fer_edge.edge.errors import ModelError, TrainingError
from fer_edge.edge.expression.classifier import TFLiteClassifier
from fer_edge.edge.tflite.card import ModelCard, card_path, checked_card, sha256, write_card
from fer_edge.edge.tflite.interpreter import open_interpreter
from fer_edge.edge.tflite.labels import read_labels
from fer_edge.train import architectures
from fer_edge.train.architectures.layers import head
from fer_edge.train.architectures.mobilenet_v2 import backbone
from fer_edge.train.data.splits import Dataset, Split
from fer_edge.train.networks import predict_logits
from fer_edge.train.origin import OriginOptions
from fer_edge.train.weights import save_half

pytestmark = pytest.mark.tensorflow

SIZE = 32


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same random weights in every run."""
    tf_keras.utils.set_random_seed(2)


@pytest.fixture(scope="module")
def tiny():
    return tiny_network()


@pytest.fixture(scope="module")
def fake(tiny):
    decomposed = decompose(fold_input(tiny))
    return fake_quantize(decomposed, calibrate(decomposed, coarse_faces()))


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
    """A data set that the float model classifies without an error, so that drop and agreement are the same."""
    faces = coarse_faces(count)
    labels = predict_logits(model, faces).argmax(axis=1).astype(np.int64)
    return Dataset(Path("synthetic"), {"train": Split(faces, labels, CLASSES), "val": Split(faces, labels, CLASSES)})


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
    """Each layer may round a half the other way: one step per layer, which the few layers after it pass on."""
    classifier = TFLiteClassifier(int8_file, classes=CLASSES, xnnpack=False)
    steps = np.abs(classifier.logits(coarse_faces()) - predict_logits(fake, coarse_faces())) / classifier.output_step
    assert steps.mean() < 1 and steps.max() <= 4


def test_attention_is_int8_throughout(tmp_path):
    """CBAM: means and maxima over pixels and over channels, what is shared between them, gates of either kind."""
    path, faces = tmp_path / "tiny_resnet_int8.tflite", coarse_faces()
    fake_quantized, _ = student.prepare_student(fold_input(tiny_resnet()), faces)
    path.write_bytes(export_int8(fake_quantized))
    ops = verify.check_integer(path)
    assert {name: ops[name] for name in ("CONCATENATION", "MEAN", "REDUCE_MAX", "LOGISTIC", "MAX_POOL_2D")} == {
        "CONCATENATION": 1, "MEAN": 4, "REDUCE_MAX": 2, "LOGISTIC": 2, "MAX_POOL_2D": 1
    }  # fmt: skip
    expected = predict_logits(fake_quantized, faces)
    for xnnpack in (True, False):
        classifier = TFLiteClassifier(path, classes=CLASSES, xnnpack=xnnpack)
        steps = np.abs(classifier.logits(faces) - expected) / classifier.output_step
        assert steps.mean() < 1 and steps.max() <= 4
    found = onnx_logits(onnx_bytes(path, CLASSES, "none"), faces)
    assert np.abs(found - expected).max() <= 4 * classifier.output_step


def test_post_training_quantization_is_int8_throughout(tiny, tmp_path):
    path = tmp_path / "tiny_ptq.tflite"
    path.write_bytes(export_post_training(tiny, coarse_faces(8)))
    assert "LOGISTIC" in verify.check_integer(path)


def test_the_float_export_equals_keras(tiny, float_file):
    logits = TFLiteClassifier(float_file, classes=CLASSES).logits(coarse_faces())
    np.testing.assert_allclose(logits, predict_logits(tiny, coarse_faces()), atol=1e-4)


# --- verify ----------------------------------------------------------------------------------------------------


def test_a_float_model_is_refused(float_file):
    with pytest.raises(ModelError, match="the input is float32, expected int8"):
        verify.check_integer(float_file)


def test_a_float_island_is_refused(tiny, tmp_path):
    """The same network with a layer without a range."""
    decomposed = decompose(tiny)
    ranges = calibrate(decomposed, coarse_faces(8))
    holed = fake_quantize(decomposed, ranges)
    layer = next(layer for layer in holed.layers if layer.name == "quant_add" or "add" in layer.name)
    layer._output_quantizers = []
    path = tmp_path / "holed.tflite"
    path.write_bytes(export_int8(holed))
    with pytest.raises(ModelError, match="nothing was written"):
        verify.check_integer(path)


def test_low_agreement_and_a_large_drop_are_refused():
    split = Split(coarse_faces(4), np.array([0, 1, 2, 3]), CLASSES)
    reference = np.eye(7, dtype=np.float32)[:4]
    figures = verify.compare(np.eye(7, dtype=np.float32)[[0, 1, 2, 6]], reference, split)
    assert (figures["accuracy"], figures["drop_points"], figures["agreement"]) == (0.75, 25.0, 0.75)
    assert figures["balanced_accuracy"] == 0.75 and figures["recall"]["happy"] == 0 and figures["recall"]["angry"] == 1
    with pytest.raises(ModelError, match=r"agrees with the float model on 75\.0 %"):
        verify.check_answers(Path("x.tflite"), "LiteRT", figures, 4000, VerificationOptions(0.85, 50.0))
    with pytest.raises(ModelError, match=r"loses 25\.00 percentage points"):
        verify.check_answers(Path("x.tflite"), "LiteRT", figures, 4000, VerificationOptions(0.5, 1.0))
    verify.check_answers(Path("x.tflite"), "LiteRT", figures, 4000, VerificationOptions(0.75, 25.0))


def test_of_few_pictures_one_more_error_is_chance():
    """Of 60 pictures one is 1.7 points; of 3,589 a point is 36."""
    strict = VerificationOptions(0.85, 1.0)
    one_of_sixty = {"agreement": 59 / 60, "drop_points": 100 / 60}
    verify.check_answers(Path("x.tflite"), "LiteRT", one_of_sixty, 60, strict)
    with pytest.raises(ModelError, match="loses"):
        verify.check_answers(Path("x.tflite"), "LiteRT", {"agreement": 0.9, "drop_points": 10.0}, 60, strict)
    with pytest.raises(ModelError, match="loses"):
        verify.check_answers(Path("x.tflite"), "LiteRT", {"agreement": 0.95, "drop_points": 1.1}, 3589, strict)


# --- the whole way ---------------------------------------------------------------------------------------------


LENIENT = VerificationOptions(0.0, 100.0)
IMPOSSIBLE = VerificationOptions(1.01, 100.0)


def test_convert_writes_a_model_with_a_matching_card(tiny, tmp_path):
    network = FloatNetwork("tiny", tmp_path / "run" / "float.npz", tiny_network(), CLASSES, {"recipe": "none"})
    out = tmp_path / "models"
    conversion = ConversionOptions(out, calibration_samples=16)
    tuning = TuningOptions(epochs=1, batch_size=8, steps_per_epoch=2)
    ((path, card),) = convert(network, _data(tiny), conversion, tuning, LENIENT)
    assert sorted(file.name for file in out.iterdir()) == ["tiny_int8.json", "tiny_int8.tflite"]
    assert checked_card(path) == card
    assert read_labels(path) == CLASSES
    (figures,) = (value for key, value in card.accuracy["runtimes"].items() if key.startswith("LiteRT"))
    assert figures["agreement"] > 0.5
    assert card.accuracy["runtimes"]["tflite-runtime"] == "not run"
    assert card.accuracy["float"]["accuracy"] == 1 and 0 < card.accuracy["float"]["ece"] < 1
    assert card.accuracy["post_training"]["agreement"] > 0.5
    assert card.accuracy["machine"]["cores"] == os.cpu_count()
    assert card.conversion["operators"]["CONV_2D"] == 6
    assert len(card.conversion["history"]) == 2
    assert card.conversion["resumed"] is False
    assert card.conversion["tuning"]["steps_per_epoch"] == 2
    assert card.conversion["thresholds"] == {"min_agreement": 0.0, "max_drop": 100.0}


def test_a_model_of_other_classes_has_them_in_card_and_file_and_no_word_of_fer2013(tiny, tmp_path, messages):
    names = tuple("abcdefg")
    network = FloatNetwork("tiny", tmp_path / "float.npz", tiny_network(), names, {})
    data = _data(tiny)
    shuffled = {
        name: Split(each.faces, 6 - each.labels, names[::-1]) for name, each in data.splits.items()
    }  # the same names for the same faces
    options = ConversionOptions(tmp_path / "out", float32=True)
    said = OriginOptions(data_name="letters", license="CC0-1.0")
    ((path, card),) = convert(network, replace(data, splits=shuffled), options, TuningOptions(), LENIENT, said)
    assert card.labels == read_labels(path) == names and checked_card(path) == card
    assert card.accuracy["float"]["accuracy"] == 1 and "another order" in " ".join(messages)
    assert (card.licence, card.training["data_name"]) == ("CC0-1.0", "letters")
    assert "FER2013" not in card_path(path).read_text() and b"FER2013" not in path.read_bytes()
    with pytest.raises(ModelError, match="expected the same names"):
        convert(network, data, replace(options, out=tmp_path / "other"), TuningOptions(), LENIENT)
    assert not (tmp_path / "other").exists()


@pytest.mark.faults
def test_a_fine_tuning_whose_loss_is_no_number_writes_nothing(tiny, fake, tmp_path):
    def teacher(views, training):
        return tf.fill((tf.shape(views)[0], 7), float("nan"))

    tuning, checkpoint = TuningOptions(epochs=2, batch_size=8), Checkpoint(tmp_path / "finetuned.npz", "0")
    before = fake.get_weights()
    with pytest.raises(TrainingError, match=r"^fine-tuning epoch 1, step 1 of 3: the loss is nan.*--learning-rate"):
        finetune(fake, teacher, _data(tiny), tuning, checkpoint, ConversionOptions())
    assert not list(tmp_path.iterdir())
    fake.set_weights(before)


def test_an_onnx_file_of_the_previous_model_is_reported(tiny, tmp_path, messages):
    network = FloatNetwork("tiny", tmp_path / "float.npz", tiny_network(), CLASSES, {})
    (tmp_path / "tiny_float32.onnx").write_bytes(b"old")
    convert(network, _data(tiny), ConversionOptions(tmp_path, float32=True), TuningOptions(), LENIENT)
    assert "fer-edge models onnx" in messages[-1]


def test_a_file_is_measured_again_against_its_network(tiny, int8_file, tmp_path):
    path = tmp_path / int8_file.name
    path.write_bytes(int8_file.read_bytes())
    card = ModelCard("tiny_int8", "tiny", sha256(path), CLASSES, colour="gray", date="2020-02-02")
    write_card(path, card)
    network = FloatNetwork("tiny", tmp_path / "float.npz", tiny_network(), CLASSES, {})
    conversion = ConversionOptions(calibration_samples=16)
    measured = measure(path, network, _data(tiny), conversion, VerificationOptions(0.5, 50.0))
    assert replace(measured, accuracy={}) == card and checked_card(path) == measured
    assert measured.accuracy["post_training"]["agreement"] > 0.5 and measured.accuracy["float"]["accuracy"] == 1
    with pytest.raises(ModelError, match="agrees with the float model"):
        measure(path, network, _data(tiny), conversion, IMPOSSIBLE)
    with pytest.raises(ModelError, match="int8 of tiny; expected int8 of other"):
        measure(path, replace(network, architecture="other"), _data(tiny), conversion, LENIENT)
    with pytest.raises(ModelError, match="a, b, c, d, e, f, g; expected the float network"):
        measure(path, replace(network, classes=tuple("abcdefg")), _data(tiny), conversion, LENIENT)
    assert checked_card(path) == measured


def test_what_cannot_be_quantized_after_training_is_still_fine_tuned(tiny, monkeypatch, messages):
    def refuse(model, faces):
        raise ModelError("TensorFlow's converter refused the model: no")

    monkeypatch.setattr(evaluator, "export_post_training", refuse)
    split = _data(tiny).split("val")
    lenient = Evaluator(split, None, predict_logits(tiny, split.faces), LENIENT)
    assert lenient.post_training(tiny, split.faces) is None and "refused the model: no" in messages[-1]


class Enough(Exception):
    """Raised by a stand-in once it has its arguments."""


@pytest.mark.parametrize("kind", ["int8", "ptq"])
def test_nothing_is_fitted_to_the_split_that_verifies_it(tiny, tmp_path, monkeypatch, kind):
    """Ranges and fine-tuning come from the train split, whose faces are of another brightness."""
    faces_of = {}

    def calibrate(model, faces):
        faces_of["ranges"] = faces
        return {}

    def export_for_comparison(model, faces):
        faces_of["post_training"] = faces
        return export_post_training(model, faces)

    def finetune(student, teacher, dataset, *_):
        faces_of["train"], faces_of["val"] = dataset.split("train").faces, dataset.split("val").faces
        raise Enough

    def export(model, faces):
        faces_of["ranges"] = faces
        raise Enough

    monkeypatch.setattr(student, "calibrate", calibrate)
    monkeypatch.setattr(student, "fake_quantize", lambda teacher, ranges: teacher)
    monkeypatch.setattr(conversion, "finetune", finetune)
    monkeypatch.setattr(conversion, "export_post_training", export)
    monkeypatch.setattr(evaluator, "export_post_training", export_for_comparison)
    dark, light = (Split(np.full((6, 48, 48), shade, np.uint8), np.arange(6), CLASSES) for shade in (10, 200))
    network = FloatNetwork("tiny", tmp_path / "float.npz", tiny_network(), CLASSES, {})
    dataset = Dataset(Path("synthetic"), {"train": dark, "val": light})
    options = ConversionOptions(tmp_path / "out", ptq=kind == "ptq", calibration_samples=4, corruption=0)
    with pytest.raises(Enough):
        convert(network, dataset, options, TuningOptions(), VerificationOptions())
    assert (faces_of["ranges"] == 10).all() and len(faces_of["ranges"]) == 4
    if kind == "int8":
        assert (faces_of["train"] == 10).all() and (faces_of["val"] == 200).all()
        assert (faces_of["post_training"] == 10).all()


def test_int8_stays_int8_in_onnx(int8_file):
    proto = onnx.load_from_string(onnx_bytes(int8_file, CLASSES, "none"))
    weights = [each for each in proto.graph.initializer if len(each.dims) > 1]
    assert weights and all(each.data_type == onnx.TensorProto.INT8 for each in weights)
    assert {node.op_type for node in proto.graph.node} >= {"QuantizeLinear", "DequantizeLinear", "Conv"}
    classifier = TFLiteClassifier(int8_file, classes=CLASSES)
    found = onnx_logits(proto.SerializeToString(), coarse_faces())
    steps = np.abs(found - classifier.logits(coarse_faces())) / classifier.output_step
    assert steps.mean() < 1 and steps.max() <= 4


def test_convert_writes_nothing_where_verification_fails(tiny, tmp_path):
    network = FloatNetwork("tiny", tmp_path / "float.npz", tiny_network(), CLASSES, {})
    out = tmp_path / "models"
    with pytest.raises(ModelError, match="agrees with the float model"):
        convert(network, _data(tiny), ConversionOptions(out, ptq=True), TuningOptions(), IMPOSSIBLE)
    assert not out.exists()


def test_only_integer_models_must_run_in_an_older_runtime(tiny, tmp_path):
    """A stand-in for tflite-runtime that imports but loads nothing, as version 2.14 does with dynamic models."""
    python = tmp_path / "python"
    lines = ["#!/bin/sh", 'case "$2" in import\\ numpy*) exit 0;; esac', 'echo "Registration failed." >&2', "exit 1"]
    python.write_text("\n".join(lines))
    python.chmod(0o755)
    network = FloatNetwork("tiny", tmp_path / "float.npz", tiny_network(), CLASSES, {})
    verification = with_tflite_python(replace(LENIENT, tflite_runtime_python=python))
    data, tuning = _data(tiny), TuningOptions()
    ((path, card),) = convert(network, data, ConversionOptions(tmp_path / "a", dynamic=True), tuning, verification)
    assert path.exists() and card.accuracy["runtimes"]["tflite-runtime"] == "cannot run it"
    with pytest.raises(ModelError, match="Registration failed"):
        convert(network, data, ConversionOptions(tmp_path / "b", ptq=True), tuning, verification)
    assert not (tmp_path / "b").exists()


def test_a_run_is_found_by_name_folder_and_file(tmp_path):
    run = tmp_path / "mobilenet_v2"
    run.mkdir()
    model = architectures.build("mobilenet_v2", tf_keras, classes=7)
    save_half(model, run / "float.npz", CLASSES)
    for name in ("mobilenet_v2", str(run), str(run / "float.npz")):
        network = open_float_network(name, tmp_path)
        assert network.architecture == "mobilenet_v2"
    np.testing.assert_allclose(network.model.get_weights()[0], model.get_weights()[0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("stride", [32, 16])
def test_a_network_of_another_definition_is_refused(tmp_path, stride):
    """Its weights have the shapes of this version's, and another meaning."""
    inputs = keras.layers.Input((64, 64, 3))
    defined = keras.Model(inputs, head(keras, backbone(keras, inputs, output_stride=stride), 7), name="mobilenet_v2")
    unsettle(defined).save(tmp_path / "float.keras")
    if stride == 32:
        assert open_float_network(str(tmp_path), tmp_path).architecture == "mobilenet_v2"
        return
    with pytest.raises(ModelError, match="another definition"):
        open_float_network(str(tmp_path), tmp_path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("mobilenet_v2", "fer-edge train"), ("here.txt", "expected mobilenet_v2"), ("bad.npz", "no .npz file")],
)
def test_a_mistake_is_reported_in_one_line(name, expected, tmp_path):
    data = tmp_path / "fer.csv.xz"
    pixels = " ".join(["7"] * 48 * 48)
    rows = [f"{label},{pixels},{usage}" for label in (0, 1) for usage in ("Training", "PublicTest")]
    data.write_bytes(lzma.compress("\n".join(["emotion,pixels,Usage", *rows]).encode()))
    (tmp_path / "bad.npz").write_bytes(b"nothing")
    path = name if name == "mobilenet_v2" else str(tmp_path / name)
    arguments = ["convert", path, "--data", str(data), "--runs", str(tmp_path), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert expected in result.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_sensitivity_names_the_layer_that_hurts() -> None:
    """A range that cuts an output to a sliver hurts more than any other, and all quantizers are switched on again."""
    model = decompose(unsettle(architectures.build("mobilenet_v2", tf_keras, SIZE, classes=7)))
    faces = np.random.default_rng(4).integers(0, 256, (8, 48, 48), np.uint8)
    ranges = calibrate(model, faces)
    victim = "head_pool"  # all that the logits know comes through it
    low, high = ranges[victim]
    student = fake_quantize(model, ranges | {victim: (low / 1000, high / 1000)})
    together, tensors = analyse_sensitivity(student, faces)
    assert (tensors[0].layer, tensors[0].tensor) == (victim, "output")
    assert all(each.divergence > -1e-6 for each in tensors) and together.divergence > tensors[1].divergence
    assert {each.tensor for each in tensors} == {"weights", "output"}
    assert all(quantizer.active for quantizer in quantizers(student).values())


def test_the_sensitivity_report_lies_in_the_folder_of_the_network(tiny, tmp_path) -> None:
    network = FloatNetwork("tiny", tmp_path / "float.npz", tiny_network(), CLASSES, {})
    options = ConversionOptions(calibration_samples=8)
    path, table = report_sensitivity(network, _data(tiny).split("train"), options)
    rows = list(csv.DictReader(path.open()))
    assert path == tmp_path / "float_sensitivity.csv" and rows[0]["layer"] in table and "(all)" in table
    network = FloatNetwork("tiny", tmp_path / "float.npz", tiny_network(), CLASSES, {})
    with pytest.raises(ModelError, match=r"float_finetuned\.npz: no such file"):
        report_sensitivity(network, _data(tiny).split("train"), options, finetuned=True)


def test_the_commands_pass_their_options_on(tmp_path, synthetic_csv, monkeypatch) -> None:
    calls = {}
    network = FloatNetwork("mobilenet_v2", tmp_path / "float.npz", None, CLASSES, {})
    figures = {"accuracy": 0.5, "agreement": 0.9}
    card = ModelCard("a", "mobilenet_v2", "0", CLASSES, accuracy={"float": figures, "runtimes": {"LiteRT": figures}})
    monkeypatch.setattr("fer_edge.convert.float_network.open_float_network", lambda name, runs: network)

    def report(*values, finetuned):
        calls["sensitivity"] = (*values, finetuned)
        return tmp_path / "float_sensitivity.csv", "the table"

    def measure(*values):
        calls["measure"] = values
        return card

    def convert(*values):
        calls["convert"] = values
        return [(tmp_path / "a.tflite", card)]

    monkeypatch.setattr("fer_edge.convert.sensitivity.report_sensitivity", report)
    monkeypatch.setattr("fer_edge.convert.measurement.measure", measure)
    monkeypatch.setattr("fer_edge.convert.conversion.convert", convert)
    words = ["--data", str(synthetic_csv), "--calibration-samples", "7", "--no-fold"]
    for command in (
        ["models", "sensitivity", "mobilenet_v2", "--finetuned"],
        ["models", "measure", "a.tflite", "--float", "x.npz", "--min-agreement", "0.5"],
        ["convert", "mobilenet_v2", "--learning-rate", "0.1", "--float16", "--dynamic"],
    ):
        done = CliRunner().invoke(main, [*command, *words])
        assert done.exit_code == 0, done.output
    prepared = ConversionOptions(fold=False, calibration_samples=7)
    assert (calls["sensitivity"][0], *calls["sensitivity"][2:]) == (network, prepared, True)
    path, _, _, conversion, verification = calls["measure"]
    assert (path, conversion, verification.min_agreement) == (Path("a.tflite"), prepared, 0.5)
    _, _, conversion, tuning, *_ = calls["convert"]
    assert (conversion.kinds, tuning.learning_rate) == (("float16", "dynamic"), 0.1)
