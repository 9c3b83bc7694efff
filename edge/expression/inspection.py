"""What a network of another maker takes and gives, as far as its file and its outputs show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import ModelError
from fer_edge.edge.expression.model_input import SUM_TOLERANCE
from fer_edge.edge.preprocess import FACE_SIZE, FaceCrops, as_format, to_gray
from fer_edge.edge.tflite.interpreter import Interpreter, Tensor
from fer_edge.edge.tflite.metadata import GRAYSCALE, RGB, FileMetadata

RANGES: dict[str, tuple[float, float]] = {"-1..1": (-1.0, 1.0), "0..1": (0.0, 1.0), "0..255": (0.0, 255.0)}
"""Pixel ranges that networks usually take, as a user writes them."""

RANGE_TOLERANCE = 0.03
"""By how much of a range an integer input may miss it: calibration pictures need not hold black and white."""

RESCALING = (1 / 255, 1 / 127.5, 1 / 127, 1 / 128)
"""Factors by which networks multiply pixels from 0 to 255 that rescale them inside."""

TEACHABLE_MACHINE = (224, 224, 3)
"""Input of Teachable Machine's networks, whose float32 file takes pixels from -1 to 1."""


@dataclass(frozen=True)
class Finding:
    """Something about a network that its file alone does not define.

    Attributes:
        value: What it is.
        origin: How it is known, in words.
    """

    value: Any
    origin: str


def find_range(network: Interpreter, metadata: FileMetadata, numbered_labels: bool) -> Finding | None:
    """Find the values of black and white at a network's input.

    Args:
        network: The network.
        metadata: What its file says of itself.
        numbered_labels: Whether its labels are numbered as Teachable Machine numbers them.

    Returns:
        A `PixelRange`; None where nothing shows it.
    """
    (tensor,) = network.inputs
    if tensor.scale and (usual := _quantized_range(tensor)):
        return Finding(usual, "the input's quantization")
    if metadata.means:
        pairs = tuple(
            (-mean / deviation, (255 - mean) / deviation)
            for mean, deviation in zip(metadata.means, metadata.deviations, strict=True)
        )
        one = len(set(pairs)) == 1
        if one or tensor.shape[3] == 3:
            return Finding(pairs[0] if one else pairs, "the file's metadata")
    if not tensor.scale and _rescales(network):
        return Finding(RANGES["0..255"], "the network rescales pixels itself")
    if not tensor.scale and numbered_labels and tensor.shape[1:] == TEACHABLE_MACHINE:
        return Finding(RANGES["-1..1"], "size and labels are those of Teachable Machine")
    return None


def _quantized_range(tensor: Tensor) -> tuple[float, float] | None:
    """The usual range that an integer input covers; None where it is none of them."""
    limits = np.iinfo(tensor.dtype)
    low, high = (tensor.scale * (each - tensor.zero_point) for each in (limits.min, limits.max))
    for black, white in RANGES.values():
        if max(abs(low - black), abs(high - white)) <= RANGE_TOLERANCE * (white - black):
            return black, white
    return None


def _rescales(network: Interpreter) -> bool:
    """Whether the first thing that is done to the pixels is what brings 0..255 to a smaller range."""
    (tensor,) = network.inputs
    first = [each for each in network.operators() if tensor.index in each.inputs]
    if len(first) != 1 or first[0].name not in ("MUL", "DIV"):
        return False
    factors = [network.value(index) for index in first[0].inputs if index != tensor.index]
    if len(factors) != 1 or factors[0] is None or factors[0].size != 1:
        return False
    factor = float(factors[0].ravel()[0])
    factor = factor if first[0].name == "MUL" else 1 / (factor or np.inf)
    return any(abs(factor - usual) < 1e-3 * usual for usual in RESCALING)


def find_colour(tensor: Tensor, metadata: FileMetadata) -> Finding:
    """Find which colours a network takes, as `ModelCard.colour` names them."""
    if tensor.shape[3] == 1:
        return Finding("gray", "one channel")
    if metadata.colour_space in (RGB, GRAYSCALE):
        return Finding("rgb" if metadata.colour_space == RGB else "gray", "the file's metadata")
    return Finding("rgb", "assumed of three channels")


def find_output(outputs: NDArray[np.float32], tensor: Tensor, given: str | None = None) -> Finding:
    """Find out what a network's outputs are, as `ModelCard.output` names them.

    Args:
        outputs: (N, C) its outputs for different pictures.
        tensor: The output tensor.
        given: What the user says that they are; None where nothing is said.

    Returns:
        What they are.

    Raises:
        ModelError: They are no numbers, always the same, not what the user says, or something else.
    """
    if not np.isfinite(outputs).all():
        raise ModelError("it gives no numbers (NaN or infinity); convert it again")
    if (outputs == outputs[0]).all():
        raise ModelError(f"it gives the same outputs for {len(outputs)} different pictures; expected a trained network")
    found = _output_of(outputs, tensor)
    if given is None and found is not None:
        return found
    sums = outputs.sum(axis=1)
    if given is None:
        raise ModelError(
            f"its outputs lie between 0 and 1, with sums from {sums.min():.2f} to {sums.max():.2f}: a sigmoid for each "
            "class, which is no choice between them; train it with a softmax, or have them taken for logits with "
            "--output logits"
        )
    kind = found.value if found else None
    if given == kind or (given == "logits" and kind != "softmax"):
        return Finding(given, "--output")
    seen = f"{outputs.min():.3g} to {outputs.max():.3g}, with sums from {sums.min():.3g} to {sums.max():.3g}"
    raise ModelError(f"its outputs are no {given}, they are {seen}; expected --output {kind or 'logits'}")


def _output_of(outputs: NDArray[np.float32], tensor: Tensor) -> Finding | None:
    """What outputs are by their values; None where they look like a sigmoid for each of several classes."""
    between = bool(outputs.min() >= 0 and outputs.max() <= 1)
    if outputs.shape[1] == 1:
        return Finding("sigmoid", "one output from 0 to 1") if between else Finding("logits", "one output beyond 0..1")
    tolerance = SUM_TOLERANCE + outputs.shape[1] * tensor.scale / 2
    if between and np.abs(outputs.sum(axis=1) - 1).max() <= tolerance:
        return Finding("softmax", "the outputs sum to 1")
    return None if between else Finding("logits", "the outputs do not sum to 1")


def quantization_of(network: Interpreter) -> str:
    """How a network's numbers are stored, as `ModelCard.quantization` has it."""
    tensors = network.tensors()
    stored = {index for index in tensors if _is_stored(network, index)}
    kinds = {tensors[index].dtype.name for index in stored if np.prod(tensors[index].shape, dtype=np.int64) > 1}
    computed = {each.dtype.name for index, each in tensors.items() if index not in stored}
    if "int16" in computed:
        return "int16"
    if "float32" not in computed and kinds & {"int8", "uint8"}:
        return "int8"
    return "int8 weights" if "int8" in kinds else "float16 weights" if "float16" in kinds else "float32"


def _is_stored(network: Interpreter, index: int) -> bool:
    written = {each for operator in network.operators() for each in operator.outputs}
    return index not in written and index not in {each.index for each in network.inputs}


def sample_faces() -> FaceCrops:
    """Drawn faces, light and dark, with different mouths, and pictures without one, all in colour."""
    rng = np.random.default_rng(0)
    shape = (FACE_SIZE, FACE_SIZE, 3)
    drawn = [_drawn_face(skin, mouth) for skin in (90, 140, 200) for mouth in (-8.0, 0.0, 8.0)]
    noise = [rng.integers(0, 256, shape, np.uint8) for _ in range(3)]
    ramp = np.linspace(0, 255, FACE_SIZE)[:, None, None] * np.array([1.0, 0.6, 0.3])  # blue grows most
    plain = [np.full(shape, colour, np.uint8) for colour in ((0, 0, 0), (255, 255, 255), (40, 160, 60))]
    pictures = [*drawn, *noise, np.broadcast_to(ramp, shape).astype(np.uint8), *plain]
    gray = np.stack([to_gray(picture) for picture in pictures])
    return FaceCrops(gray, lambda index, form: as_format(pictures[index], form))


def _drawn_face(skin: int, bend: float) -> NDArray[np.uint8]:
    """A face whose red has this value, with a mouth whose corners are so many pixels higher than its middle: BGR."""
    tint, dark = (skin * 3 // 5, skin * 4 // 5, skin), (skin // 3,) * 3
    picture = np.full((FACE_SIZE, FACE_SIZE, 3), 255 - skin, np.uint8)
    cv2.ellipse(picture, (24, 25), (17, 22), 0, 0, 360, tint, -1)
    for x in (17, 31):
        cv2.ellipse(picture, (x, 19), (4, 2), 0, 0, 360, dark, -1)
    mouth = np.array([(16, 36 - bend / 2), (24, 36 + bend / 2), (32, 36 - bend / 2)], np.int32)
    cv2.polylines(picture, [mouth], False, dark, 2)
    return picture
