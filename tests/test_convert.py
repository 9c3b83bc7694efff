"""Conversion on the real networks, small: exactness, integer graphs, and refusals that write nothing."""

from __future__ import annotations

import lzma
from pathlib import Path

import numpy as np
import onnx
import pytest
import tf_keras
from click.testing import CliRunner

from fer_edge.convert import verify
from fer_edge.convert.conversion import Job, convert
from fer_edge.convert.equalize import DEPTHWISE_PEAK, equalize
from fer_edge.convert.export import export_float, export_int8, export_post_training
from fer_edge.convert.finetune import Tuning
from fer_edge.convert.fold import folded
from fer_edge.convert.graph import unfold
from fer_edge.convert.onnx import onnx_bytes, onnx_logits
from fer_edge.convert.quantization import fake_quantized, quantizers
from fer_edge.convert.ranges import IMAGE_RANGE, SIGMOID_RANGE, _swish, calibrate, narrowed, pooled
from fer_edge.convert.sensitivity import sensitivity
from fer_edge.convert.source import Source, open_source
from fer_edge.edge.card import checked_card
from fer_edge.edge.classifier import TFLiteClassifier
from fer_edge.edge.cli import main
from fer_edge.edge.ensemble import NAMES
from fer_edge.edge.errors import ModelError
from fer_edge.edge.interpreter import open_interpreter
from fer_edge.edge.labels import labels_inside
from fer_edge.edge.preprocess import FACE_SIZE, INPUT_SIZE, normalize
from fer_edge.edge.types import EMOTIONS
from fer_edge.train import architectures
from fer_edge.train.architectures.layers import head, squeeze_excite
from fer_edge.train.data import Dataset, Split
from fer_edge.train.loop import predict_logits
from fer_edge.train.weights import save_half

SIZE = 32


def _unsettle(model, seed=0):
    """Weights as training leaves them: every one away from its start, some gains negative.

    Biases too: TensorFlow's converter gives a bias of equal values the first channel's scale in every channel.
    """
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if layer.__class__.__name__ in ("Conv2D", "Dense") and layer.use_bias:
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel, bias + rng.normal(0, 0.1, len(bias))])
        if layer.__class__.__name__ == "BatchNormalization":
            count = len(layer.get_weights()[0])
            gamma = rng.uniform(0.5, 1.5, count) * rng.choice([-1, 1], count, p=[0.2, 0.8])
            layer.set_weights(
                [gamma, rng.normal(0, 0.3, count), rng.normal(0, 0.1, count), np.exp(rng.normal(0, 1, count))]
            )
    return model


def _faces(count=24, seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 6, 6), np.uint8)
    return np.kron(coarse, np.ones((8, 8), np.uint8))


def _tiny(size=INPUT_SIZE):
    """One of every construction that the three networks have: ReLU6 and swish, both gates, residual, dropout, head."""
    tf_keras.utils.set_random_seed(1)
    layers = tf_keras.layers
    x = inputs = layers.Input((size, size, 3), name="image")
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    entry = x
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    x = layers.Activation("swish", name="swish")(layers.BatchNormalization()(x))
    x = squeeze_excite(tf_keras, x, 4, "swish", "a_", opened=False)
    x = layers.BatchNormalization()(layers.Conv2D(8, 1, use_bias=False)(x))
    x = layers.Dropout(0.2, noise_shape=(None, 1, 1, 1))(x)
    x = layers.Add()([x, entry])
    x = layers.ZeroPadding2D(((0, 1), (0, 1)))(x)
    x = layers.DepthwiseConv2D(3, strides=2, use_bias=False, name="strided")(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = squeeze_excite(tf_keras, x, 4, "relu", "b_", opened=True)
    return _unsettle(tf_keras.Model(inputs, head(tf_keras, x), name="tiny"))


@pytest.fixture(scope="module")
def tiny():
    return _tiny()


@pytest.fixture(scope="module")
def fake(tiny):
    unfolded = unfold(folded(tiny))
    return fake_quantized(unfolded, calibrate(unfolded, _faces()))


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
    faces = _faces(count)
    labels = predict_logits(model, faces).argmax(axis=1).astype(np.int64)
    return Dataset(Path("made"), {"train": Split(faces, labels), "val": Split(faces, labels)})


# --- equalize --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_equalizing_and_unfolding_keep_the_function(name):
    model = _unsettle(architectures.build(name, tf_keras, SIZE))
    before = predict_logits(model, _faces(4))
    tolerance = 1e-4 * max(1.0, float(np.abs(before).max()))
    assert equalize(model) == sum(layer.__class__.__name__ == "BatchNormalization" for layer in model.layers)
    np.testing.assert_allclose(predict_logits(model, _faces(4)), before, atol=tolerance)
    unfolded = unfold(model)
    np.testing.assert_allclose(predict_logits(unfolded, _faces(4)), before, atol=tolerance)
    assert not any(layer.__class__.__name__ == "Dropout" for layer in unfolded.layers)


def test_equalized_depthwise_channels_have_one_peak_and_no_negative_gain():
    model = _tiny()
    equalize(model)
    (kernel,) = model.get_layer("strided").get_weights()
    np.testing.assert_allclose(np.abs(kernel).max(axis=(0, 1, 3)), DEPTHWISE_PEAK, rtol=1e-5)
    gains = [layer.get_weights()[0] for layer in model.layers if layer.__class__.__name__ == "BatchNormalization"]
    assert all(np.all(gain >= 0) for gain in gains)


def test_a_dead_channel_is_left_alone():
    model = _tiny()
    layer = model.get_layer("strided")
    (kernel,) = layer.get_weights()
    kernel[:, :, 3] = 0
    layer.set_weights([kernel])
    before = predict_logits(model, _faces(4))
    equalize(model)
    np.testing.assert_allclose(predict_logits(model, _faces(4)), before, atol=1e-4)


def test_equalizing_takes_keras_3_too():
    import keras

    model = _unsettle(architectures.build("mobilenet_v2", keras, SIZE))
    before = predict_logits(model, _faces(4))
    assert equalize(model) == 52
    np.testing.assert_allclose(predict_logits(model, _faces(4)), before, atol=1e-4)


# --- fold ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_folded_input_is_the_same_function_borders_too(name):
    """Beside exact bilinear upscaling, not OpenCV's, which rounds to whole gray levels."""
    model = _unsettle(architectures.build(name, tf_keras))
    faces = np.random.default_rng(5).integers(0, 256, (3, 48, 48), np.uint8)
    upscaled = tf_keras.layers.UpSampling2D(2, interpolation="bilinear")(normalize(faces))
    stem = next(layer for layer in model.layers if layer.__class__.__name__ == "BatchNormalization").name
    small = folded(model)
    assert small.input_shape == (None, FACE_SIZE, FACE_SIZE, 1)
    for layer in (stem, "head_logits"):
        expected, found = (
            tf_keras.Model(net.input, net.get_layer(layer).output)(pixels).numpy()
            for net, pixels in ((model, upscaled), (small, normalize(faces, 1)))
        )
        np.testing.assert_allclose(found, expected, atol=1e-4 * max(1.0, float(np.abs(expected).max())))


def test_what_cannot_be_folded_says_so():
    layers = tf_keras.layers
    inputs = layers.Input((96, 96, 3))
    for net in (_tiny(32), tf_keras.Model(inputs, layers.Conv2D(4, 5, strides=2)(inputs))):
        with pytest.raises(ModelError, match="--no-fold"):
            folded(net)


# --- unfold, ranges --------------------------------------------------------------------------------------------


def test_an_unknown_layer_is_named():
    inputs = tf_keras.layers.Input((8, 8, 3))
    model = tf_keras.Model(inputs, tf_keras.layers.MaxPooling2D(name="pool")(inputs))
    with pytest.raises(ModelError, match="pool is a MaxPooling2D"):
        unfold(model)


def test_ranges_enclose_zero_and_fixed_ones_are_fixed(tiny):
    ranges = calibrate(unfold(tiny), _faces())
    assert all(low <= 0 < high for low, high in ranges.values())
    assert ranges["image_int8"] == IMAGE_RANGE
    assert ranges["a_se_expand_sigmoid"] == ranges["swish_sigmoid"] == SIGMOID_RANGE


def test_ranges_cut_a_lone_outlier_but_keep_an_even_spread():
    bulk = np.zeros(2048, np.int64)
    bulk[:205] = 100_000  # [0, 10) of [0, 100]
    bulk[-1] = 1
    low, high = narrowed(bulk, 0.0, 100.0)
    assert low == 0 and high < 50
    assert narrowed(np.full(2048, 1000), -3.0, 5.0) == (-3.0, 5.0)


def test_what_swish_cannot_tell_apart_is_cut_off() -> None:
    """Below about -8 a swish is 0: values down to -40 before it are no reason for coarse steps everywhere."""
    even = np.full(2048, 1000)
    low, high = narrowed(even, -40.0, 20.0, _swish)
    assert -10 < low < -3 and high > 18
    assert narrowed(even, -40.0, 20.0)[0] < -35


@pytest.mark.parametrize(
    ("before", "wanted"), [((0.0, 6.0), (0.0, 2.7)), ((-0.278, 9.0), (-0.1, 1.3)), ((0.0, 1.0), (0.0, 1.0))]
)
def test_the_scale_of_a_mean_divides_its_inputs(before, wanted):
    low, high = pooled(before, wanted)
    ratio = (before[1] - before[0]) / (high - low)
    assert ratio == pytest.approx(round(ratio)) and round(ratio) >= 1
    assert low <= wanted[0] and high >= wanted[1] - 1e-9


# --- the int8 file ---------------------------------------------------------------------------------------------


def test_the_export_is_int8_throughout(int8_file):
    ops = verify.check_integer(int8_file)
    assert ops["DEPTHWISE_CONV_2D"] == 2 and ops["LOGISTIC"] == 4
    assert not {"QUANTIZE", "DEQUANTIZE", "SHAPE"} & set(ops)
    model = open_interpreter(int8_file)
    assert model.inputs[0].dtype == model.outputs[0].dtype == np.int8
    assert (model.inputs[0].scale, model.inputs[0].zero_point) == (1 / 128, 0)


def test_convolution_weights_have_a_scale_per_channel(int8_file):
    inner = open_interpreter(int8_file, xnnpack=False)._interpreter
    tensors = {detail["index"]: detail for detail in inner.get_tensor_details()}
    for operator in inner._get_ops_details():
        if operator["op_name"] in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            kernel = tensors[operator["inputs"][1]]
            channels = kernel["shape"][3 if operator["op_name"] == "DEPTHWISE_CONV_2D" else 0]
            assert kernel["dtype"] == np.int8
            assert len(kernel["quantization_parameters"]["scales"]) == channels


def test_the_file_gives_what_the_fake_quantized_model_gives(fake, int8_file):
    """Each layer may round a half the other way: one step each, which the few layers behind it carry on."""
    classifier = TFLiteClassifier(int8_file, xnnpack=False)
    steps = np.abs(classifier.logits(_faces()) - predict_logits(fake, _faces())) / classifier.output_step
    assert steps.mean() < 1 and steps.max() <= 4


def test_post_training_quantization_is_int8_throughout(tiny, tmp_path):
    path = tmp_path / "tiny_ptq.tflite"
    path.write_bytes(export_post_training(tiny, _faces(8)))
    assert "LOGISTIC" in verify.check_integer(path)


def test_the_float_export_equals_keras(tiny, float_file):
    logits = TFLiteClassifier(float_file).logits(_faces())
    np.testing.assert_allclose(logits, predict_logits(tiny, _faces()), atol=1e-4)


# --- verify ----------------------------------------------------------------------------------------------------


def test_a_float_model_is_refused(float_file):
    with pytest.raises(ModelError, match="the input is float32, expected int8"):
        verify.check_integer(float_file)


def test_a_float_island_is_refused(tiny, tmp_path):
    """The same network with one layer that lost its range."""
    unfolded = unfold(tiny)
    ranges = calibrate(unfolded, _faces(8))
    holed = fake_quantized(unfolded, ranges)
    layer = next(layer for layer in holed.layers if layer.name == "quant_add" or "add" in layer.name)
    layer._output_quantizers = []
    path = tmp_path / "holed.tflite"
    path.write_bytes(export_int8(holed))
    with pytest.raises(ModelError, match="nothing was written"):
        verify.check_integer(path)


def test_low_agreement_and_a_large_drop_are_refused():
    split = Split(_faces(4), np.array([0, 1, 2, 3]))
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
    source = Source("tiny", tmp_path / "run" / "float.npz", _tiny(), {"recipe": "none"})
    out = tmp_path / "models"
    job = Job(tuning=Tuning(epochs=1, batch_size=8, steps=2), limits=verify.Limits(0.0, 100.0), limit=16, onnx=True)
    ((path, card),) = convert(source, _data(tiny), job, out, echo=lambda _: None)
    assert sorted(file.name for file in out.iterdir()) == ["tiny_int8.json", "tiny_int8.onnx", "tiny_int8.tflite"]
    assert checked_card(path) == card
    assert labels_inside(path) == EMOTIONS
    (figures,) = (value for key, value in card.accuracy["runtimes"].items() if key.startswith("LiteRT"))
    assert figures["agreement"] > 0.5
    assert card.accuracy["runtimes"]["tflite-runtime"] == "not run"
    assert card.conversion["operators"]["CONV_2D"] == 6
    assert len(card.conversion["history"]) == 2
    assert card.conversion["resumed"] is False
    assert card.conversion["onnx"]["file"] == "tiny_int8.onnx"


def test_int8_stays_int8_in_onnx(int8_file):
    proto = onnx.load_from_string(onnx_bytes(int8_file, "none"))
    weights = [each for each in proto.graph.initializer if len(each.dims) > 1]
    assert weights and all(each.data_type == onnx.TensorProto.INT8 for each in weights)
    assert {node.op_type for node in proto.graph.node} >= {"QuantizeLinear", "DequantizeLinear", "Conv"}
    classifier, found = TFLiteClassifier(int8_file), onnx_logits(proto.SerializeToString(), _faces())
    steps = np.abs(found - classifier.logits(_faces())) / classifier.output_step
    assert steps.mean() < 1 and steps.max() <= 4


def test_convert_writes_nothing_where_verification_fails(tiny, tmp_path):
    source = Source("tiny", tmp_path / "float.npz", _tiny(), {})
    out = tmp_path / "models"
    with pytest.raises(ModelError, match="agrees with the float model"):
        convert(source, _data(tiny), Job(("ptq",), limits=verify.Limits(1.01, 100.0)), out, echo=lambda _: None)
    assert not out.exists()


def test_only_integer_models_must_run_in_an_older_runtime(tiny, tmp_path):
    """A stand-in for tflite-runtime that imports but loads nothing, as version 2.14 does with dynamic models."""
    old = tmp_path / "python"
    old.write_text('#!/bin/sh\ncase "$2" in import\\ numpy*) exit 0;; esac\necho "Registration failed." >&2\nexit 1\n')
    old.chmod(0o755)
    source = Source("tiny", tmp_path / "float.npz", _tiny(), {})
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


@pytest.mark.parametrize(
    ("what", "expected"),
    [("mobilenet_v2", "fer-edge train"), ("here.txt", "no such file"), ("bad.npz", "cannot be read")],
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
    model = unfold(_unsettle(architectures.build("mobilenet_v2", tf_keras, SIZE)))
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
