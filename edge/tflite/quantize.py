"""Quantization: real values to a tensor's integers and back; the one place that rounds and clips.

real = (integer - zero_point) * scale, as the TFLite quantization specification has it
(https://ai.google.dev/edge/litert/models/quantization_spec).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.preprocess import normalize
from fer_edge.edge.tflite.interpreter import Tensor


def quantize(real: NDArray[np.floating], tensor: Tensor) -> NDArray[Any]:
    """Quantize real values: round half to even, then clip to the dtype's range.

    Args:
        real: Real values, of any shape.
        tensor: The tensor whose scale, zero point and dtype apply.

    Returns:
        Integers of the same shape; for a float tensor the values in its dtype.
    """
    if not tensor.scale:
        return real.astype(tensor.dtype)
    limits = np.iinfo(tensor.dtype)
    steps = np.rint(real / tensor.scale) + tensor.zero_point
    integers: NDArray[Any] = np.clip(steps, limits.min, limits.max).astype(tensor.dtype)
    return integers


def dequantize(integers: NDArray[Any], tensor: Tensor) -> NDArray[np.float32]:
    """Dequantize a tensor's integers.

    Args:
        integers: Values of the tensor, of any shape.
        tensor: The tensor whose scale and zero point apply.

    Returns:
        float32 real values of the same shape; a float tensor's values as they are.
    """
    if not tensor.scale:
        return integers.astype(np.float32)
    return (integers.astype(np.float32) - np.float32(tensor.zero_point)) * np.float32(tensor.scale)


def gray_table(tensor: Tensor) -> NDArray[Any]:
    """Make the look-up table that normalizes and quantizes gray values in one step.

    Args:
        tensor: The input tensor.

    Returns:
        (256,) the tensor's value for each gray value.
    """
    grays = np.arange(256, dtype=np.uint8)[:, None]  # (256, 1): a picture one pixel wide
    return quantize(normalize(grays)[:, 0, 0], tensor)


def pixel_table(tensor: Tensor, black: float, white: float) -> NDArray[Any]:
    """Make the look-up table from pixel values to a tensor whose black and white are given.

    An integer tensor whose steps are gray levels takes the pixels as they are, as its makers' programs hand them over:
    rounding what lies half-way between two steps would merge gray levels.

    Args:
        tensor: The input tensor.
        black: Real value of the pixel value 0.
        white: Real value of the pixel value 255.

    Returns:
        (256,) the tensor's value for each pixel value.
    """
    levels = np.arange(256)
    if tensor.scale:
        lowest = np.iinfo(tensor.dtype).min
        steps, first = (white - black) / tensor.scale, black / tensor.scale + tensor.zero_point - lowest
        if abs(steps - 255) <= 1 and abs(first) <= 1:
            return (levels + lowest).astype(tensor.dtype)
    return quantize(black + levels * ((white - black) / 255), tensor)
