"""The fake-quantized network that fine-tuning trains, and its float teacher."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.convert.equalize import equalize
from fer_edge.convert.fake_quantization import fake_quantize
from fer_edge.convert.graph import decompose
from fer_edge.convert.ranges import calibrate

_logger = logging.getLogger(__name__)


def prepare_student(model: Any, faces: NDArray[np.uint8]) -> tuple[Any, Any]:
    """Equalize and calibrate a float network, and put fake quantization into it.

    Args:
        model: The float tf_keras model; it is equalized in place, which keeps its function.
        faces: (N, 48, 48) uint8 faces to calibrate the ranges on.

    Returns:
        The fake-quantized student, not yet fine-tuned, and its float teacher.

    Raises:
        ModelError: A layer has no rule for its quantization.
    """
    _logger.info(f"equalized {equalize(model)} convolutions; calibrating ranges on {len(faces)} faces")
    teacher = decompose(model)
    return fake_quantize(teacher, calibrate(teacher, faces)), teacher
