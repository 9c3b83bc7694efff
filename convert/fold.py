"""The input folded into the first convolution: the device feeds the 48-px gray face as it is.

Gray to three equal channels, bilinear upscaling by two and a 3x3 convolution of stride 2 are linear. Together they are
one 3x3 convolution of stride 1 on the 48-px face, but at the borders: upscaling repeats the first and last row and
column, and the convolution's own zero padding comes after it, at the bottom and on the right. So the face gets a first
row and column once more, and is given four times, once whole and three times with all but its last row, its last column
or both zeroed; the kernels of those three correct what differs. Four channels cost a convolution what one does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from numpy.typing import NDArray

from fer_edge.convert.equalize import producer
from fer_edge.convert.graph import consumers, replay
from fer_edge.edge.errors import ModelError
from fer_edge.edge.preprocess import FACE_SIZE, INPUT_SIZE

BORDERS = "borders"
"""The name of the layer that repeats the face."""

# (3, 3) each: the taps of a kernel at 96 px to taps at 48 px, along one axis. An upscaled row is a quarter of one
# neighbour and three quarters of the other, so that taps on rows 2i, 2i+1 and 2i+2 fall on i-1, i and i+1.
_INNER = np.array([[0.25, 0, 0], [0.75, 0.75, 0.25], [0, 0.25, 0.75]])
_LAST = np.array([[0, 0, 0], [0, 0.25, -0.25], [0, 0, 0]])  # row 48 is row 47 again, and what follows it is zero
_AXIS = np.stack([_INNER, _LAST])


class Borders(tf_keras.layers.Layer):
    """(N, S, S, 1) to (N, S + 2, S + 2, 4): rows all, last by columns all, last; what is not meant is zero.

    The row and column before the first are the first again, those behind the last are zero.
    """

    def build(self, input_shape: Any) -> None:
        """The four masks."""
        side = int(input_shape[1]) + 2
        rows = np.stack([np.arange(side) < side - 1, np.arange(side) == side - 2])  # (2, S + 2)
        masks = np.einsum("ri,cj->ijrc", rows, rows).reshape(1, side, side, 4)
        self._masks = masks.astype(np.float32)
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        """The wider face behind each mask."""
        x = tf.concat([inputs[:, :1], inputs, inputs[:, -1:]], axis=1)
        return tf.concat([x[:, :, :1], x, x[:, :, -1:]], axis=2) * self._masks


def folded(model: Any) -> Any:
    """A tf_keras network of (N, 96, 96, 3) pictures as one of (N, 48, 48, 1) faces; the same function of them.

    Raises ModelError where the network does not begin with a 3x3 convolution of stride 2 on 96 pixels.
    """
    convolution = _first(model)
    dropped = {layer.name for layer in _before(convolution)}

    def emit(layer: Any, inputs: list[Any]) -> Any:
        if layer.name in dropped:
            return inputs[0]
        if layer is not convolution:
            return layer.__class__.from_config(layer.get_config())(inputs if len(inputs) > 1 else inputs[0])
        settings = {**layer.get_config(), "strides": 1, "padding": "valid"}
        return layer.__class__.from_config(settings)(Borders(name=BORDERS)(inputs[0]))

    result = replay(model, emit, (FACE_SIZE, FACE_SIZE, 1))
    kernel, *bias = convolution.get_weights()
    for layer in result.layers:
        if layer.name == convolution.name:
            layer.set_weights([fold_kernel(kernel), *bias])
        elif layer.weights:
            layer.set_weights(model.get_layer(layer.name).get_weights())
    return result


def fold_kernel(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """A (3, 3, 3, C) kernel of stride 2 at 96 px to the (3, 3, 4, C) one of stride 1 behind Borders at 48 px."""
    gray = kernel.astype(np.float64).sum(axis=2)  # (3, 3, C)
    taps = np.einsum("rik,cjl,klo->ijrco", _AXIS, _AXIS, gray)
    return np.asarray(taps.reshape(3, 3, 4, -1), np.float32)


def _first(model: Any) -> Any:
    if model.input_shape[1:] != (INPUT_SIZE, INPUT_SIZE, 3):
        raise ModelError(
            f"{model.name} takes {model.input_shape[1:]}; expected (96, 96, 3) to fold upscaling in; try --no-fold"
        )
    convolution = next((layer for layer in model.layers if layer.__class__.__name__ == "Conv2D"), None)
    if convolution is None or (convolution.kernel_size, convolution.strides) != ((3, 3), (2, 2)):
        raise ModelError(f"{model.name} does not begin with a 3x3 convolution of stride 2; try --no-fold")
    padding = [layer.padding for layer in _before(convolution)]
    if [convolution.padding, *padding] not in (["same"], ["valid", ((0, 1), (0, 1))]):
        raise ModelError(f"{model.name} does not pad its first convolution by one at the end; try --no-fold")
    return convolution


def _before(convolution: Any) -> list[Any]:
    """The zero padding before the first convolution, where that is a layer of its own."""
    before = producer(convolution.input)
    alone = before.__class__.__name__ == "ZeroPadding2D" and len(consumers(before)) == 1
    return [before] if alone else []
