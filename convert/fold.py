"""Grayscale and upscaling folded into the first convolution, so that the network takes the 48-px gray face.

Gray to three equal channels, bilinear upscaling by two and a 3x3 convolution of stride 2 are linear. Together they are
one 3x3 convolution of stride 1 on the 48-px face, except at the borders: upscaling repeats the first and last row and
column, and the convolution's own zero padding follows it, at the bottom and on the right. So the first row and column
of the face are repeated, and the face becomes four channels: the whole of it, and three in which all but the last row,
the last column or both are zero; the kernels of those three correct the difference. Four channels cost a convolution
as much as one. A network of another size than 96 has grayscale alone folded: its three kernels become their sum.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from numpy.typing import NDArray

from fer_edge.convert.graph import consumers, producer, rebuild
from fer_edge.edge.errors import ModelError
from fer_edge.edge.preprocess import FACE_SIZE, INPUT_SIZE

BORDERS = "borders"
"""The name of the layer that makes the four channels."""

# (3, 3) each: map the taps of a kernel at 96 px to taps at 48 px, along one axis. An upscaled row is a quarter of one
# neighbour and three quarters of the other, so taps on rows 2i, 2i+1 and 2i+2 fall on i-1, i and i+1.
_INNER = np.array([[0.25, 0, 0], [0.75, 0.75, 0.25], [0, 0.25, 0.75]])
_LAST = np.array([[0, 0, 0], [0, 0.25, -0.25], [0, 0, 0]])  # row 48 repeats row 47, and zeros follow
_AXIS = np.stack([_INNER, _LAST])


class Borders(tf_keras.layers.Layer):
    """(N, S, S, 1) to (N, S + 2, S + 2, 4): (all rows, last row) x (all columns, last column), zero elsewhere.

    The first row and column are repeated before the first, zeros follow the last.
    """

    def build(self, input_shape: Any) -> None:
        """Make the four masks."""
        side = int(input_shape[1]) + 2
        rows = np.stack([np.arange(side) < side - 1, np.arange(side) == side - 2])  # (2, S + 2)
        masks = np.einsum("ri,cj->ijrc", rows, rows).reshape(1, side, side, 4)
        self._masks = masks.astype(np.float32)
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        """The padded face under each mask."""
        x = tf.concat([inputs[:, :1], inputs, inputs[:, -1:]], axis=1)
        return tf.concat([x[:, :, :1], x, x[:, :, -1:]], axis=2) * self._masks


def fold_input(model: Any) -> Any:
    """Fold grayscale into a network's first convolution, and upscaling too where the network takes 96 pixels.

    Args:
        model: A tf_keras network of (N, S, S, 3) float32 pictures.

    Returns:
        The network that computes the same function of gray pictures: of (N, 48, 48, 1) float32 faces where S is 96, of
        (N, S, S, 1) pictures otherwise.

    Raises:
        ModelError: The network takes 96 pixels and does not begin with a 3x3 convolution of stride 2, or takes others
            and does not begin with a convolution.
    """
    side, channels = model.input_shape[2:]
    if (side, channels) == (INPUT_SIZE, 3):
        return _fold_upscaling(model)
    convolution = _first_convolution(model)
    if channels != 3 or convolution is None:
        raise ModelError(f"{model.name} does not begin with a convolution of three channels; try --no-fold")
    result = rebuild(model, lambda layer, inputs: _copy(layer, inputs), (side, side, 1))
    return _with_weights(result, model, convolution.name, lambda kernel: kernel.sum(axis=2, keepdims=True))


def _fold_upscaling(model: Any) -> Any:
    """The network of (N, 48, 48, 1) faces that computes the same as one of 96-px pictures. Raises ModelError."""
    convolution = _strided_convolution(model)
    padding = {layer.name for layer in _padding(convolution)}

    def emit(layer: Any, inputs: list[Any]) -> Any:
        if layer.name in padding:
            return inputs[0]
        if layer is not convolution:
            return _copy(layer, inputs)
        return _copy(layer, [Borders(name=BORDERS)(inputs[0])], strides=1, padding="valid")

    result = rebuild(model, emit, (FACE_SIZE, FACE_SIZE, 1))
    return _with_weights(result, model, convolution.name, fold_kernel)


def _copy(layer: Any, inputs: list[Any], **changes: Any) -> Any:
    """The output of a new layer with the same configuration, except for the changes."""
    return layer.__class__.from_config({**layer.get_config(), **changes})(inputs if len(inputs) > 1 else inputs[0])


def _with_weights(
    result: Any, model: Any, convolution: str, fold: Callable[[NDArray[np.float32]], NDArray[np.float32]]
) -> Any:
    """The rebuilt network with the weights of the model, the kernel of one convolution folded."""
    for layer in result.layers:
        if layer.weights:
            first, *others = model.get_layer(layer.name).get_weights()
            layer.set_weights([fold(first) if layer.name == convolution else first, *others])
    return result


def fold_kernel(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """A (3, 3, 3, C) kernel of stride 2 at 96 px to the (3, 3, 4, C) one of stride 1 after Borders at 48 px."""
    gray = kernel.astype(np.float64).sum(axis=2)  # (3, 3, C)
    taps = np.einsum("rik,cjl,klo->ijrco", _AXIS, _AXIS, gray)
    return np.asarray(taps.reshape(3, 3, 4, -1), np.float32)


def _first_convolution(model: Any) -> Any | None:
    """The convolution that takes the input; None where another layer does."""
    convolution = next((layer for layer in model.layers if layer.__class__.__name__ == "Conv2D"), None)
    if convolution is None:
        return None
    (first,) = _padding(convolution) or [convolution]
    return convolution if producer(first.input) is model.layers[0] else None


def _strided_convolution(model: Any) -> Any:
    """The convolution that upscaling folds into. Raises ModelError."""
    convolution = _first_convolution(model)
    if convolution is None or (convolution.kernel_size, convolution.strides) != ((3, 3), (2, 2)):
        raise ModelError(f"{model.name} does not begin with a 3x3 convolution of stride 2; try --no-fold")
    padding = [layer.padding for layer in _padding(convolution)]
    if [convolution.padding, *padding] not in (["same"], ["valid", ((0, 1), (0, 1))]):
        raise ModelError(f"{model.name} does not pad its first convolution by one at the end; try --no-fold")
    return convolution


def _padding(convolution: Any) -> list[Any]:
    """The zero padding before a convolution, where it is a layer of its own."""
    layer = producer(convolution.input)
    return [layer] if layer.__class__.__name__ == "ZeroPadding2D" and len(consumers(layer)) == 1 else []
