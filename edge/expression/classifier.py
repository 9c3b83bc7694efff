"""One .tflite classifier: 48-px gray crops to logits."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import ModelError
from fer_edge.edge.preprocess import prepare
from fer_edge.edge.tflite.card import ModelCard, checked_card
from fer_edge.edge.tflite.interpreter import open_interpreter
from fer_edge.edge.tflite.labels import check_labels
from fer_edge.edge.tflite.quantize import dequantize, gray_table
from fer_edge.edge.types import EMOTIONS


class Classifier(Protocol):
    """Anything that turns crops into probabilities."""

    @property
    def description(self) -> str:
        """What runs, on what, in a few words."""
        ...

    def __call__(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, 48, 48) uint8 gray faces to (N, 7) float32 probabilities in EMOTIONS order."""
        ...


class TFLiteClassifier:
    """A float or int8 .tflite file with a (1, S, S, 3) or (1, S, S, 1) input and (1, 7) logits."""

    def __init__(self, path: Path | str, threads: int = 1, *, xnnpack: bool = True) -> None:
        self.path = Path(path)
        self._interpreter = open_interpreter(self.path, threads, xnnpack=xnnpack)
        self._input, self._output = self._interpreter.inputs[0], self._interpreter.outputs[0]
        shape = self._input.shape
        if len(shape) != 4 or shape[0] != 1 or shape[3] not in (1, 3) or self._output.shape != (1, len(EMOTIONS)):
            raise ModelError(
                f"{self.path} maps {shape} to {self._output.shape}; expected (1, S, S, 3) pixels to (1, 7) logits"
            )
        check_labels(self.path)
        self._table = gray_table(self._input)

    @property
    def description(self) -> str:
        """File and runtime in a few words."""
        return f"{self.path.stem} ({self._interpreter.description})"

    @property
    def runtime(self) -> str:
        """Runtime, version, threads and XNNPACK."""
        return self._interpreter.description

    @property
    def output_step(self) -> float:
        """What one int8 step of the logits is worth; 0 for float models."""
        return self._output.scale

    def logits(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, 48, 48) uint8 gray faces to (N, 7) float32 logits."""
        logits = np.empty((len(crops), len(EMOTIONS)), np.float32)
        for row, crop in zip(logits, crops, strict=True):
            picture = cv2.LUT(prepare(crop, self._input.shape[1]), self._table)
            (integers,) = self._interpreter.run(picture[None, :, :, None])  # broadcast over the channels
            row[:] = dequantize(integers[0], self._output)
        return logits


def open_member(path: Path | str, threads: int = 1) -> tuple[TFLiteClassifier, ModelCard]:
    """A classifier whose card and sha256 were checked."""
    card = checked_card(Path(path))
    return TFLiteClassifier(path, threads), card
