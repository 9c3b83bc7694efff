"""Commands of `fer-edge models` for network authors; heavy libraries are imported only once a command runs."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from fer_edge.convert.commands.output import accuracy_line, start_tensorflow
from fer_edge.convert.options import ConversionOptions, VerificationOptions
from fer_edge.edge.config.click_options import Option, SectionedCommand, options_from
from fer_edge.edge.errors import ModelError
from fer_edge.train.data.options import HOW, DataOptions
from fer_edge.train.options import TrainingOptions

_logger = logging.getLogger(__name__)

ONNX_SAMPLES = 500
"""About how many faces of the val split an ONNX file is compared on."""

PREPARATION = ("fold", "calibration_samples", "corruption", "seed")
"""The fields of `ConversionOptions` that prepare a network for quantization."""

files_argument = click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
out_option = click.option(
    "--out",
    cls=Option,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Folder for the new files.",
    show_default="the files' own",
)


@click.command()
@files_argument
@out_option
def label(files: tuple[Path, ...], out: Path | None) -> None:
    """Write labels and description into .tflite classifiers as TFLite metadata.

    Graph and weights do not change; the cards get the new sha256.
    """
    from fer_edge.convert.metadata import label_file

    for file in files:
        click.echo(f"{label_file(file, out or file.parent)}: labelled")


@click.command(cls=SectionedCommand)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--float",
    "float_network",
    cls=Option,
    section="Input",
    required=True,
    metavar="NAME|PATH",
    help="Float network that FILE was converted from: a run in --runs, a run folder, a .keras or a .npz file.",
)
@options_from(DataOptions, "Input", only=("data", *HOW))
@options_from(TrainingOptions, "Input", only=("runs",))
@options_from(ConversionOptions, "Calibration", only=PREPARATION)
@options_from(VerificationOptions, "Verification")
def measure(
    file: Path,
    float_network: str,
    data_options: DataOptions,
    training_options: TrainingOptions,
    conversion_options: ConversionOptions,
    verification_options: VerificationOptions,
) -> None:
    """Measure FILE, a converted int8 .tflite file, against its float network, and update its card.

    The card gets the accuracy on the val split of the float network, of its post-training quantization, and of FILE in
    each runtime. If FILE fails its verification, the card stays as it is.
    """
    start_tensorflow()
    from fer_edge.convert.float_network import open_float_network
    from fer_edge.convert.measurement import measure as measure_file
    from fer_edge.convert.runtimes import with_tflite_python

    verification = with_tflite_python(verification_options)
    dataset = data_options.load()
    network = open_float_network(float_network, training_options.runs)
    click.echo(accuracy_line(file, measure_file(file, network, dataset, conversion_options, verification)))


@click.command()
@files_argument
@click.option(
    "--data",
    cls=Option,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Compare on faces of the val split of this FER2013 CSV or class-folder tree.",
    show_default="100 synthetic patterns",
)
@options_from(DataOptions, only=HOW)
@out_option
def onnx(files: tuple[Path, ...], data: Path | None, data_options: DataOptions, out: Path | None) -> None:
    """Convert .tflite classifiers to ONNX and compare the answers in onnxruntime.

    An ONNX file that answers differently is not written. Float weights and training data are not needed.
    """
    for file in files:
        if not file.is_file():
            raise ModelError(f"{file}: no such file; expected a .tflite file")
    start_tensorflow()
    from fer_edge.convert.onnx_export import export_onnx, synthetic_faces

    faces = synthetic_faces()
    if data is not None:
        faces = data_options.load(data).split("val").faces
        faces = faces[:: max(1, len(faces) // ONNX_SAMPLES)]
    for file in files:
        _logger.info(f"converting {file} (a minute or two)")
        path, entry = export_onnx(file, faces, out or file.parent)
        click.echo(
            f"{path}: agrees with {file.name} on {100 * entry['agreement']:.1f} % of {entry['pictures']} faces, "
            f"scores at most {entry['largest_difference']:.3f} apart"
        )


@click.command(cls=SectionedCommand)
@click.argument("name", metavar="NAME|PATH")
@options_from(DataOptions, "Input", only=("data", *HOW))
@options_from(TrainingOptions, "Input", only=("runs",))
@click.option(
    "--finetuned",
    cls=Option,
    section="Input",
    is_flag=True,
    help="Take the weights of the last fine-tuning of this network.",
)
@options_from(ConversionOptions, "Calibration", only=PREPARATION)
def sensitivity(
    name: str,
    data_options: DataOptions,
    training_options: TrainingOptions,
    finetuned: bool,
    conversion_options: ConversionOptions,
) -> None:
    """List the layers of a float network that int8 quantization hurts most.

    Each tensor is rounded alone. The full list goes to a CSV file in the network's folder (float_sensitivity.csv for
    float.npz). NAME is a run in --runs; PATH is a run folder, a .keras or a .npz file.
    """
    start_tensorflow()
    from fer_edge.convert.float_network import open_float_network
    from fer_edge.convert.sensitivity import report_sensitivity

    train = data_options.load().split("train")
    network = open_float_network(name, training_options.runs)
    path, table = report_sensitivity(network, train, conversion_options, finetuned=finetuned)
    click.echo(table)
    click.echo(f"every tensor: {path}")
