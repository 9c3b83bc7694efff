"""The model card beside each .tflite file, which is checked before the model is used."""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from fer_edge.edge.errors import ModelError, shortened
from fer_edge.edge.files.documents import read_json, write_json
from fer_edge.edge.files.writing import atomic_path
from fer_edge.edge.tflite.mapped_file import check_model
from fer_edge.edge.types import classes_problem

UNKNOWN = "unknown"
"""What a card has where a fact is not known."""

INTENDED_USE = (
    "A rough reading of the expression shown on a face that looks at the camera, for makers, teaching and research. "
    "An expression is not a feeling. Not for decisions about people."
)

UNMEASURED = "Balance across ethnic groups, ages and genders is unmeasured."

LAW = (
    "In the European Union, inferring emotions of people at work and in education is prohibited, except for medical or "
    "safety reasons: Regulation (EU) 2024/1689, Art. 5(1)(f)."
)

LIMITS = f"What it was trained on, and how good it is on other pictures, is unknown. {UNMEASURED} {LAW}"


@dataclass(frozen=True)
class ModelCard:
    """What a model is, how good it is, and what it is for; a JSON file beside the .tflite file.

    Attributes:
        name: The file's name without its suffix.
        architecture: The network's name in `train`.
        sha256: Of the .tflite file, in hexadecimal.
        labels: The classes in the order of the output.
        colour: The face's colours: "gray" or, in the order of the input's channels, "rgb" or "bgr".
        pixel_range: Values of black and white at the graph's input, or one such pair for each of three channels.
        quantization: "int8" or "float32".
        accuracy: Figures on validation data per runtime, and of the float model.
        training: Recipe, data, backend and date of the training run.
        conversion: How the float model became this file.
        licence: Of the file, and of the data that it was trained on.
        intended_use: What the model is for.
        limits: What makes it worse, what was not measured, and what the law prohibits.
        git_revision: Of the code that made the file.
        date: When it was made, ISO 8601.
        output: What the outputs are: "logits", or the probabilities of a "softmax" or, of one output, a "sigmoid".
        crop_margin: Side of the face's crop in sides of the detector's box, at the size of the input and with its own
            contrast; None for the gray crop of 48 px with stretched contrast that `train` learns from.
    """

    name: str
    architecture: str
    sha256: str
    labels: tuple[str, ...]
    colour: str = "gray replicated to RGB"
    pixel_range: tuple[float, float] | tuple[tuple[float, float], ...] = (-1.0, 1.0)
    quantization: str = "int8"
    accuracy: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    conversion: dict[str, Any] = field(default_factory=dict)
    licence: str = UNKNOWN
    intended_use: str = INTENDED_USE
    limits: str = LIMITS
    git_revision: str = UNKNOWN
    date: str = ""
    output: str = "logits"
    crop_margin: float | None = None


COLOURS = ("gray", "gray replicated to RGB", "rgb", "bgr")
OUTPUTS = ("logits", "softmax", "sigmoid")

MIN_MARGIN, MAX_MARGIN = 0.2, 10.0
"""Range of `ModelCard.crop_margin`: beyond it, too little or too much of the picture is seen to be a face's."""

MAX_PIXEL_VALUE = 1e6
"""Of black or white at a graph's input, either way; the most that is in use is 255."""

LATER_FIELDS = {each.name: each.default for each in fields(ModelCard) if each.name in ("output", "crop_margin")}
"""Fields, with their defaults, that a card has only where it needs them: cards from before do not change."""


def card_path(model: Path) -> Path:
    """The path of a model's card: the model's with the suffix .json."""
    return model.with_suffix(".json")


def read_card(model: Path) -> ModelCard:
    """Read the card beside a model.

    Args:
        model: The .tflite file; it is not read.

    Returns:
        The card.

    Raises:
        ModelError: The card is missing or malformed, or its labels are no names of classes.
    """
    path = card_path(model)
    try:
        stored = read_json(path)
    except FileNotFoundError:
        raise ModelError(
            f"{model} has no card; expected {path} beside it, as 'fer-edge convert' writes it; for a network of your "
            "own, 'fer-edge models add' does"
        ) from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read as a model card: {error}") from None
    field_names = {item.name for item in fields(ModelCard)}
    if not isinstance(stored, dict) or not {"name", "architecture", "sha256", "labels"} <= stored.keys() <= field_names:
        raise ModelError(f"{path} is no model card; expected the fields that 'fer-edge convert' writes")
    for name, value in stored.items():
        if not _fits(name, value):
            expected = _EXPECTED.get(name, "as 'fer-edge convert' writes it")
            raise ModelError(f"{path} is no model card; expected {name} {expected}")
        stored[name] = _as_tuple(value) if isinstance(value, list) else value
    card = ModelCard(**stored)
    if problem := classes_problem(card.labels):
        raise ModelError(f"{path}, labels: {problem}")
    if problem := _contradiction(card):
        raise ModelError(f"{path}: {problem}")
    return card


def card_record(card: ModelCard) -> dict[str, Any]:
    """A card as its JSON file has it."""
    record = asdict(card)
    for name, default in LATER_FIELDS.items():
        if record[name] == default:
            del record[name]
    return record


_EXPECTED = {
    "colour": "gray, rgb or bgr",
    "pixel_range": "two different numbers, or three pairs of them with the colour rgb or bgr",
    "output": f"{', '.join(OUTPUTS[:-1])} or {OUTPUTS[-1]}",
    "crop_margin": f"{MIN_MARGIN:g} to {MAX_MARGIN:g}",
}
"""What a card may say, in words, by field."""


def _fits(name: str, value: Any) -> bool:
    """Whether a JSON value has its field's type, and is one of its values where there are few."""
    if name == "labels":
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    if name == "pixel_range":
        return _is_range(value) or (isinstance(value, list) and len(value) == 3 and all(map(_is_range, value)))
    if name == "crop_margin":
        return value is None or (type(value) in (int, float) and MIN_MARGIN <= value <= MAX_MARGIN)
    choices = {"colour": COLOURS, "output": OUTPUTS}
    if name in choices:
        return isinstance(value, str) and value in choices[name]
    return isinstance(value, dict if name in ("accuracy", "training", "conversion") else str)


def _is_range(value: Any) -> bool:
    """Whether a JSON value is a pair of different numbers."""
    numbers = isinstance(value, list) and [type(each) in (int, float) for each in value] == [True, True]
    return numbers and value[0] != value[1] and all(abs(each) <= MAX_PIXEL_VALUE for each in value)


def _as_tuple(value: list[Any]) -> tuple[Any, ...]:
    return tuple(_as_tuple(each) if isinstance(each, list) else each for each in value)


def _contradiction(card: ModelCard) -> str | None:
    """What of a card's fields do not go together, with what was expected; None where nothing does not."""
    gray = card.colour.startswith("gray")
    if gray and len(card.pixel_range) == 3:
        return f"three ranges of pixels with the colour {card.colour}, expected one"
    if not gray and card.crop_margin is None:
        return f"no crop_margin with the colour {card.colour}, expected {_EXPECTED['crop_margin']}"
    if card.output == "sigmoid" and len(card.labels) != 2:
        return f"{len(card.labels)} labels with the output sigmoid, expected two"
    return None


def checked_card(model: Path) -> ModelCard:
    """Read the card beside a model and compare its sha256 with the file's.

    Args:
        model: The .tflite file.

    Returns:
        The card.

    Raises:
        ModelError: The model or its card is missing, the card is malformed, or describes another file.
    """
    if not os.path.isfile(model):
        raise ModelError(f"{model}: no such model file; expected a .tflite file with its card beside it")
    card = read_card(model)
    check_model(model)
    actual = sha256(model)
    if actual != card.sha256:
        advice = "fetch or convert it again"
        if card.crop_margin is not None:  # a network of one's own
            advice = "if you made it anew, 'fer-edge models add --force' writes its card anew"
        raise ModelError(
            f"{model} is not the file its card describes "
            f"(sha256 {actual[:12]}…, expected {shortened(card.sha256, 12)}); {advice}"
        )
    return card


def write_card(model: Path, card: ModelCard) -> Path:
    """Write the card beside the model, complete or not at all; returns its path."""
    return write_json(card_path(model), card_record(card))


def write_model(path: Path, content: bytes, card: ModelCard) -> None:
    """Write a .tflite file and its card; both or, on a full disk or an interrupt, none, and the old ones stay.

    Args:
        path: The .tflite file.
        content: Its bytes.
        card: Its card.

    Raises:
        SinkError: One of them cannot be written.
    """
    with atomic_path(path) as model, atomic_path(card_path(path)) as written:
        model.write_bytes(content)
        write_json(written, card_record(card))


def sha256(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
