"""Preparation for quantization: equalizing, folding, decomposing and calibrating."""

from __future__ import annotations

import numpy as np
import pytest
import tf_keras
from networks import coarse_faces, tiny_network, tiny_resnet, unsettle

from fer_edge.convert.equalize import DEPTHWISE_PEAK, equalize
from fer_edge.convert.fold import fold_input
from fer_edge.convert.graph import decompose
from fer_edge.convert.ranges import IMAGE_RANGE, SIGMOID_RANGE, calibrate, clipped_range, pooling_range, swish
from fer_edge.edge.errors import ModelError
from fer_edge.edge.expression.model_spec import MODEL_NAMES
from fer_edge.edge.preprocess import FACE_SIZE, normalize
from fer_edge.train import architectures
from fer_edge.train.networks import predict_logits

pytestmark = pytest.mark.tensorflow

SIZE = 32


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same random weights in every run."""
    tf_keras.utils.set_random_seed(2)


# --- equalize --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_equalizing_and_decomposing_keep_the_function(name):
    model = unsettle(architectures.build(name, tf_keras, SIZE, classes=7))
    before = predict_logits(model, coarse_faces(4))
    tolerance = 1e-4 * max(1.0, float(np.abs(before).max()))
    assert equalize(model) == sum(layer.__class__.__name__ == "BatchNormalization" for layer in model.layers)
    np.testing.assert_allclose(predict_logits(model, coarse_faces(4)), before, atol=tolerance)
    decomposed = decompose(model)
    np.testing.assert_allclose(predict_logits(decomposed, coarse_faces(4)), before, atol=tolerance)
    assert not any(layer.__class__.__name__ == "Dropout" for layer in decomposed.layers)


def test_the_larger_network_keeps_its_function_too():
    model = tiny_resnet(SIZE)
    before = predict_logits(model, coarse_faces(4))
    assert equalize(model) == 5
    folded = fold_input(model)
    assert folded.input_shape == (None, SIZE, SIZE, 1)
    for each in (model, folded, decompose(folded)):
        np.testing.assert_allclose(predict_logits(each, coarse_faces(4)), before, atol=1e-4)


def test_equalized_depthwise_channels_have_one_peak_and_no_negative_gain():
    model = tiny_network()
    equalize(model)
    (kernel,) = model.get_layer("strided").get_weights()
    np.testing.assert_allclose(np.abs(kernel).max(axis=(0, 1, 3)), DEPTHWISE_PEAK, rtol=1e-5)
    gains = [layer.get_weights()[0] for layer in model.layers if layer.__class__.__name__ == "BatchNormalization"]
    assert all(np.all(gain >= 0) for gain in gains)


def test_a_dead_channel_is_left_alone():
    model = tiny_network()
    layer = model.get_layer("strided")
    (kernel,) = layer.get_weights()
    kernel[:, :, 3] = 0
    layer.set_weights([kernel])
    before = predict_logits(model, coarse_faces(4))
    equalize(model)
    np.testing.assert_allclose(predict_logits(model, coarse_faces(4)), before, atol=1e-4)


def test_equalizing_takes_keras_3_too():
    import keras

    model = unsettle(architectures.build("mobilenet_v2", keras, SIZE, classes=7))
    before = predict_logits(model, coarse_faces(4))
    assert equalize(model) == 52
    np.testing.assert_allclose(predict_logits(model, coarse_faces(4)), before, atol=1e-4)


# --- fold ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_the_folded_input_is_the_same_function_borders_too(name):
    """Compared with exact bilinear upscaling, not with OpenCV's, which rounds to whole gray levels."""
    model = unsettle(architectures.build(name, tf_keras, classes=7))
    faces = np.random.default_rng(5).integers(0, 256, (3, 48, 48), np.uint8)
    upscaled = tf_keras.layers.UpSampling2D(2, interpolation="bilinear")(normalize(faces))
    stem = next(layer for layer in model.layers if layer.__class__.__name__ == "BatchNormalization").name
    small = fold_input(model)
    assert small.input_shape == (None, FACE_SIZE, FACE_SIZE, 1)
    for layer in (stem, "head_logits"):
        expected, found = (
            tf_keras.Model(net.input, net.get_layer(layer).output)(pixels).numpy()
            for net, pixels in ((model, upscaled), (small, normalize(faces, 1)))
        )
        np.testing.assert_allclose(found, expected, atol=1e-4 * max(1.0, float(np.abs(expected).max())))


def test_a_network_that_cannot_be_folded_is_refused():
    layers = tf_keras.layers
    inputs = layers.Input((96, 96, 3))
    small = layers.Input((32, 32, 3))
    for net in (
        tf_keras.Model(inputs, layers.Conv2D(4, 5, strides=2)(inputs)),
        tf_keras.Model(small, layers.Conv2D(4, 3)(layers.ReLU()(small))),
    ):
        with pytest.raises(ModelError, match="--no-fold"):
            fold_input(net)


# --- decompose, ranges --------------------------------------------------------------------------------------------


def test_an_unknown_layer_is_named():
    inputs = tf_keras.layers.Input((8, 8, 3))
    model = tf_keras.Model(inputs, tf_keras.layers.AveragePooling2D(name="pool")(inputs))
    with pytest.raises(ModelError, match="pool is a AveragePooling2D"):
        decompose(model)


def test_ranges_enclose_zero_and_fixed_ones_are_fixed():
    ranges = calibrate(decompose(tiny_network()), coarse_faces())
    assert all(low <= 0 < high for low, high in ranges.values())
    assert ranges["image_int8"] == IMAGE_RANGE
    assert ranges["a_se_expand_sigmoid"] == ranges["swish_sigmoid"] == SIGMOID_RANGE


def test_what_is_concatenated_has_one_range():
    """A mean over pixels has a coarser scale than it could have, where it lies beside the maximum."""
    ranges = calibrate(decompose(tiny_resnet(SIZE)), coarse_faces())
    assert ranges["block_channel_mean"] == ranges["block_3_bn"]
    low, high = ranges["block_channel_scale"]
    finer = (high - low) / np.subtract(*reversed(ranges["block_spatial_mean"]))
    assert finer > 1.5 and finer == pytest.approx(round(finer))
    assert not {"block_channel_max", "block_channel_both", "block_spatial_pixels", "block_add"} & set(ranges)


def test_ranges_cut_a_lone_outlier_but_keep_an_even_spread():
    bulk = np.zeros(2048, np.int64)
    bulk[:205] = 100_000  # [0, 10) of [0, 100]
    bulk[-1] = 1
    low, high = clipped_range(bulk, 0.0, 100.0)
    assert low == 0 and high < 50
    assert clipped_range(np.full(2048, 1000), -3.0, 5.0) == (-3.0, 5.0)


def test_a_range_is_clipped_where_swish_is_flat() -> None:
    """Below about -8 a swish is 0: values down to -40 before it are no reason for coarser steps."""
    even = np.full(2048, 1000)
    low, high = clipped_range(even, -40.0, 20.0, swish)
    assert -10 < low < -3 and high > 18
    assert clipped_range(even, -40.0, 20.0)[0] < -35


@pytest.mark.parametrize(
    ("before", "measured"), [((0.0, 6.0), (0.0, 2.7)), ((-0.278, 9.0), (-0.1, 1.3)), ((0.0, 1.0), (0.0, 1.0))]
)
def test_the_scale_of_a_mean_divides_its_inputs(before, measured):
    low, high = pooling_range(before, measured)
    ratio = (before[1] - before[0]) / (high - low)
    assert ratio == pytest.approx(round(ratio)) and round(ratio) >= 1
    assert low <= measured[0] and high >= measured[1] - 1e-9
