"""The example that compares activations in a trained network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from networks import coarse_faces, tiny_network
from predictions import CLASSES

from examples import example
from fer_edge.train.data.splits import Split

pytestmark = pytest.mark.tensorflow


def test_activations_are_replaced_and_compared(tmp_path: Path) -> None:
    """The tiny network has two swishes and two gates; a hard swish is zero below -3 and its input above 3."""
    activations = example("activations")
    model = tiny_network()
    assert activations.replace_activations(model, {"swish": activations.hard_swish}) == 2
    assert activations.replace_activations(model, {"swish": activations.hard_swish}) == 0
    assert np.allclose(model.get_layer("swish")(np.float32([-4, -3, 0, 3, 4])), [0, 0, 0, 3, 4])
    faces = coarse_faces()
    val = Split(faces, np.zeros(len(faces), np.int64), CLASSES)
    head, *lines = activations.table(activations.open_variants(tiny_network, val, faces, tmp_path)).splitlines()
    assert head.split() == ["float", "int8", "latency"]
    assert [line[:26].strip() for line in lines] == list(activations.VARIANTS)
    assert lines[0].endswith("1.00x (1.00–1.00)")
