"""The command `convert`; TensorFlow is imported only once it runs."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import click

from fer_edge.edge.config.click_types import FloatRange
from fer_edge.edge.errors import ModelError
from fer_edge.edge.tflite.card import ModelCard

_logger = logging.getLogger(__name__)

DEFAULT_OTHER = Path(".venv-tflite/bin/python")


@click.command()
@click.argument("what", metavar="NAME|PATH")
@click.option("--data", "data_path", help="FER2013 CSV (.gz, .xz, .zip) or folder tree; a .tflite file does without.")
@click.option("--skip-bad", is_flag=True, help="Count bad rows or pictures and go on.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Where model and card go.",
    show_default="models, or where a .tflite file lies",
)
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs"), help="Where run folders lie.")
@click.option("--ptq", is_flag=True, help="Post-training quantization only, without fine-tuning.")
@click.option("--float32", is_flag=True, help="A float32 export, for comparison (instead of int8).")
@click.option("--float16", is_flag=True, help="An export with half-precision weights (instead of int8).")
@click.option("--dynamic", is_flag=True, help="An export with int8 weights and float activations (instead of int8).")
@click.option("--onnx", is_flag=True, help="ONNX too, compared with the .tflite file in onnxruntime.")
@click.option("--labels", is_flag=True, help="Write the labels into a .tflite file from elsewhere or before them.")
@click.option(
    "--measure",
    type=click.Path(path_type=Path),
    help="Measure a .tflite file anew beside this float network (.npz, .keras, run folder), for its card.",
)
@click.option("--debug", is_flag=True, help="Write no model, but name the layers that int8 hurts (…_sensitivity.csv).")
@click.option("--epochs", type=click.IntRange(0), default=1, help="Epochs of fine-tuning with fake quantization.")
@click.option("--rate", type=FloatRange(0, min_open=True), default=1e-4, help="Peak learning rate (Adam).")
@click.option("--batch-size", type=click.IntRange(1), default=64, help="Pictures a step.")
@click.option(
    "--steps", type=click.IntRange(1), default=None, help="At most so many steps an epoch.", show_default="all"
)
@click.option("--resume", is_flag=True, help="Start from the best weights of the last fine-tuning of this network.")
@click.option("--distill", type=FloatRange(0, 1), default=0.7, help="Share of the float model in the loss.")
@click.option("--seed", type=int, default=1, help="Of shuffling, augmentation and the calibration sample.")
@click.option("--limit", type=click.IntRange(1), default=512, help="Training faces to calibrate ranges on.")
@click.option("--fold/--no-fold", default=True, help="Fold gray and upscaling into the first convolution.")
@click.option("--min-agreement", type=FloatRange(0, 1), default=0.85, help="Least share of top-1 answers as float's.")
@click.option("--max-drop", type=FloatRange(), default=1.0, help="Most accuracy that may be lost on val, points.")
@click.option(
    "--tflite-runtime-python",
    "other",
    type=click.Path(path_type=Path),
    envvar="FER_EDGE_TFLITE_PYTHON",
    help="A Python that has tflite-runtime and numpy < 2, to verify in that runtime too.",
    show_default=f"{DEFAULT_OTHER} if there",
)
def convert(
    what: str,
    data_path: str | None,
    skip_bad: bool,
    out: Path | None,
    runs: Path,
    ptq: bool,
    float32: bool,
    float16: bool,
    dynamic: bool,
    onnx: bool,
    labels: bool,
    measure: Path | None,
    debug: bool,
    epochs: int,
    rate: float,
    batch_size: int,
    steps: int | None,
    resume: bool,
    distill: float,
    seed: int,
    limit: int,
    fold: bool,
    min_agreement: float,
    max_drop: float,
    other: Path | None,
) -> None:
    """Quantize NAME (a run of --runs) or PATH to int8 TFLite, verify it on the val split, and write it with its card.

    A model that computes anything in float, agrees too little with the float model, or loses too much accuracy is
    not written.

    PATH may be a .tflite file: --onnx makes ONNX of it, without training data and float weights; --measure writes its
    card's accuracy anew.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    asked = {"ptq": ptq, "float32": float32, "float16": float16, "dynamic": dynamic}
    finished = what.endswith(".tflite")
    if finished and (any(asked.values()) or debug or not (onnx or labels or measure)):
        raise ModelError(f"{what} is converted already; expected --onnx, --labels or --measure with it")
    if not finished and (labels or measure):
        raise click.UsageError(
            "--labels and --measure are for .tflite files; what is converted is labelled and measured in any case."
        )
    if measure and out:
        raise click.UsageError("--measure writes the card where the file lies; leave --out away.")
    if data_path is None and (measure or not finished):
        raise click.UsageError("Missing option '--data'.")
    if onnx:
        import fer_edge.convert.onnx  # noqa: F401  # what is missing is missed now, not after hours of fine-tuning
    if finished:
        _finished(Path(what), data_path, skip_bad, out, onnx, labels)
        if measure is None:
            return
    from fer_edge.convert.conversion import Job
    from fer_edge.convert.conversion import convert as run
    from fer_edge.convert.conversion import debug as name_layers
    from fer_edge.convert.conversion import measure as anew
    from fer_edge.convert.finetune import Tuning
    from fer_edge.convert.float_network import open_source
    from fer_edge.convert.verify import Limits
    from fer_edge.train.data.loading import load

    if other is not None and not other.is_file():
        raise ModelError(f"--tflite-runtime-python {other}: no such file; expected a Python with tflite-runtime")
    job = Job(
        kinds=tuple(kind for kind, wanted in asked.items() if wanted) or ("int8",),
        tuning=Tuning(epochs, rate, batch_size, seed, distill, steps=steps),
        limit=limit,
        fold=fold,
        limits=Limits(min_agreement, max_drop),
        other_python=other or (DEFAULT_OTHER if DEFAULT_OTHER.is_file() else None),
        resume=resume,
        onnx=onnx,
    )
    data = load(str(data_path), skip_bad=skip_bad)
    source = open_source(str(measure or what), runs)
    if job.other_python is None:
        _logger.info("no .venv-tflite here: tflite-runtime is not verified (see --tflite-runtime-python)")
    if measure:
        click.echo(_told(*anew(Path(what), source, data, job, echo=_logger.info)))
        return
    if debug:
        path, table = name_layers(source, data, job, echo=_logger.info)
        click.echo(table)
        click.echo(f"every tensor: {path}")
        return
    written = run(source, data, job, out or Path("models"), echo=_logger.info)
    for path, card in written:
        click.echo(_told(path, card))
        if onnx:
            click.echo(_twin(path.with_suffix(".onnx"), card.conversion["onnx"]))


def _told(path: Path, card: ModelCard) -> str:
    """One line on what a card says of its file."""
    litert, network = next(iter(card.accuracy["runtimes"].values())), card.accuracy["float"]
    return (
        f"{path}: {100 * litert['accuracy']:.2f} % on val (float {100 * network['accuracy']:.2f} %), "
        f"{100 * litert['agreement']:.1f} % agreement"
    )


def _finished(model: Path, data_path: str | None, skip_bad: bool, out: Path | None, onnx: bool, labels: bool) -> None:
    """What --onnx and --labels do with a .tflite file."""
    if not model.is_file():
        raise ModelError(f"{model}: no such file; expected a .tflite file")
    from fer_edge.convert.tflite_file import label, made_faces, sample, write_onnx
    from fer_edge.train.data.loading import load

    folder = out or model.parent
    if labels:
        model = label(model, folder)
        click.echo(f"{model}: its labels are inside")
    if onnx:
        val = load(data_path, skip_bad=skip_bad).split("val") if data_path else None
        _logger.info("making ONNX (a minute or two)")
        click.echo(_twin(*write_onnx(model, sample(val.faces) if val else made_faces(), folder)))


def _twin(path: Path, found: dict[str, Any]) -> str:
    """One line on an ONNX file and what the card says of it."""
    return (
        f"{path}: answers as the .tflite file on {100 * found['agreement']:.1f} % of {found['pictures']} faces, "
        f"scores differ by {found['largest_difference']:.3f} at most"
    )
