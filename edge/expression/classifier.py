"""A single .tflite classifier: face crops to logits."""

from __future__ import annotations

import math
from pathlib import Path
from time import perf_counter
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import ModelError, shortened
from fer_edge.edge.expression.model_input import Crops, ModelInput, as_logits
from fer_edge.edge.tflite.card import ModelCard, checked_card
from fer_edge.edge.tflite.labels import model_classes
from fer_edge.edge.tflite.network import Network, open_network
from fer_edge.edge.tflite.quantize import dequantize
from fer_edge.edge.types import Acceleration

MAX_SIDE = 1024
"""Pixels of a classifier's input, either side; the largest shipped network takes 96."""


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

    def __call__(self, crops: Crops) -> NDArray[np.float32]:
        """(N, 48, 48) uint8 gray faces, or `FaceCrops` where it takes them, to (N, C) float32 probabilities."""
        ...


def takes_own_crops(classifier: Classifier) -> bool:
    """Whether a classifier takes `FaceCrops` because one of its networks takes another crop than the gray one of 48 px.

    Read from its attribute of that name, if it has one: for `isinstance` with a protocol, Python takes 20 µs.
    """
    return bool(getattr(classifier, "takes_own_crops", False))


class TFLiteClassifier:
    """A float or integer .tflite classifier with a (1, H, W, 3) or (1, H, W, 1) input and an output per class.

    Attributes:
        path: The .tflite file.
        classes: (C,) names of the classes, in the order of the logits.
        interpreter: The loaded model.
        input: Its input tensor.
        output: Its output tensor.
        model_input: What it takes of a face.
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
        card: ModelCard | None = None,
    ) -> None:
        """Load a network.

        Args:
            path: The .tflite file.
            threads: Threads of the interpreter.
            acceleration: Delegate or accelerator; None for the interpreter alone.
            classes: Names of its classes; None for those of the card, or else of the file.
            xnnpack: Whether XNNPACK may run it.
            card: Its checked card; None for a network of `train`, which needs none.

        Raises:
            ModelError: It cannot be loaded, is no classifier of faces, or is none of that many classes.
        """
        self.path = Path(path)
        digest = None if card is None else card.sha256
        self.interpreter = open_network(self.path, threads, acceleration, xnnpack=xnnpack, digest=digest)
        check_tensors(self.interpreter, square=card is None or card.crop_margin is None)
        self.classes = model_classes(self.path, card.labels if card and classes is None else classes)
        self.input, self.output = self.interpreter.inputs[0], self.interpreter.outputs[0]
        outputs = self.output.shape[-1]
        if len(self.classes) != max(outputs, 2):
            raise ModelError(f"{self.path} has {outputs} outputs; expected {len(self.classes)}, one for each label")
        if card is not None and (card.colour in ("rgb", "bgr")) > (self.input.shape[3] == 3):
            raise ModelError(f"{self.path} takes one channel; its card says {card.colour}, expected gray")
        self.model_input = ModelInput(self.input, card)
        self.timings: list[float] | None = None
        self._outputs = "logits" if card is None else card.output
        self._file_classes = self.classes
        self._order: list[int] | None = None

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

    @property
    def takes_own_crops(self) -> bool:
        """Whether it takes another crop than the gray one of 48 px."""
        return self.model_input.form is not None

    def put_in_order(self, classes: tuple[str, ...]) -> None:
        """Give the logits in another order of the classes from now on; ModelError where the names differ."""
        if sorted(classes) != sorted(self.classes):
            raise ModelError(
                f"{self.path} has the classes {shortened(', '.join(self.classes))}; expected "
                f"{shortened(', '.join(classes))}, in any order"
            )
        in_file = self._file_classes
        self._order = None if classes == in_file else [in_file.index(name) for name in classes]
        self.classes = classes

    def logits(self, crops: Crops) -> NDArray[np.float32]:
        """Classify faces one by one.

        Args:
            crops: N faces.

        Returns:
            (N, C) float32 logits; where the network ends in a softmax, the logarithms of its probabilities.

        Raises:
            ModelError: The network gives no numbers, or no probabilities although its card says so.
        """
        return self.logits_from(self.outputs(crops))

    def outputs(self, crops: Crops) -> NDArray[np.float32]:
        """Run the network on N faces, one by one; its (N, C) dequantized outputs, whatever they are."""
        outputs = np.empty((len(crops), self.output.shape[-1]), np.float32)
        for index, row in enumerate(outputs):
            values = self.model_input.values(crops, index)
            start = 0.0 if self.timings is None else perf_counter()
            (integers,) = self.interpreter.run(values)
            if self.timings is not None:
                self.timings.append(perf_counter() - start)
            row[:] = dequantize(integers.reshape(-1), self.output)
        return outputs

    def logits_from(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """The network's (N, C) dequantized outputs as (N, C) logits. Raises ModelError as `logits` does."""
        if not self.output.scale and not np.isfinite(outputs).all():  # integers are always numbers
            raise ModelError(f"{self.path} gives no numbers for a face; it may be damaged: fetch or convert it again")
        try:
            logits = as_logits(outputs, self.output, self._outputs)
        except ModelError as error:
            raise ModelError(f"{self.path}: {error}; write its card again: fer-edge models add") from None
        return logits if self._order is None else logits[:, self._order]


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
    return TFLiteClassifier(path, threads, acceleration, card=card), card


def check_tensors(network: Network, square: bool) -> None:
    """Check that a network maps the pixels of a face to an output per class.

    Args:
        network: The network.
        square: Whether its input must be square.

    Raises:
        ModelError: It does not.
    """
    shapes = [[tensor.shape for tensor in tensors] for tensors in (network.inputs, network.outputs)]
    if not (len(shapes[0]) == len(shapes[1]) == 1 and _takes_a_face(shapes[0][0], square) and _is_row(shapes[1][0])):
        inputs, outputs = (" and ".join(map(str, each)) or "nothing" for each in shapes)
        expected = f"(1, S, S, 3) pixels, S up to {MAX_SIDE}" if square else f"(1, H, W, 3) pixels, up to {MAX_SIDE}"
        first = shapes[0][0] if shapes[0] else ()
        hint = "; convert it with the channels last" if len(first) == 4 and first[1] in (1, 3) else ""
        raise ModelError(
            f"{network.path} maps {shortened(inputs)} to {shortened(outputs)}; "
            f"expected {expected}, to (1, C) logits of C classes{hint}"
        )
    for tensor in (*network.inputs, *network.outputs):
        kinds = ("int8", "uint8") if tensor.scale else ("float32",)
        if tensor.dtype.name not in kinds or not 0 <= tensor.scale < math.inf:
            raise ModelError(
                f"{network.path}: '{shortened(tensor.name)}' is {tensor.dtype.name} with the scale {tensor.scale:g}; "
                "expected float32, or int8 or uint8 with a scale"
            )


def _takes_a_face(shape: tuple[int, ...], square: bool) -> bool:
    """Whether an input's shape is (1, H, W, 1 or 3), with equal sides where it must be square."""
    if len(shape) != 4 or shape[0] != 1 or shape[3] not in (1, 3):
        return False
    return min(shape[1:3]) >= 1 and max(shape[1:3]) <= MAX_SIDE and (not square or shape[1] == shape[2])


def _is_row(shape: tuple[int, ...]) -> bool:
    """Whether an output's shape is (1, C) or (1, 1, 1, C)."""
    return len(shape) >= 2 and set(shape[:-1]) == {1} and shape[-1] >= 1
