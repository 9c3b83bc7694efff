"""Batch norm as one kernel on TensorFlow, for training only.

Keras 3 composes batch norm from elementwise operations; on a CPU with TensorFlow they took more than half of a
training step of MobileNetV2. The fused kernel computes the same function (its moving variance is the unbiased one).
Saved models have Keras' own layer: weights are copied over, which they fit one to one.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import keras


def training_keras() -> Any:
    """What to build a network with for training: Keras, with a fused batch norm where the backend has one."""
    if keras.backend.backend() != "tensorflow":
        return keras
    fused = SimpleNamespace(**{name: getattr(keras.layers, name) for name in dir(keras.layers)})
    fused.BatchNormalization = _fused_class()
    return SimpleNamespace(layers=fused, Model=keras.Model, initializers=keras.initializers)


def _fused_class() -> Any:
    import tensorflow as tf

    class FusedBatchNormalization(keras.layers.BatchNormalization):
        """Keras' batch norm over the last axis of (N, H, W, C), in one kernel each way."""

        def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
            """(N, H, W, C) to the same shape; moves the statistics when training."""
            learning = bool(training) and self.trainable
            result, mean, variance = tf.compat.v1.nn.fused_batch_norm(
                inputs,
                tf.convert_to_tensor(self.gamma) if self.scale else tf.ones_like(self.beta),
                tf.convert_to_tensor(self.beta),
                mean=None if learning else tf.convert_to_tensor(self.moving_mean),
                variance=None if learning else tf.convert_to_tensor(self.moving_variance),
                epsilon=self.epsilon,
                is_training=learning,
            )
            if learning:
                for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
                    moving.assign(moving * self.momentum + now * (1 - self.momentum))
            return result

    return FusedBatchNormalization
