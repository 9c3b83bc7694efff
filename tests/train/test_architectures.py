"""The networks: input sizes, the same function in Keras 3 and tf_keras, fused batch norm."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from fer_edge.edge.errors import ModelError
from fer_edge.edge.preprocess import network_input
from fer_edge.train import architectures
from fer_edge.train.fused_batch_norm import training_keras

pytestmark = pytest.mark.tensorflow


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same random weights in every run."""
    keras.utils.set_random_seed(2)


@pytest.mark.parametrize(
    ("name", "side", "expected"),
    [("vgg", 64, "48 px; given 64"), ("inception_resnet_v1", 64, "75 to 299 px; given 64")],
)
def test_a_size_that_a_network_cannot_take_is_one_line(name: str, side: int, expected: str) -> None:
    with pytest.raises(ModelError, match=expected):
        architectures.build(name, keras, side, classes=2)


@pytest.mark.parametrize("name", architectures.QUANTIZABLE)
def test_networks_for_devices_are_flat_and_the_same_in_both_keras(name: str) -> None:
    import tf_keras

    ours, theirs = architectures.build(name, keras, 32, classes=3), architectures.build(name, tf_keras, 32, classes=3)
    assert not any(isinstance(layer, keras.Model) for layer in ours.layers)
    rng = np.random.default_rng(1)
    ours.set_weights([rng.uniform(0.1, 0.3, w.shape) if w.ndim == 1 else w for w in ours.get_weights()])
    theirs.set_weights(ours.get_weights())
    faces = rng.integers(0, 256, (3, 48, 48), np.uint8)
    inputs = network_input(faces, 32)
    expected = np.asarray(ours(inputs, training=False))
    assert expected.shape == (3, 3)
    assert np.allclose(expected, np.asarray(theirs(inputs, training=False)), atol=1e-4 * (1 + np.abs(expected).max()))


def test_fused_batch_norm_is_keras_batch_norm() -> None:
    keras_norm, fused_norm = (k.layers.BatchNormalization(momentum=0.9) for k in (keras, training_keras()))
    x = np.random.default_rng(7).normal(3, 2, (16, 8, 8, 5)).astype(np.float32)
    count = 16 * 8 * 8  # the fused kernel's moving variance is the unbiased one
    for training in (True, False):
        assert np.allclose(
            keras_norm(x, training=training), fused_norm(x, training=training), rtol=2 / count, atol=1e-4
        )
    for one, other in zip(keras_norm.get_weights(), fused_norm.get_weights(), strict=True):
        assert np.allclose(one, other, rtol=2 / count, atol=1e-5)
    fused_norm.trainable = False
    before = fused_norm.get_weights()
    fused_norm(x, training=True)
    assert all(np.array_equal(a, b) for a, b in zip(before, fused_norm.get_weights(), strict=True))
