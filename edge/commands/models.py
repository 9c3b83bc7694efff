"""`fer-edge models`: the shipped models, their cards, and whether the files are intact."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import click

from fer_edge.edge.commands.exclusive_options import one_acceleration
from fer_edge.edge.config.click_options import json_option, options_from
from fer_edge.edge.config.lazy_group import LazyGroup
from fer_edge.edge.errors import FerEdgeError, printable
from fer_edge.edge.expression.classifier import open_member
from fer_edge.edge.expression.ensemble_config import read_ensemble
from fer_edge.edge.expression.model_spec import ENSEMBLE_FILE, parse_model_spec, shipped_models
from fer_edge.edge.faces.face_models import FACE_MODELS, verified_face_model
from fer_edge.edge.files.documents import json_text
from fer_edge.edge.pipeline import PipelineOptions
from fer_edge.edge.tflite.card import card_record, read_card
from fer_edge.edge.tflite.labels import read_labels
from fer_edge.edge.tflite.network import Network, open_network
from fer_edge.edge.types import Acceleration

CONVERT_COMMANDS = {
    "export": (
        "fer_edge.convert.commands.export:export",
        "Write a model as a folder for a model hub, or its float network for Keras.",
    ),
    "label": ("fer_edge.convert.commands.models:label", "Write labels and description into .tflite files."),
    "measure": (
        "fer_edge.convert.commands.models:measure",
        "Measure an int8 file against its float network, for its card.",
    ),
    "onnx": ("fer_edge.convert.commands.models:onnx", "Convert .tflite files to ONNX, verified."),
    "sensitivity": (
        "fer_edge.convert.commands.models:sensitivity",
        "List the layers of a float network that int8 hurts most.",
    ),
}
"""Commands for network authors from the room `convert`, which is imported only when one of them is called."""

ADD_COMMAND = {
    "add": ("fer_edge.edge.commands.add_model:add", "Write the card of a .tflite classifier of your own."),
}


@click.group(cls=LazyGroup, lazy=ADD_COMMAND | CONVERT_COMMANDS)
def models() -> None:
    """List, show, verify, add, label and measure models, or convert them to ONNX."""


@models.command("list")
@json_option("Print one JSON array instead of a table.")
def list_models(as_json: bool) -> None:
    """List the shipped models with size and validation accuracy."""
    cards = [(model.path, read_card(model.path)) for model in shipped_models()]
    if as_json:
        click.echo(json_text([{"file": str(path), **card_record(card)} for path, card in cards]))
        return
    for path, card in cards:
        measured = [figures for figures in card.accuracy.get("runtimes", {}).values() if isinstance(figures, dict)]
        accuracy = f"{100 * measured[0]['accuracy']:.2f} %" if measured else "not measured"
        size = path.stat().st_size / 1e6
        click.echo(f"{card.architecture:18} {card.quantization:5} {size:5.2f} MB   validation {accuracy}")
    if ENSEMBLE_FILE.exists():
        config = read_ensemble(ENSEMBLE_FILE)
        click.echo(f"{'ensemble':18} of {len(config.members)} members, temperature {config.temperature:.3f}")


@models.command()
@click.argument("name", metavar="MODEL")
def show(name: str) -> None:
    """Print a model's card as JSON, with the labels inside the file."""
    path = parse_model_spec(name, ("tflite",)).path
    record = {**card_record(read_card(path)), "labels_inside": read_labels(path)}
    click.echo(json_text(record, indent=2))


@models.command()
@click.argument("names", metavar="[MODEL]...", nargs=-1)
@options_from(PipelineOptions, only=("delegate", "accelerator"))
def verify(names: tuple[str, ...], pipeline_options: PipelineOptions) -> None:
    """Check the sha256 of models against their cards, load them, and print what runs their operators.

    Without MODEL, check every shipped model and face detector. The exit code is 2 where a check fails.
    """
    way = one_acceleration(pipeline_options).acceleration
    checks = [partial(_verified, parse_model_spec(name, ("tflite",)).path, way) for name in names] or [
        *(partial(_verified, model.path, way) for model in shipped_models()),
        *(partial(_verified_face_model, name, way) for name in FACE_MODELS),
    ]
    failures = 0
    for check in checks:
        try:
            click.echo(f"ok    {check()}")
        except FerEdgeError as error:
            failures += 1
            click.echo(f"FAIL  {error}", err=True)
    if not names:
        read_ensemble(ENSEMBLE_FILE)
    if failures:
        raise SystemExit(2)


def _verified(path: Path, acceleration: Acceleration) -> str:
    """The line of a model that matches its card and loads. Raises ModelError."""
    member, card = open_member(path, acceleration=acceleration)
    return _line(card.sha256, member.interpreter)


def _verified_face_model(name: str, acceleration: Acceleration) -> str:
    """The line of a face network that matches faces.json and loads. Raises ModelError."""
    path, entry = verified_face_model(name)
    return _line(entry["sha256"], open_network(path, acceleration=acceleration))


def _line(sha256: str, network: Network) -> str:
    runtime = re.sub("with(out)? XNNPACK$", network.placement, network.description)
    return f"{printable(network.path.name)}  sha256 {sha256[:12]}…  {runtime}"
