"""Structured pruning: what a pruned network computes, compared with the original."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from networks import coarse_faces, unsettle
from numpy.typing import NDArray
from predictions import CLASSES

from fer_edge.edge.preprocess import network_input
from fer_edge.models import FOLDER
from fer_edge.train import architectures
from fer_edge.train.architectures.mobilenet_v2 import inverted_residual, normalize
from fer_edge.train.pruning import prune
from fer_edge.train.weights import assemble, initialize, read_half, save_half

pytestmark = pytest.mark.tensorflow

SIDE = 32
ORIGINAL = FOLDER / "float" / "mobilenet_v2.npz"


def blocks(bottleneck: int, *, with_block_2: bool) -> Any:
    """MobileNetV2's stem and first blocks, with all expanded channels."""
    inputs = keras.layers.Input((SIDE, SIDE, 3))
    x = keras.layers.Conv2D(32, 3, strides=2, padding="same", use_bias=False, name="Conv1")(inputs)
    x = normalize(keras, x, "bn_Conv1", "Conv1_relu")
    for index, channels, stride in ((0, bottleneck, 1), (1, 24, 2), (2, 24, 1), (3, 32, 2), (4, 32, 1), (5, 32, 1)):
        if index != 2 or with_block_2:
            x = inverted_residual(keras, x, index, channels, stride, (0, 96, 144, 144, 192, 192)[index])
    return keras.Model(inputs, x)


def values(network: Any, layer: str, pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(keras.Model(network.input, network.get_layer(layer).output)(pictures))


def test_with_all_channels_a_network_is_unchanged() -> None:
    keras.utils.set_random_seed(2)
    original = unsettle(architectures.build("mobilenet_v2", keras, SIDE, classes=7))
    faces = np.random.default_rng(3).integers(0, 256, (96, 48, 48), np.uint8)
    pictures = network_input(faces, SIDE)
    whole = blocks(16, with_block_2=True)
    prune(whole, original, pictures[:64])
    expected = values(original, "block_5_add", pictures[64:])
    assert np.allclose(whole(pictures[64:]), expected, atol=1e-3 * np.abs(expected).max())


def test_projections_make_up_for_a_block_and_directions_that_are_left_out() -> None:
    original = assemble(read_half(ORIGINAL), ORIGINAL, keras, SIDE)
    pictures = network_input(coarse_faces(96), SIDE)
    pruned = blocks(8, with_block_2=False)
    prune(pruned, original, pictures[:64])
    for layer, stands_for in (("block_1_project_BN", "block_2_add"), ("block_5_add", "block_5_add")):
        expected = values(original, stands_for, pictures[64:])
        error = np.square(values(pruned, layer, pictures[64:]) - expected).mean()
        assert error < 0.3 * expected.var(axis=(0, 1, 2)).mean(), layer


def test_the_small_network_starts_from_the_large_one_or_from_its_own_weights(tmp_path: Path) -> None:
    faces = coarse_faces(24)
    small, same = (architectures.build("mobilenet_v2_small", keras, SIDE, classes=7) for _ in range(2))
    before = small.get_layer("head_logits").get_weights()
    initialize("mobilenet_v2_small", small, str(ORIGINAL), keras, faces, CLASSES)
    assert all(map(np.array_equal, small.get_layer("head_logits").get_weights(), before))
    large = assemble(read_half(ORIGINAL), ORIGINAL, keras, SIDE)
    one, other = (values(net, "Conv1", network_input(faces, SIDE)) for net in (small, large))
    assert all(any(np.array_equal(one[..., a], other[..., b]) for b in range(32)) for a in range(16))
    save_half(small, tmp_path / "small.npz", CLASSES)
    initialize("mobilenet_v2_small", same, str(tmp_path / "small.npz"), keras, faces, CLASSES)
    assert np.allclose(small(network_input(faces, SIDE)), same(network_input(faces, SIDE)), atol=0.05)
