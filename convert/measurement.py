"""Measure a converted file again, for its card."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fer_edge.convert.calibration_faces import calibration_faces
from fer_edge.convert.conversion import as_exported
from fer_edge.convert.evaluator import open_evaluator
from fer_edge.convert.float_network import FloatNetwork
from fer_edge.convert.options import ConversionOptions, VerificationOptions
from fer_edge.edge.errors import ModelError
from fer_edge.edge.tflite.card import ModelCard, checked_card, write_card
from fer_edge.train.data.class_order import dataset_in_class_order, named
from fer_edge.train.data.splits import Dataset


def measure(
    model: Path,
    network: FloatNetwork,
    dataset: Dataset,
    conversion: ConversionOptions,
    verification: VerificationOptions,
) -> ModelCard:
    """Measure a converted int8 file against its float network again, and write the figures into its card.

    Args:
        model: The .tflite file with its card.
        network: The float network that it was made from.
        dataset: Post-training quantization is calibrated on its train split, accuracy is measured on its val split.
        conversion: How the comparison with post-training quantization is prepared.
        verification: What the file must show before the card is written.

    Returns:
        The new card; nothing but `accuracy` differs from the old one.

    Raises:
        ModelError: The file differs from its card, is of another network or other classes, or is outside the
            thresholds.
    """
    card = checked_card(model)
    if (card.architecture, card.quantization) != (network.architecture, "int8"):
        raise ModelError(
            f"{model} is {card.quantization} of {card.architecture}; expected int8 of {network.architecture}, "
            f"like {network.path}"
        )
    if card.labels != network.classes:
        raise ModelError(
            f"{model} has the classes {named(card.labels)}; {network.path} has {named(network.classes)}; expected the "
            "float network that it was made from"
        )
    dataset = dataset_in_class_order(dataset, card.labels, f"{model}")
    evaluator = open_evaluator(network, dataset, verification)
    faces = calibration_faces(dataset.split("train"), conversion)
    post_training = evaluator.post_training(as_exported(network, conversion).model, faces)
    accuracy, _ = evaluator.accuracy(model.stem, "int8", model.read_bytes(), post_training)
    card = replace(card, accuracy=accuracy)
    write_card(model, card)
    return card
