"""What the networks share: the padding of strided convolutions, squeeze-and-excitation, the head."""

from __future__ import annotations

from typing import Any


def pad_for_stride(keras: Any, x: Any, kernel: int, name: str) -> Any:
    """Zero padding for a stride-2 'valid' convolution, as Keras Applications pads (one less on the top left)."""
    even = [1 - int(side) % 2 for side in x.shape[1:3]]
    half = kernel // 2
    return keras.layers.ZeroPadding2D(tuple((half - e, half) for e in even), name=name)(x)


def squeeze_excite(keras: Any, x: Any, squeezed: int, activation: str, name: str, opened: bool) -> Any:
    """Squeeze-and-excitation (Hu et al. 2018, arXiv:1709.01507): (N, H, W, C) scaled by a gate per channel.

    An activation other than ReLU is a layer of its own, since a fused one is quantized only behind it.

    Args:
        keras: The Keras module to build with.
        x: (N, H, W, C).
        squeezed: Channels between the gate's two convolutions.
        activation: Of the first convolution.
        name: Prefix of the layers' names.
        opened: Whether the gates start near 1, so that pretrained weights around them keep their function.
    """
    layers = keras.layers
    channels = int(x.shape[-1])
    gate = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}se_squeeze")(x)  # (N, 1, 1, C)
    fused = activation if activation == "relu" else None
    gate = layers.Conv2D(squeezed, 1, activation=fused, name=f"{name}se_reduce")(gate)
    if fused is None:
        gate = layers.Activation(activation, name=f"{name}se_activation")(gate)
    initial = opened_gate(keras) if opened else {}
    gate = layers.Conv2D(channels, 1, activation="sigmoid", name=f"{name}se_expand", **initial)(gate)
    return layers.Multiply(name=f"{name}se_excite")([x, gate])


def opened_gate(keras: Any) -> dict[str, Any]:
    """Initializers of a gate's last convolution with which it starts near 1, so that what surrounds it is kept."""
    return {
        "kernel_initializer": keras.initializers.RandomNormal(stddev=0.01),
        "bias_initializer": keras.initializers.Constant(4.0),
    }


def head(keras: Any, x: Any, classes: int) -> Any:
    """(N, H, W, F) to (N, C) logits of so many classes: global average, Dense 512 with ReLU, Dropout 0.5, Dense C."""
    layers = keras.layers
    x = layers.GlobalAveragePooling2D(name="head_pool")(x)
    x = layers.Dense(512, activation="relu", name="head_dense")(x)
    x = layers.Dropout(0.5, name="head_dropout")(x)
    return layers.Dense(classes, dtype="float32", name="head_logits")(x)
