"""Initial weights from Keras Applications, and weights that do not fit."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from fer_edge.edge.errors import FerEdgeError
from fer_edge.edge.expression.model_spec import MODEL_NAMES
from fer_edge.edge.preprocess import network_input
from fer_edge.train import architectures
from fer_edge.train.weights import initialize, save_half

pytestmark = pytest.mark.tensorflow

FACES = np.random.default_rng(4).integers(0, 256, (8, 48, 48), np.uint8)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same random weights in every run."""
    keras.utils.set_random_seed(2)


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_weights_of_keras_applications_are_loaded_exactly(name: str, tmp_path: Path) -> None:
    """Random weights of Keras Applications' own network give the same features in ours."""
    builder = keras.applications.EfficientNetB0 if name == "efficientnet_b0" else keras.applications.MobileNetV2
    reference = builder(include_top=False, weights=None, input_shape=(96, 96, 3))
    rng = np.random.default_rng(1)
    spans = (
        (0.5, 1.5),
        (0.0, 1.0),
        (-0.05, 0.05),
        (0.015, 0.045),
    )  # Keras' own ones let features vanish
    for layer in reference.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(*span, w.shape) for span, w in zip(spans, layer.get_weights(), strict=True)])
    path = tmp_path / "backbone.weights.h5"
    reference.save_weights(path)
    model = architectures.build(name, keras)
    initialize(name, model, str(path), keras, FACES)
    inputs = network_input(np.random.default_rng(2).integers(0, 256, (2, 48, 48), np.uint8))
    raw = (inputs + 1) * 127.5 if name == "efficientnet_b0" else inputs
    changed = ("rescaling", "normalization", "stem_conv", "stem_bn") if name == "efficientnet_b0" else ()
    stored = {layer.name: layer.get_weights() for layer in reference.layers if layer.name not in changed}
    assert sum(map(bool, stored.values())) > 100
    for layer, values in stored.items():
        assert not values or all(map(np.array_equal, model.get_layer(layer).get_weights(), values)), layer
    if name == "se_mobilenet_v2":  # its gates have no counterpart: they start almost open
        gate = model.get_layer("out_se_expand")
        assert 0.97 < float(keras.ops.sigmoid(gate.bias[0])) < 1
        return
    # B0's input normalization is folded into its stem: exact but for the padded border, which spreads from there
    layer = "stem_bn" if name == "efficientnet_b0" else "out_relu"
    ours, theirs = (
        np.asarray(keras.Model(net.inputs, net.get_layer(layer).output)(pixels))
        for net, pixels in ((model, inputs), (reference, raw))
    )
    inner = (slice(None), slice(1, -1), slice(1, -1)) if name == "efficientnet_b0" else ...
    assert np.abs(theirs[0] - theirs[1]).mean() > 0.1
    assert np.allclose(ours[inner], theirs[inner], atol=1e-4 * np.abs(theirs).max())


def test_weights_that_do_not_fit_are_one_line(tmp_path: Path) -> None:
    model = architectures.build("mobilenet_v2", keras, 32)
    save_half(architectures.build("se_mobilenet_v2", keras, 32), tmp_path / "other.npz")
    (tmp_path / "damaged.weights.h5").write_bytes(b"nothing")
    for weights in ("missing.weights.h5", str(tmp_path / "other.npz"), str(tmp_path / "damaged.weights.h5")):
        with pytest.raises(FerEdgeError) as caught:
            initialize("mobilenet_v2", model, weights, keras, FACES)
        assert "\n" not in str(caught.value)
