"""A single .tflite classifier."""

from __future__ import annotations

import numpy as np
from random_faces import random_faces

from fer_edge.edge.expression.classifier import TFLiteClassifier
from fer_edge.edge.preprocess import network_input
from fer_edge.edge.tflite.quantize import dequantize, quantize
from fer_edge.models import FOLDER


def test_lookup_equals_quantizing_the_network_input() -> None:
    model = TFLiteClassifier(FOLDER / "mobilenet_v2_int8.tflite")
    _, side, _, channels = model.input.shape
    expected = quantize(network_input(random_faces(1), side, channels), model.input)
    (logits,) = model.interpreter.run(expected)
    assert np.array_equal(dequantize(logits[0], model.output), model.logits(random_faces(1))[0])
