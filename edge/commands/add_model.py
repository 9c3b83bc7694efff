"""`fer-edge models add`: the card of a network of one's own, with which every command takes the file."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from fer_edge.edge.config.click_options import Option, options_from
from fer_edge.edge.errors import ModelError, printable
from fer_edge.edge.expression.classifier import TFLiteClassifier, check_tensors
from fer_edge.edge.expression.inspection import (
    RANGES,
    Finding,
    find_colour,
    find_output,
    find_range,
    quantization_of,
    sample_faces,
)
from fer_edge.edge.expression.network_labels import find_labels
from fer_edge.edge.expression.pixel_range import PixelRange, format_range, parse_range
from fer_edge.edge.faces.crop import MARGIN
from fer_edge.edge.tflite.card import (
    COLOURS,
    MAX_MARGIN,
    MIN_MARGIN,
    OUTPUTS,
    UNKNOWN,
    ModelCard,
    card_path,
    sha256,
    write_card,
)
from fer_edge.edge.tflite.interpreter import Interpreter, open_interpreter
from fer_edge.edge.tflite.metadata import read_metadata
from fer_edge.edge.types import option
from fer_edge.models import SHIPPED

log = logging.getLogger(__name__)

MEASUREMENT = "fer_edge.train.evaluation.output_order"
"""The module of the room `train` that measures a network on a data set; imported where --data is given."""


@dataclass(frozen=True)
class NetworkOptions:
    """What a .tflite file does not say of itself.

    Attributes:
        labels: Names of the classes in the order of the outputs, or a file with one in each line; None for those in or
            beside the file.
        colour: Colours of the crop in the order of the input's channels; None for what the file shows.
        range: Values of black and white at the input, see `parse_range`; None for what the file shows.
        output: What the outputs are; None for what they look like.
        crop_margin: Side of the crop in sides of the detector's box.
        license: Licence of the file; None for the one in its metadata.
        data: A labelled data set to measure the network on.
        name: Name of the network; None for the file's.
    """

    labels: str | None = option(
        None,
        "Classes in the order of the outputs, or a text file with one in each line.",
        metavar="NAME,NAME,…",
        show_default="the labels in or beside the file",
    )
    colour: str | None = option(
        None,
        "Colours of the face, in the order of the channels; gray goes into every channel.",
        choices=tuple(each for each in COLOURS if " " not in each),
        show_default="rgb of three channels",
    )
    range: str | None = option(
        None,
        "Black and white at the input, or what is subtracted from pixels from 0 to 255 and what they are divided by.",
        metavar="LOW..HIGH|MEAN/DEVIATION",
        show_default="what the file shows",
    )
    output: str | None = option(
        None, "What the outputs are.", choices=OUTPUTS, show_default="softmax where they sum to 1"
    )
    crop_margin: float = option(
        MARGIN,
        "Side of the square around a face, in sides of the detector's box; a larger one shows more of the head.",
        metavar="SIDES",
        minimum=MIN_MARGIN,
        maximum=MAX_MARGIN,
    )
    license: str | None = option(
        None, "Licence of the file, for its card.", metavar="TEXT", show_default="the file's, or unknown"
    )
    data: Path | None = option(
        None,
        "Labelled faces (a CSV or class folders) to measure the accuracy on; says if another order of labels fits.",
        metavar="PATH",
    )
    name: str | None = option(None, "Name of the network, for its card.", metavar="NAME", show_default="the file's")


@click.command("add")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@options_from(NetworkOptions)
@click.option("--force", cls=Option, is_flag=True, help="Replace the card that the file has.")
def add(file: Path, network_options: NetworkOptions, force: bool) -> None:
    """Write the card of a .tflite classifier of your own, so that every command takes the file as its model.

    The file is tried in a process of its own, and run on drawn faces. What it takes is read from the file as far as it
    shows; what was found and what was assumed is printed, and the rest is asked for.
    """
    if file.suffix != ".tflite":
        raise ModelError(f"{printable(file)}: expected a file with the suffix .tflite; its card will lie beside it")
    if card_path(file).exists() and not force:
        raise ModelError(f"{printable(card_path(file))} exists; --force replaces it")
    network = open_interpreter(file, xnnpack=False)
    if sha256(file) in SHIPPED:
        raise ModelError(f"{printable(file)} comes with fer-edge, and so does its card")
    check_tensors(network, square=False)
    card, lines = _describe(file, network, network_options)
    write_card(file, card)
    for line in (*lines, f"card: {printable(card_path(file))}"):
        click.echo(line)


def _describe(file: Path, network: Interpreter, options: NetworkOptions) -> tuple[ModelCard, list[str]]:
    """The network's card, and in lines what was found. Raises ModelError, ConfigError and DataError."""
    (tensor,), (output,), metadata = network.inputs, network.outputs, read_metadata(file)
    labels = find_labels(file, max(output.shape[-1], 2), options.labels, metadata.labels_file)
    if options.colour in ("rgb", "bgr") and tensor.shape[3] == 1:
        raise ModelError(f"--colour {options.colour}: {printable(file)} takes one channel; leave --colour out")
    colour = Finding(options.colour, "--colour") if options.colour else find_colour(tensor, metadata)
    card = ModelCard(
        name=options.name or file.stem,
        architecture=UNKNOWN,
        sha256=sha256(file),
        labels=labels.names,
        colour=colour.value,
        quantization=quantization_of(network),
        training={"data": UNKNOWN},
        conversion={"from": UNKNOWN, "bytes": file.stat().st_size},
        licence=options.license or metadata.licence or UNKNOWN,
        date=time.strftime("%Y-%m-%d"),
        crop_margin=options.crop_margin,
    )
    if options.range is not None:
        pixels: Finding | None = Finding(parse_range(options.range), "--range")
    else:
        pixels = find_range(network, metadata, labels.numbered)
    data = None if options.data is None else _Measurement(options.data, labels.names)
    if pixels is None:
        raise ModelError(_range_wanted(file, card, options.output, data))
    card, outputs = _with_range(file, card, pixels.value, options.output)
    _, height, width, channels = tensor.shape
    lines = [
        f"input: {width}x{height} pixels, {channels} channel{'s' * (channels > 1)}, {tensor.dtype.name}",
        f"colour: {colour.value} ({colour.origin})",
        f"range: {format_range(pixels.value)} ({pixels.origin})",
        f"output: {outputs.value} ({outputs.origin})",
        f"classes: {printable(', '.join(labels.names))} ({labels.origin})",
        f"crop: {options.crop_margin:g} sides of the detector's box",
        f"quantization: {card.quantization}",
        f"licence: {printable(card.licence)}",
    ]
    if data is None:
        return card, [*lines, "accuracy: not measured; --data measures it, and whether the classes are in order"]
    accuracy, line = data.of(card, file)
    return replace(card, accuracy=accuracy), [*lines, line]


def _with_range(file: Path, card: ModelCard, pixel_range: PixelRange, given: str | None) -> tuple[ModelCard, Finding]:
    """The card with a range of pixels and with what the outputs are, by the answers to drawn faces."""
    card = replace(card, pixel_range=pixel_range)
    classifier = TFLiteClassifier(file, card=card)
    try:
        found = find_output(classifier.outputs(sample_faces()), classifier.output, given)
    except ModelError as error:
        raise ModelError(f"{printable(file)}: {error}") from None
    return replace(card, output=found.value), found


class _Measurement:
    """A labelled data set on which a network is measured, by the room `train`."""

    def __init__(self, data: Path, classes: tuple[str, ...]) -> None:
        self._room: Any = import_module(MEASUREMENT)
        self._pictures = self._room.load_pictures(data, classes)

    def accuracy(self, card: ModelCard, file: Path) -> float:
        """The share of the pictures that are named correctly, 0..1."""
        return float(self._room.measure(TFLiteClassifier(file, card=card).logits, self._pictures).accuracy)

    def of(self, card: ModelCard, file: Path) -> tuple[dict[str, Any], str]:
        """The accuracy for the card, and as a line. ModelError where another order of the classes fits better."""
        classifier = TFLiteClassifier(file, card=card)
        measured, pictures = self._room.measure(classifier.logits, self._pictures), self._pictures
        if measured.better is not None:
            raise ModelError(
                f"--labels: in this order {100 * measured.accuracy:.1f} % of {pictures.described} are named correctly, "
                f"with {','.join(measured.better)} {100 * measured.better_accuracy:.1f} %; nothing was written: give "
                "that order, or leave --data out"
            )
        figures = {"pictures": len(pictures.split), "accuracy": round(measured.accuracy, 5)}
        record = {"split": pictures.name, "pictures": len(pictures.split), "data": pictures.source}
        line = f"accuracy: {100 * measured.accuracy:.2f} % of {pictures.described}"
        return record | {"runtimes": {classifier.runtime: figures}}, line


def _range_wanted(file: Path, card: ModelCard, given: str | None, data: _Measurement | None) -> str:
    """The error of a network whose range of pixels is not known; with data, how good it is with each usual one."""
    why = f"{printable(file)} does not show which values stand for black and white"
    if data is None:
        return (
            f"{why}; expected --range -1..1 (as Keras' MobileNets and Teachable Machine), 0..1 (as Edge Impulse), "
            "0..255 (networks that rescale inside) or MEAN/DEVIATION, or --data PATH to try them"
        )
    shares = {}
    for name, pair in RANGES.items():
        try:
            shares[name] = data.accuracy(_with_range(file, card, pair, given)[0], file)
        except ModelError as error:
            log.info("--range %s: %s", name, error)
    best = sorted(shares.items(), key=lambda item: -item[1])
    tried = ", ".join(f"{100 * share:.1f} % with --range {name}" for name, share in best)
    return f"{why}; of the pictures {tried or 'none'} are named correctly: give the --range that it was trained with"
