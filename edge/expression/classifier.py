"""A single .tflite classifier: 48-px gray crops to logits."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import ModelError
from fer_edge.edge.preprocess import prepare
from fer_edge.edge.tflite.card import ModelCard, checked_card
from fer_edge.edge.tflite.labels import check_labels
from fer_edge.edge.tflite.network import open_network
from fer_edge.edge.tflite.quantize import dequantize, gray_table
from fer_edge.edge.types import EMOTIONS, Acceleration


class Classifier(Protocol):
    """Anything that turns face crops into probabilities."""

    @property
    def description(self) -> str:
        """The models and their runtime in a few words."""
        ...

    def __call__(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, 48, 48) uint8 gray faces to (N, 7) float32 probabilities in EMOTIONS order."""
        ...


class TFLiteClassifier:
    """A float or int8 .tflite classifier with a (1, S, S, 3) or (1, S, S, 1) input and (1, 7) logits.

    Attributes:
        path: The .tflite file.
        interpreter: The loaded model.
        input: Its input tensor.
        output: Its output tensor.
        timings: Seconds of each invocation of the interpreter, one per face; None, the default, records nothing.
    """

    def __init__(
        self, path: Path | str, threads: int = 1, acceleration: Acceleration | None = None, *, xnnpack: bool = True
    ) -> None:
        self.path = Path(path)
        self.interpreter = open_network(self.path, threads, acceleration, xnnpack=xnnpack)
        self.input, self.output = self.interpreter.inputs[0], self.interpreter.outputs[0]
        self.timings: list[float] | None = None
        shape = self.input.shape
        if len(shape) != 4 or shape[0] != 1 or shape[3] not in (1, 3) or self.output.shape != (1, len(EMOTIONS)):
            raise ModelError(
                f"{self.path} maps {shape} to {self.output.shape}; expected (1, S, S, 3) pixels to (1, 7) logits"
            )
        check_labels(self.path)
        self._table = gray_table(self.input)

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return self.path.stem

    @property
    def description(self) -> str:
        """File and runtime in a few words."""
        return f"{self.name} ({self.runtime})"

    @property
    def runtime(self) -> str:
        """Runtime, version, threads and what runs the operators."""
        return self.interpreter.description

    @property
    def output_step(self) -> float:
        """The logits' quantization step; 0 for float models."""
        return self.output.scale

    def logits(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Classify faces one by one.

        Args:
            crops: (N, 48, 48) uint8 gray faces.

        Returns:
            (N, 7) float32 logits in EMOTIONS order.
        """
        logits = np.empty((len(crops), len(EMOTIONS)), np.float32)
        for row, crop in zip(logits, crops, strict=True):
            picture = cv2.LUT(prepare(crop, self.input.shape[1]), self._table)
            start = 0.0 if self.timings is None else perf_counter()
            (integers,) = self.interpreter.run(picture[None, :, :, None])  # broadcast over the channels
            if self.timings is not None:
                self.timings.append(perf_counter() - start)
            row[:] = dequantize(integers[0], self.output)
        return logits


def open_member(
    path: Path | str, threads: int = 1, acceleration: Acceleration | None = None
) -> tuple[TFLiteClassifier, ModelCard]:
    """Open a .tflite classifier after checking it against its card.

    Args:
        path: The .tflite file, with its card beside it.
        threads: Threads of the interpreter.
        acceleration: Delegate or accelerator; None for the interpreter alone.

    Returns:
        The classifier and its card.

    Raises:
        ModelError: The file or its card is missing, they do not match, the model is no such classifier, or what
            is to accelerate it cannot.
    """
    card = checked_card(Path(path))
    return TFLiteClassifier(path, threads, acceleration), card
