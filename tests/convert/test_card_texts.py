"""What cards say of data, licence, use and limits: FER2013's texts for FER2013 alone, else what was said."""

from __future__ import annotations

import json

import pytest
from predictions import CLASSES

from fer_edge.convert.card_texts import card_texts
from fer_edge.edge.expression.model_spec import shipped_models
from fer_edge.edge.tflite.card import read_card
from fer_edge.train.origin import FER2013_TRAINING, OriginOptions

OTHER = {"train": "1" * 64, "val": "2" * 64}
NAMES = ("awake", "drowsy")


def record(sha256: str, **more: str) -> dict[str, object]:
    """What a run's metrics.json says of its training."""
    return {"data": {"train": {"pictures": 9, "sha256": sha256}}, **more}


@pytest.mark.parametrize("model", shipped_models(), ids=lambda model: model.text)
@pytest.mark.parametrize("recorded", [True, False])
def test_a_conversion_on_fer2013_gives_the_shipped_texts(model, recorded: bool) -> None:
    card = read_card(model.path)
    texts = card_texts(CLASSES, card.training if recorded else {}, {"train": FER2013_TRAINING}, OriginOptions())
    assert (texts.licence, texts.intended_use, texts.limits) == (card.licence, card.intended_use, card.limits)
    assert texts.data_name == "FER2013"


@pytest.mark.parametrize("classes", [NAMES, CLASSES])
def test_nobody_said_anything(classes: tuple[str, ...]) -> None:
    texts = card_texts(classes, record(OTHER["train"], data_name="unknown"), OTHER, OriginOptions())
    assert (texts.data_name, texts.licence) == ("unknown", "unknown")
    assert "unknown" in texts.limits and "FER2013" not in json.dumps(vars(texts))


def test_what_the_user_says_stands() -> None:
    said = OriginOptions(data_name="our gate", license="CC-BY-4.0")
    for training, options in (
        (record(OTHER["train"]), said),
        (record(OTHER["train"], data_name="our gate", licence="CC-BY-4.0"), OriginOptions()),
    ):
        texts = card_texts(NAMES, training, OTHER, options)
        assert (texts.data_name, texts.licence) == ("our gate", "CC-BY-4.0")
        assert "our gate" in texts.limits and "awake, drowsy" in texts.intended_use


def test_both_data_sets_are_named_where_they_differ() -> None:
    trained_on_fer2013 = record(FER2013_TRAINING)
    texts = card_texts(CLASSES, trained_on_fer2013, OTHER, OriginOptions())
    assert (texts.data_name, texts.licence) == ("FER2013 and unknown data", "unknown")
    texts = card_texts(CLASSES, trained_on_fer2013, OTHER, OriginOptions(data_name="our gate"))
    assert texts.data_name == "FER2013 and our gate" and "FER2013 and our gate" in texts.limits


def test_initial_weights_of_another_data_set_are_named_too() -> None:
    """A head of one's own on the shipped weights: they know FER2013's faces."""
    training = record(OTHER["train"], data_name="our gate", weights_data="FER2013")
    texts = card_texts(NAMES, training, OTHER, OriginOptions())
    assert (texts.data_name, texts.licence) == ("FER2013 and our gate", "unknown")
    training, data = record(FER2013_TRAINING, weights_data="FER2013"), {"train": FER2013_TRAINING}
    shipped = card_texts(CLASSES, training, data, OriginOptions())
    assert shipped.data_name == "FER2013" and shipped.limits.startswith("Fitted on FER2013, ")
