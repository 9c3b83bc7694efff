"""The card beside each model: what the flatbuffer cannot say, checked before the model is used."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from fer_edge.edge.errors import ModelError
from fer_edge.edge.files import write_json
from fer_edge.edge.types import EMOTIONS

INTENDED_USE = (
    "A rough reading of the expression shown on a face that looks at the camera, for makers, teaching and research. "
    "An expression is not a feeling. Not for decisions about people."
)

LIMITS = (
    "Fitted on FER2013, whose labels are noisy and which holds little disgust; occlusion, profiles, blur and darkness "
    "make it worse. Balance across ethnic groups, ages and genders is unmeasured. In the European Union, inferring "
    "emotions of people at work and in education is prohibited, except for medical or safety reasons: Regulation (EU) "
    "2024/1689, Art. 5(1)(f)."
)


@dataclass(frozen=True)
class ModelCard:
    """What a model is and how good it is. sha256 is the model file's; pixel_range is what the graph calls its input."""

    name: str
    architecture: str
    sha256: str
    labels: tuple[str, ...] = EMOTIONS
    colour: str = "gray replicated to RGB"
    pixel_range: tuple[float, float] = (-1.0, 1.0)
    quantization: str = "int8"
    accuracy: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    conversion: dict[str, Any] = field(default_factory=dict)
    licence: str = "Apache-2.0 (model file); fitted on FER2013, which is for research"
    intended_use: str = INTENDED_USE
    limits: str = LIMITS
    git_revision: str = "unknown"
    date: str = ""


def card_path(model: Path) -> Path:
    """The card's place: the model's name with .json."""
    return model.with_suffix(".json")


def read_card(model: Path) -> ModelCard:
    """The card beside a model; ModelError where it is missing, malformed, or of other labels."""
    path = card_path(model)
    try:
        stored = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{model} has no card; expected {path} beside it, as 'fer-edge convert' writes it") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read as a model card: {error}") from None
    known = {item.name for item in fields(ModelCard)}
    if not isinstance(stored, dict) or not {"name", "architecture", "sha256", "labels"} <= stored.keys() <= known:
        raise ModelError(f"{path} is no model card; expected the fields that 'fer-edge convert' writes")
    for name, value in stored.items():
        if not _fits(name, value):
            raise ModelError(f"{path} is no model card; expected {name} as 'fer-edge convert' writes it")
        stored[name] = tuple(value) if isinstance(value, list) else value
    card = ModelCard(**stored)
    if card.labels != EMOTIONS:
        raise ModelError(f"{path} has the labels {', '.join(card.labels)}; expected {', '.join(EMOTIONS)}")
    return card


def _fits(name: str, value: Any) -> bool:
    """Whether a field's value is of its kind, as JSON has it."""
    if name == "labels":
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    if name == "pixel_range":
        return isinstance(value, list) and [type(each) in (int, float) for each in value] == [True, True]
    return isinstance(value, dict if name in ("accuracy", "training", "conversion") else str)


def checked_card(model: Path) -> ModelCard:
    """The card, after comparing its sha256 with the file's."""
    if not model.is_file():
        raise ModelError(f"{model}: no such model file; expected a .tflite file with its card beside it")
    card = read_card(model)
    found = sha256(model)
    if found != card.sha256:
        raise ModelError(
            f"{model} is not the file its card describes (sha256 {found[:12]}…, expected {card.sha256[:12]}…); "
            "fetch or convert it again"
        )
    return card


def write_card(model: Path, card: ModelCard) -> Path:
    """Write the card beside the model, complete or not at all."""
    return write_json(card_path(model), asdict(card))


def sha256(path: Path) -> str:
    """A file's sha256 in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
