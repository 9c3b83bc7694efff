"""Networks and faces made up for conversion."""

from __future__ import annotations

import numpy as np
import tf_keras

from fer_edge.edge.preprocess import INPUT_SIZE
from fer_edge.train.architectures.layers import head, squeeze_excite
from fer_edge.train.architectures.resnet50_cbam import bottleneck


def unsettle(model, seed=0):
    """Weights as training leaves them: every one away from its start, some gains negative.

    Biases too: TensorFlow's converter gives a bias of equal values the first channel's scale in every channel.
    """
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if layer.__class__.__name__ in ("Conv2D", "Dense") and layer.use_bias:
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel, bias + rng.normal(0, 0.1, len(bias))])
        if layer.__class__.__name__ == "BatchNormalization":
            count = len(layer.get_weights()[0])
            gamma = rng.uniform(0.5, 1.5, count) * rng.choice([-1, 1], count, p=[0.2, 0.8])
            layer.set_weights(
                [gamma, rng.normal(0, 0.3, count), rng.normal(0, 0.1, count), np.exp(rng.normal(0, 1, count))]
            )
    return model


def coarse_faces(count=24, seed=0):
    """(count, 48, 48) uint8: squares of 8 pixels, each of one gray."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 6, 6), np.uint8)
    return np.kron(coarse, np.ones((8, 8), np.uint8))


def tiny_network(size=INPUT_SIZE):
    """One of every construction that the three networks have: ReLU6 and swish, both gates, residual, dropout, head."""
    tf_keras.utils.set_random_seed(1)
    layers = tf_keras.layers
    x = inputs = layers.Input((size, size, 3), name="image")
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    entry = x
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    x = layers.Activation("swish", name="swish")(layers.BatchNormalization()(x))
    x = squeeze_excite(tf_keras, x, 4, "swish", "a_", opened=False)
    x = layers.BatchNormalization()(layers.Conv2D(8, 1, use_bias=False)(x))
    x = layers.Dropout(0.2, noise_shape=(None, 1, 1, 1))(x)
    x = layers.Add()([x, entry])
    x = layers.ZeroPadding2D(((0, 1), (0, 1)))(x)
    x = layers.DepthwiseConv2D(3, strides=2, use_bias=False, name="strided")(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = squeeze_excite(tf_keras, x, 4, "relu", "b_", opened=True)
    return unsettle(tf_keras.Model(inputs, head(tf_keras, x, 7), name="tiny"))


def tiny_resnet(size=32):
    """One of every construction of ResNet-50 with CBAM: stem, max pooling, a block with a projected shortcut, head."""
    tf_keras.utils.set_random_seed(1)
    layers = tf_keras.layers
    x = inputs = layers.Input((size, size, 3), name="image")
    x = layers.Conv2D(8, 7, strides=2, use_bias=False, name="stem")(layers.ZeroPadding2D(3)(x))
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.MaxPooling2D(3, strides=2)(layers.ZeroPadding2D(1)(x))
    x = bottleneck(tf_keras, x, 4, 1, True, "block_")
    return unsettle(tf_keras.Model(inputs, head(tf_keras, x, 7), name="tiny_resnet"))
