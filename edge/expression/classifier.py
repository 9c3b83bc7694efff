"""A single .tflite classifier: 48-px gray crops to logits."""

from __future__ import annotations

import math
from pathlib import Path
from time import perf_counter
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import ModelError, shortened
from fer_edge.edge.preprocess import prepare
from fer_edge.edge.tflite.card import ModelCard, checked_card
from fer_edge.edge.tflite.labels import model_classes
from fer_edge.edge.tflite.network import Network, open_network
from fer_edge.edge.tflite.quantize import dequantize, gray_table
from fer_edge.edge.types import Acceleration

MAX_SIDE = 1024
"""Pixels of a classifier's input; crops have 48, and the largest shipped network takes 96."""


class Classifier(Protocol):
    """Anything that turns face crops into probabilities.

    Attributes:
        classes: (C,) names of the classes, in the order of the probabilities.
    """

    classes: tuple[str, ...]

    @property
    def description(self) -> str:
        """The models and their runtime in a few words."""
        ...

    def __call__(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, 48, 48) uint8 gray faces to (N, C) float32 probabilities."""
        ...


class TFLiteClassifier:
    """A float or int8 .tflite classifier with a (1, S, S, 3) or (1, S, S, 1) input and (1, C) logits.

    Attributes:
        path: The .tflite file.
        classes: (C,) names of the classes, in the order of the logits.
        interpreter: The loaded model.
        input: Its input tensor.
        output: Its output tensor.
        timings: Seconds of each invocation of the interpreter, one per face; None, the default, records nothing.
    """

    def __init__(
        self,
        path: Path | str,
        threads: int = 1,
        acceleration: Acceleration | None = None,
        *,
        classes: tuple[str, ...] | None = None,
        xnnpack: bool = True,
        digest: str | None = None,
    ) -> None:
        self.path = Path(path)
        self.interpreter = open_network(self.path, threads, acceleration, xnnpack=xnnpack, digest=digest)
        _check_tensors(self.interpreter)
        self.classes = model_classes(self.path, classes)
        outputs = self.interpreter.outputs[0].shape[1]
        if len(self.classes) != outputs:
            raise ModelError(f"{self.path} has {outputs} outputs; expected {len(self.classes)}, one for each label")
        self.input, self.output = self.interpreter.inputs[0], self.interpreter.outputs[0]
        self.timings: list[float] | None = None
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
            (N, C) float32 logits.
        """
        logits = np.empty((len(crops), len(self.classes)), np.float32)
        for row, crop in zip(logits, crops, strict=True):
            picture = cv2.LUT(prepare(crop, self.input.shape[1]), self._table)
            start = 0.0 if self.timings is None else perf_counter()
            (integers,) = self.interpreter.run(picture[None, :, :, None])  # broadcast over the channels
            if self.timings is not None:
                self.timings.append(perf_counter() - start)
            row[:] = dequantize(integers[0], self.output)
        if not self.output.scale and not np.isfinite(logits).all():  # integers are always numbers
            raise ModelError(f"{self.path} gives no numbers for a face; it may be damaged: fetch or convert it again")
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
    return TFLiteClassifier(path, threads, acceleration, classes=card.labels, digest=card.sha256), card


def _check_tensors(network: Network) -> None:
    """ModelError where a network is none from the pixels of a face to logits."""
    shapes = [[tensor.shape for tensor in tensors] for tensors in (network.inputs, network.outputs)]
    sides = shapes[0][0] if len(shapes[0]) == 1 else ()
    pixels = len(sides) == 4 and sides[0] == 1 and 1 <= sides[1] == sides[2] <= MAX_SIDE and sides[3] in (1, 3)
    if not pixels or [len(each) for each in shapes[1]] != [2] or shapes[1][0][0] != 1:
        inputs, outputs = (" and ".join(map(str, each)) or "nothing" for each in shapes)
        raise ModelError(
            f"{network.path} maps {shortened(inputs)} to {shortened(outputs)}; "
            f"expected (1, S, S, 3) pixels, S up to {MAX_SIDE}, to (1, C) logits of C classes"
        )
    for tensor in (*network.inputs, *network.outputs):
        kinds = ("int8", "uint8") if tensor.scale else ("float32",)
        if tensor.dtype.name not in kinds or not 0 <= tensor.scale < math.inf:
            raise ModelError(
                f"{network.path}: '{shortened(tensor.name)}' is {tensor.dtype.name} with the scale {tensor.scale:g}; "
                "expected float32, or int8 or uint8 with a scale"
            )
