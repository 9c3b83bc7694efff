"""Between real numbers and a quantized tensor's integers: the one place that rounds and clips.

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
    """Real values to the tensor's integers (round half to even, then clip); float tensors pass as float32."""
    if not tensor.scale:
        return real.astype(tensor.dtype)
    limits = np.iinfo(tensor.dtype)
    steps = np.rint(real / tensor.scale) + tensor.zero_point
    integers: NDArray[Any] = np.clip(steps, limits.min, limits.max).astype(tensor.dtype)
    return integers


def dequantize(integers: NDArray[Any], tensor: Tensor) -> NDArray[np.float32]:
    """The tensor's integers to real values, float32; float tensors pass."""
    if not tensor.scale:
        return integers.astype(np.float32)
    return (integers.astype(np.float32) - np.float32(tensor.zero_point)) * np.float32(tensor.scale)


def gray_table(tensor: Tensor) -> NDArray[Any]:
    """(256,) what each gray value becomes in the tensor: normalization and quantization in one look-up."""
    grays = np.arange(256, dtype=np.uint8)[:, None]  # (256, 1): a picture one pixel wide
    return quantize(normalize(grays)[:, 0, 0], tensor)
