"""Batch norm as one fused kernel on TensorFlow, for training only.

Keras 3 composes batch norm from elementwise operations; on a CPU with TensorFlow they took more than half of a
training step of MobileNetV2. The fused kernel computes the same function (its moving variance is the unbiased one).
Saved models have Keras' own layer, which takes the same weights.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from fer_edge.train.backend import keras


def training_keras() -> Any:
    """The Keras to build a network with for training, which has a fused batch norm where the backend has one."""
    if keras.backend.backend() != "tensorflow":
        return keras
    layers = SimpleNamespace(**{name: getattr(keras.layers, name) for name in dir(keras.layers)})
    layers.BatchNormalization = _fused_class()
    return SimpleNamespace(layers=layers, Model=keras.Model, initializers=keras.initializers)


def _fused_class() -> Any:
    import tensorflow as tf

    class FusedBatchNormalization(keras.layers.BatchNormalization):
        """Keras' batch norm over the last axis of (N, H, W, C), in one kernel each way."""

        def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
            """(N, H, W, C) to the same shape; updates the statistics when training."""
            updates = bool(training) and self.trainable
            result, mean, variance = tf.compat.v1.nn.fused_batch_norm(
                inputs,
                tf.convert_to_tensor(self.gamma) if self.scale else tf.ones_like(self.beta),
                tf.convert_to_tensor(self.beta),
                mean=None if updates else tf.convert_to_tensor(self.moving_mean),
                variance=None if updates else tf.convert_to_tensor(self.moving_variance),
                epsilon=self.epsilon,
                is_training=updates,
            )
            if updates:
                for moving, current in ((self.moving_mean, mean), (self.moving_variance, variance)):
                    moving.assign(moving * self.momentum + current * (1 - self.momentum))
            return result

    return FusedBatchNormalization
