"""The command `models export`: a network as a Keras file, or a model as a folder for a hub."""

from __future__ import annotations

from pathlib import Path

import click

from fer_edge.edge.config.click_options import Option, SectionedCommand
from fer_edge.edge.errors import ModelError
from fer_edge.edge.expression.model_spec import parse_model_spec


@click.command(cls=SectionedCommand)
@click.argument("name", metavar="MODEL")
@click.option(
    "--hf",
    cls=Option,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Write a new folder for a model hub (Hugging Face): the .tflite file, its card, labels, README with metadata.",
)
def export(name: str, hf: Path | None) -> None:
    """Write MODEL as others take it: as a folder for a model hub.

    MODEL is a shipped model's name or a .tflite file with its card. --hf needs neither Keras nor TensorFlow and
    connects to nothing: read the README, then push the folder yourself.
    """
    if hf is None:
        raise ModelError("nothing to write; expected --hf FOLDER")
    from fer_edge.convert.hub_folder import export_hub_folder

    folder = export_hub_folder(parse_model_spec(name, ("tflite",)).path, hf)
    click.echo(f"{folder}: {', '.join(sorted(each.name for each in folder.iterdir()))}")
