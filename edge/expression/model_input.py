"""From a face's crop to the values of a network's input, and from its outputs to logits, as its card says."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import ModelError
from fer_edge.edge.preprocess import Colour, CropFormat, FaceCrops, as_format, prepare
from fer_edge.edge.tflite.card import ModelCard
from fer_edge.edge.tflite.interpreter import Tensor
from fer_edge.edge.tflite.quantize import gray_table, pixel_table

Crops = NDArray[np.uint8] | FaceCrops
"""(N, 48, 48) uint8 gray faces, or the crops of a frame's faces in whatever form a network takes them."""

LEAST_PROBABILITY = float(np.finfo(np.float32).eps)
"""What a probability of 0 counts as, so that its logarithm is a number; integer outputs have many."""

SUM_TOLERANCE = 0.02
"""By how much probabilities may miss a sum of 1, besides half a quantization step each; GPUs may compute in float16."""


class ModelInput:
    """What a network takes of a face.

    Attributes:
        form: The crop that it takes at the size of its input; None for the gray crop of 48 px, with its contrast
            stretched, that the networks of `train` learn from.
    """

    def __init__(self, tensor: Tensor, card: ModelCard | None) -> None:
        """Read a card.

        Args:
            tensor: The input tensor, (1, H, W, C).
            card: The network's card; None for a network of `train`.
        """
        self.form = None if card is None else crop_format(tensor, card)
        self._side = tensor.shape[1]
        pixel_range = ModelCard.pixel_range if card is None else card.pixel_range
        if self.form is None and pixel_range == ModelCard.pixel_range:
            self._table = gray_table(tensor)  # (256,)
        else:
            tables = [pixel_table(tensor, *each) for each in _by_channel(pixel_range)]
            self._table = tables[0] if len(tables) == 1 else np.stack(tables, axis=-1)[None]  # (1, 256, 3)

    def values(self, crops: Crops, index: int) -> NDArray[Any]:
        """The input tensor's values for one of some faces.

        Args:
            crops: The faces.
            index: Which of them.

        Returns:
            (1, H, W, C), or (1, H, W, 1) of a gray face, which is broadcast over the channels.
        """
        if self.form is None:
            gray = crops.gray[index] if isinstance(crops, FaceCrops) else crops[index]
            return cv2.LUT(prepare(gray, self._side), self._table)[None, :, :, None]
        picture = crops.of(index, self.form) if isinstance(crops, FaceCrops) else as_format(crops[index], self.form)
        values = cv2.LUT(picture, self._table)[None]
        return values if picture.ndim == 3 else values[..., None]


def crop_format(tensor: Tensor, card: ModelCard) -> CropFormat | None:
    """The crop that a network takes, by its card and its input; None for the networks of `train`."""
    if card.crop_margin is None:
        return None
    _, height, width, _ = tensor.shape
    colour: Colour = "rgb" if card.colour == "rgb" else "bgr" if card.colour == "bgr" else "gray"
    return CropFormat(width, height, colour, float(card.crop_margin))


def _by_channel(pixel_range: tuple[Any, ...]) -> list[tuple[float, float]]:
    """A card's pixel range as one pair, or as one for each channel."""
    return list(pixel_range) if isinstance(pixel_range[0], tuple) else [(pixel_range[0], pixel_range[1])]


def as_logits(outputs: NDArray[np.float32], tensor: Tensor, output: str) -> NDArray[np.float32]:
    """A network's outputs as logits, whose softmax are its probabilities.

    Args:
        outputs: (N, C) dequantized outputs, or (N, 1) of a network with two classes.
        tensor: The output tensor.
        output: What they are, see `ModelCard.output`.

    Returns:
        (N, C) float32 logits; the logarithms of outputs that are probabilities.

    Raises:
        ModelError: They are not what the card says.
    """
    if output == "logits":
        return outputs if outputs.shape[1] > 1 else np.concatenate([np.zeros_like(outputs), outputs], axis=1)
    if output == "sigmoid":
        outputs = np.concatenate([1 - outputs, outputs], axis=1)
    tolerance = SUM_TOLERANCE + outputs.shape[1] * tensor.scale / 2
    sums = outputs.sum(axis=1)
    if len(outputs) and (np.abs(sums - 1).max() > tolerance or outputs.min() < -tolerance):
        worst = outputs[np.argmax(np.abs(sums - 1) - outputs.min(axis=1))]
        raise ModelError(
            f"outputs {worst.min():.3g} to {worst.max():.3g} with the sum {worst.sum():.3g} where the card says "
            f"{output}; expected probabilities with the sum 1"
        )
    return np.log(np.maximum(outputs, np.float32(LEAST_PROBABILITY)))
