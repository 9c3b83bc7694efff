"""Exact channel equalization: every channel of a convolution gets the same norm, and its batch norm takes the factor.

After training, channel norms differ up to 70-fold. One learning rate then moves some channels by whole int8 steps and
others not at all, and a single scale for a depthwise kernel rounds small channels to nothing. Equal norms solve both
(the scaling of Nagel et al. 2019, arXiv:1906.04721, moved into the batch norm instead of into the next layer).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.convert.graph import producer

DEPTHWISE_PEAK = 0.5
"""Largest magnitude of each depthwise channel afterwards; its int8 scale follows from it."""

CONVOLUTION_NORM = 1.0
"""Euclidean norm of each convolution channel afterwards: weights of the usual size, for the usual learning rates."""


def equalize(model: Any) -> int:
    """Equalize every convolution that a batch norm follows, in place.

    The model computes the same function up to float32 rounding. A channel's sign is flipped where gamma is negative, so
    that folding gamma in never mirrors an int8 range.

    Args:
        model: A functional model of Keras 3 or tf_keras.

    Returns:
        The number of equalized convolutions.
    """
    count = 0
    for norm in model.layers:
        if norm.__class__.__name__ != "BatchNormalization":
            continue
        convolution = producer(norm.input)
        kind = convolution.__class__.__name__
        if kind not in ("Conv2D", "DepthwiseConv2D") or len(convolution.get_weights()) != 1:
            continue
        (kernel,) = convolution.get_weights()
        # (taps, C): a depthwise kernel is (height, width, C, 1), any other (height, width, in, C)
        channels_last = kernel.reshape(-1, kernel.shape[2 if kind == "DepthwiseConv2D" else 3])
        gamma, beta, mean, variance = norm.get_weights()
        factor = _factor(channels_last, gamma, kind)
        scaled, epsilon = factor**2 * variance, float(norm.epsilon)
        new_gamma = gamma * np.sqrt(scaled + epsilon) / (factor * np.sqrt(variance + epsilon))
        convolution.set_weights([(channels_last * factor).reshape(kernel.shape).astype(np.float32)])
        norm.set_weights([value.astype(np.float32) for value in (new_gamma, beta, factor * mean, scaled)])
        count += 1
    return count


def _factor(kernel: NDArray[np.float32], gamma: NDArray[np.float32], kind: str) -> NDArray[np.float64]:
    """(C,) factors for a kernel of shape (taps, C); 1 for channels that are all zero."""
    values = kernel.astype(np.float64)
    if kind == "DepthwiseConv2D":
        norms, target = np.abs(values).max(axis=0), DEPTHWISE_PEAK
    else:
        norms, target = np.sqrt(np.square(values).sum(axis=0)), CONVOLUTION_NORM
    nonzero = norms > 1e-8
    factor = np.where(nonzero, target / np.where(nonzero, norms, 1.0), 1.0)
    return np.asarray(factor * np.where(gamma < 0, -1.0, 1.0))
