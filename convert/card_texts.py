"""What a card says of data, licence, use and limits: nothing that the run does not show and the user did not say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fer_edge.edge.errors import shortened
from fer_edge.edge.tflite.card import INTENDED_USE, LAW, UNKNOWN, UNMEASURED
from fer_edge.train.data.fer2013 import CLASSES
from fer_edge.train.origin import FER2013, OriginOptions, known_name

FER2013_LICENCE = "Apache-2.0 (model file); fitted on FER2013, which is for research"

FER2013_LIMITS = (
    "Fitted on FER2013, whose labels are noisy and which holds little disgust; occlusion, profiles, blur and darkness "
    f"make it worse. {UNMEASURED} {LAW}"
)


@dataclass(frozen=True)
class CardTexts:
    """The texts of a card.

    Attributes:
        data_name: What the model was fitted on.
        licence: Of the model file.
        intended_use: What the model is for.
        limits: What makes it worse, what was not measured, and what the law prohibits.
    """

    data_name: str
    licence: str
    intended_use: str
    limits: str


def card_texts(
    classes: Sequence[str], training: Mapping[str, Any], fingerprints: Mapping[str, str], said: OriginOptions
) -> CardTexts:
    """The texts for a model that is converted.

    Args:
        classes: (C,) names of its classes.
        training: What its run's metrics.json says of the training; empty where there is none.
        fingerprints: The sha256 of each split that it is converted with.
        said: What the user says.
    """
    name = _data_name(training, fingerprints, said)
    return CardTexts(name, _licence(name, training, said), _intended_use(classes), _limits(name))


def _data_name(training: Mapping[str, Any], fingerprints: Mapping[str, str], said: OriginOptions) -> str:
    """The data sets that the model was fitted on: its initial weights', the run's and the conversion's."""
    trained_on = _run_fingerprints(training)
    names = [said.data_name or known_name(fingerprints) or UNKNOWN]
    if trained_on.get("train") == fingerprints.get("train"):
        names = [said.data_name or training.get("data_name") or names[0]]
    elif training:
        names = [training.get("data_name") or known_name(trained_on) or UNKNOWN, *names]
    first = [training["weights_data"]] if "weights_data" in training else []
    different = list(dict.fromkeys(map(str, [*first, *names])))
    if len(different) == 1:
        return different[0]
    return " and ".join("unknown data" if name == UNKNOWN else name for name in different)


def _run_fingerprints(training: Mapping[str, Any]) -> dict[str, str]:
    """The sha256 of each split that a run was trained on, as its metrics.json has them."""
    data = training.get("data")
    splits = data.items() if isinstance(data, dict) else ()
    return {name: str(split["sha256"]) for name, split in splits if isinstance(split, dict) and "sha256" in split}


def _licence(name: str, training: Mapping[str, Any], said: OriginOptions) -> str:
    """What the user says now or said to `train`; FER2013's terms for a model of that alone."""
    return str(said.license or training.get("licence") or (FER2013_LICENCE if name == FER2013 else UNKNOWN))


def _intended_use(classes: Sequence[str]) -> str:
    """What a model of these classes is for."""
    if set(classes) >= set(CLASSES):
        return INTENDED_USE
    return (
        f"A rough sorting of faces that look at the camera into {shortened(', '.join(classes), 200)}, for makers, "
        "teaching and research. How a face looks is not what a person feels or can do. Not for decisions about people."
    )


def _limits(name: str) -> str:
    """What limits a model that was fitted on a data set of this name."""
    if name == FER2013:
        return FER2013_LIMITS
    data = "What it was fitted on is unknown" if name == UNKNOWN else f"Fitted on {name}"
    return (
        f"{data}; how right its labels are, and whom its pictures show, was not examined. Occlusion, profiles, blur "
        f"and darkness make it worse. {UNMEASURED} {LAW}"
    )
