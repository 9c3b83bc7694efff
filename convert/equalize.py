"""Exact channel equalization: every channel of a convolution gets the same norm, the batch norm takes the factor.

Training leaves channel norms up to 70-fold apart. One learning rate then moves some channels by whole int8 steps and
others not at all, and a single scale for a depthwise kernel rounds the small channels away. With equal norms both are
fair (the scaling of Nagel et al. 2019, arXiv:1906.04721, moved into batch norm instead of into the next layer).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

DEPTHWISE_PEAK = 0.5
"""Largest magnitude of each depthwise channel afterwards: what its int8 scale is made of."""

CONVOLUTION_NORM = 1.0
"""Euclidean norm of each convolution channel afterwards: weights of usual size, so that usual learning rates fit."""


def equalize(model: Any) -> int:
    """Equalize every convolution that a batch norm follows, in place; returns how many there were.

    Works on a functional model of either Keras. The function computed stays the same up to float32 rounding. A
    channel's sign is turned where gamma is negative, so that folding gamma in never mirrors an int8 range.
    """
    done = 0
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
        done += 1
    return done


def _factor(kernel: NDArray[np.float32], gamma: NDArray[np.float32], kind: str) -> NDArray[np.float64]:
    """(C,) factors for a kernel seen as (taps, C); 1 for channels that are all zero."""
    values = kernel.astype(np.float64)
    if kind == "DepthwiseConv2D":
        norms, target = np.abs(values).max(axis=0), DEPTHWISE_PEAK
    else:
        norms, target = np.sqrt(np.square(values).sum(axis=0)), CONVOLUTION_NORM
    alive = norms > 1e-8
    factor = np.where(alive, target / np.where(alive, norms, 1.0), 1.0)
    return np.asarray(factor * np.where(gamma < 0, -1.0, 1.0))


def producer(tensor: Any) -> Any:
    """The layer that made a functional tensor, in Keras 3 or tf_keras."""
    history = tensor._keras_history
    return getattr(history, "layer", None) or history.operation
