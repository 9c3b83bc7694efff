"""The command `models export`: a network as a Keras file, or a model as a folder for a hub."""

from __future__ import annotations

from pathlib import Path

import click

from fer_edge.edge.config.click_options import Option, SectionedCommand
from fer_edge.edge.errors import ModelError
from fer_edge.edge.expression.model_spec import FLOAT_KINDS, MODEL_NAMES, parse_model_spec
from fer_edge.models import FOLDER

KERAS_SUFFIXES = (".keras", ".h5")


@click.command(cls=SectionedCommand)
@click.argument("name", metavar="MODEL")
@click.option(
    "--hf",
    cls=Option,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Write a new folder for a model hub (Hugging Face): the .tflite file, its card, labels, README with metadata.",
)
@click.option(
    "--keras",
    "keras_file",
    cls=Option,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the float network as a Keras model (.keras or .h5), with the names of its classes.",
)
def export(name: str, hf: Path | None, keras_file: Path | None) -> None:
    """Write MODEL as others take it: as a folder for a model hub, or its float network as a Keras model.

    For --hf, MODEL is a shipped model's name or a .tflite file with its card. It needs neither Keras nor TensorFlow and
    connects to nothing: read the README, then push the folder yourself.

    For --keras, MODEL is a shipped model's name, a run folder, or a .npz file of weights that training wrote. The
    shipped weights are in half precision, and only in the repository.
    """
    if hf is None and keras_file is None:
        raise ModelError("nothing to write; expected --hf FOLDER, --keras FILE, or both")
    if keras_file is not None:
        _export_keras(name, keras_file)
    if hf is not None:
        from fer_edge.convert.hub_folder import export_hub_folder

        folder = export_hub_folder(parse_model_spec(name, ("tflite",)).path, hf)
        click.echo(f"{folder}: {', '.join(sorted(each.name for each in folder.iterdir()))}")


def _export_keras(name: str, target: Path) -> None:
    """Write a float network as a Keras file."""
    if target.suffix not in KERAS_SUFFIXES:
        raise ModelError(f"--keras {target}: expected a name that ends in {' or '.join(KERAS_SUFFIXES)}")
    path = FOLDER / "float" / f"{name}.npz" if name in MODEL_NAMES else parse_model_spec(name, FLOAT_KINDS).path
    if not path.is_file():
        where = "; the float weights are in the repository, not in the installed package" if name in MODEL_NAMES else ""
        raise ModelError(f"{path}: no such file{where}")
    from fer_edge.train.networks import open_network
    from fer_edge.train.run_folder import save_model

    network = open_network(path)
    save_model(network.model, target, network.classes)
    click.echo(f"{target}: {network.model.name}, {len(network.classes)} classes ({', '.join(network.classes)})")
