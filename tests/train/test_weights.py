"""Initial weights from Keras Applications, and weights that do not fit."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from fer_edge.edge.errors import FerEdgeError, ModelError
from fer_edge.edge.expression.model_spec import MODEL_NAMES
from fer_edge.edge.preprocess import network_input
from fer_edge.train import architectures, keras_applications
from fer_edge.train.weights import initialize, save_half

pytestmark = pytest.mark.tensorflow

NAMES = ("a", "b")
FACES = np.random.default_rng(4).integers(0, 256, (8, 48, 48), np.uint8)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same random weights in every run."""
    keras.utils.set_random_seed(2)


@pytest.mark.parametrize("name", [name for name in MODEL_NAMES if name != "mobilenet_v2_small"])  # it is pruned
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
    model = architectures.build(name, keras, classes=2)
    initialize(name, model, str(path), keras, FACES, NAMES)
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


def test_resnet_keeps_the_function_of_keras_applications(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its biases and its input normalization are in the batch norms; its gates are opened by their biases."""
    reference = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(64, 64, 3))
    rng = np.random.default_rng(1)
    for layer in reference.layers:
        if layer.weights:
            vectors = [rng.uniform(0.2, 0.8, w.shape) if w.ndim == 1 else w for w in layer.get_weights()]
            layer.set_weights(vectors)
    monkeypatch.setattr(keras_applications, "_reference", lambda *_: reference)
    model = architectures.build("resnet50_cbam", keras, classes=2)
    initialize("resnet50_cbam", model, "imagenet", keras, FACES, NAMES)
    gates = [layer for layer in model.layers if layer.name.endswith(("channel_expand", "spatial_mean_conv"))]
    assert len(gates) == 32
    for gate in gates:
        kernel, bias = gate.get_weights()
        assert 0.97 < float(keras.ops.sigmoid(bias[0])) < 1
        gate.set_weights([kernel, bias + 100])
    pixels = rng.integers(0, 256, (2, 64, 64, 3)).astype(np.float32)
    raw = keras.applications.resnet50.preprocess_input(pixels.copy())
    # the padding of the input is mid-gray here and ImageNet's mean there, so that only the inner pixels are the same
    ours, theirs = (
        np.asarray(keras.Model(net.inputs, net.get_layer("conv1_bn").output)(views))[:, 2:-2, 2:-2]
        for net, views in ((model, pixels / 127.5 - 1), (reference, raw))
    )
    assert np.allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max())
    x = rng.uniform(0, 1, (2, 32, 32, 64)).astype(np.float32)
    ours, theirs = (
        np.asarray(keras.Model(net.get_layer("pool1_pad").input, net.get_layer("conv5_block3_out").output)(x))
        for net in (model, reference)
    )
    assert theirs.std() > 0.1 and np.allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max())


def test_weights_that_do_not_fit_are_one_line(tmp_path: Path) -> None:
    model = architectures.build("mobilenet_v2", keras, 32, classes=2)
    small = architectures.build("mobilenet_v2_small", keras, 32, classes=2)
    save_half(architectures.build("se_mobilenet_v2", keras, 32, classes=2), tmp_path / "other.npz", NAMES)
    (tmp_path / "damaged.weights.h5").write_bytes(b"nothing")
    for weights in ("missing.weights.h5", str(tmp_path / "other.npz"), str(tmp_path / "damaged.weights.h5")):
        with pytest.raises(FerEdgeError) as caught:
            initialize("mobilenet_v2", model, weights, keras, FACES, NAMES)
        assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match=r"of se_mobilenet_v2; expected those of mobilenet_v2_small or mobilenet_v2$"):
        initialize("mobilenet_v2_small", small, str(tmp_path / "other.npz"), keras, FACES, NAMES)
