"""The command `convert`; TensorFlow is imported only once it runs."""

from __future__ import annotations

import click

from fer_edge.convert.commands.output import accuracy_line, start_tensorflow
from fer_edge.convert.options import ConversionOptions, TuningOptions, VerificationOptions
from fer_edge.edge.config.click_options import SectionedCommand, options_from
from fer_edge.edge.errors import ModelError
from fer_edge.train.data.options import TRAINED, DataOptions
from fer_edge.train.options import TrainingOptions
from fer_edge.train.origin import OriginOptions


def complete_name(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """What may follow in place of a network: the word that makes another command."""
    return [each for each in ("face-detector",) if incomplete and each.startswith(incomplete)]


@click.command(cls=SectionedCommand)
@click.argument("name", metavar="NAME|PATH", shell_complete=complete_name)
@options_from(DataOptions, "Input", only=("data", *TRAINED))
@options_from(TrainingOptions, "Input", only=("runs",))
@options_from(OriginOptions, "Input")
@options_from(ConversionOptions, "Export and calibration")
@options_from(TuningOptions, "Fine-tuning")
@options_from(VerificationOptions, "Verification")
def convert(
    name: str,
    data_options: DataOptions,
    training_options: TrainingOptions,
    origin_options: OriginOptions,
    conversion_options: ConversionOptions,
    tuning_options: TuningOptions,
    verification_options: VerificationOptions,
) -> None:
    """Quantize a float network to int8 TFLite, verify it on the val split, and write it with its card.

    NAME is a run in --runs; PATH is a run folder, a .keras or a .npz file. 'fer-edge convert face-detector' converts
    the face detector.

    A model that computes anything in float, agrees too little with the float model, or loses too much accuracy is not
    written.
    """
    if name.endswith(".tflite"):
        raise ModelError(
            f"{name} is converted already; expected a float network ('fer-edge models' has label, measure and onnx)"
        )
    start_tensorflow()
    from fer_edge.convert.conversion import convert as convert_network
    from fer_edge.convert.float_network import open_float_network
    from fer_edge.convert.runtimes import with_tflite_python

    verification = with_tflite_python(verification_options)
    dataset = data_options.load()
    network = open_float_network(name, training_options.runs)
    written = convert_network(network, dataset, conversion_options, tuning_options, verification, origin_options)
    for path, card in written:
        click.echo(accuracy_line(path, card))
