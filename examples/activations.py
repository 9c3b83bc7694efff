"""Compare other activations in a trained network: accuracy without any retraining, and int8 latency.

    python examples/activations.py models/float/efficientnet_b0.npz --data fer2013.csv

Each variant replaces every swish or sigmoid of the float network, quantizes it after training, and is timed on one
thread, in turns with the others. No variant is a model to ship; the table shows whether training one would be worth it.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from fer_edge.benchmarks.latency import noise
from fer_edge.benchmarks.timing import timed
from fer_edge.convert.calibration_faces import sample_faces
from fer_edge.convert.float_network import open_float_network
from fer_edge.convert.runtimes import litert_logits
from fer_edge.convert.tflite_export import export_post_training
from fer_edge.edge.errors import FerEdgeError
from fer_edge.edge.terminal import configure_logging
from fer_edge.edge.tflite.interpreter import Interpreter, open_interpreter
from fer_edge.train.data.loading import load
from fer_edge.train.data.splits import Split
from fer_edge.train.evaluation.intervals import ratio_interval
from fer_edge.train.networks import predict_logits

TURNS, CALLS = 20, 10
CALIBRATION_SAMPLES = 512

_logger = logging.getLogger("fer_edge.examples.activations")


def hard_sigmoid(x: Any) -> Any:
    """A piecewise linear sigmoid (Howard et al. 2019, arXiv:1905.02244)."""
    return tf.nn.relu6(x + 3) * (1 / 6)


def hard_swish(x: Any) -> Any:
    """A swish with a hard sigmoid, from the same paper; TFLite has an operator for it."""
    return x * hard_sigmoid(x)


VARIANTS: dict[str, dict[str, Any]] = {
    "unchanged": {},
    "hard swish": {"swish": hard_swish},
    "hard sigmoid": {"sigmoid": hard_sigmoid},
    "hard swish, hard sigmoid": {"swish": hard_swish, "sigmoid": hard_sigmoid},
    "ReLU6 for swish": {"swish": tf.nn.relu6},
}


@dataclass(frozen=True, eq=False)
class Variant:
    """A network with other activations: its int8 file's interpreter, and its accuracy on val, 0..1."""

    name: str
    interpreter: Interpreter
    float_accuracy: float
    int8_accuracy: float


def replace_activations(model: Any, activations: dict[str, Any]) -> int:
    """Replace the activations of these names in a Keras model; returns how many there were."""
    layers = [
        layer for layer in model.layers if getattr(getattr(layer, "activation", None), "__name__", "") in activations
    ]
    for layer in layers:
        layer.activation = activations[layer.activation.__name__]
    return len(layers)


def latencies(interpreters: list[Interpreter]) -> list[list[float]]:
    """Each interpreter's median of CALLS calls in each of TURNS turns, ms; every turn runs all interpreters."""
    arrays = [noise(each.inputs[0]) for each in interpreters]
    calls = [lambda each=each, array=array: each.run(array) for each, array in zip(interpreters, arrays, strict=True)]
    turns = [[median(timed(call, CALLS)) for call in calls] for _ in range(TURNS + 1)][1:]  # the first one warms up
    return [list(each) for each in zip(*turns, strict=True)]


def open_variants(load_model: Callable[[], Any], val: Split, faces: NDArray[np.uint8], folder: Path) -> list[Variant]:
    """Quantize and measure the network with each set of activations that it can take.

    Args:
        load_model: Makes the float network, every time a new one.
        val: The split to measure accuracy on.
        faces: (N, 48, 48) uint8 faces to calibrate on.
        folder: Where the .tflite files go.

    Returns:
        The variants, the unchanged network first.
    """
    variants = []
    for name, activations in VARIANTS.items():
        model = load_model()
        if activations and not replace_activations(model, activations):
            continue
        _logger.info(f"{name}: quantizing after training")
        path = folder / f"{name}.tflite"
        path.write_bytes(export_post_training(model, faces))
        logits = predict_logits(model, val.faces), litert_logits(path, val.faces, val.classes)[1]
        accuracies = [float(np.mean(each.argmax(1) == val.labels)) for each in logits]
        variants.append(Variant(name, open_interpreter(path), *accuracies))
    return variants


def table(variants: list[Variant]) -> str:
    """Accuracy and latency of each variant, latency as a ratio to the first one's with its interval."""
    times = latencies([variant.interpreter for variant in variants])
    lines = [f"{'':26}{'float':>8}{'int8':>10}   latency"]
    for variant, turns in zip(variants, times, strict=True):
        low, high = ratio_interval(turns, times[0], paired=True)
        ratio = median(turns) / median(times[0])
        accuracies = f"{100 * variant.float_accuracy:6.2f} %{100 * variant.int8_accuracy:8.2f} %"
        lines.append(f"{variant.name:26}{accuracies}   {ratio:.2f}x ({low:.2f}–{high:.2f})")
    return "\n".join(lines)


@click.command()
@click.argument("network")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="FER2013 CSV file.")
def main(network: str, data: Path) -> None:
    """Compare activations in NETWORK, a .npz or .keras file of the float network."""
    configure_logging()
    dataset = load(data)
    faces = sample_faces(dataset.split("train"), CALIBRATION_SAMPLES, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        variants = open_variants(
            lambda: open_float_network(network, Path()).model, dataset.split("val"), faces, Path(folder)
        )
    click.echo(table(variants))


if __name__ == "__main__":
    try:
        main()
    except FerEdgeError as error:
        click.echo(f"fer-edge: {error}", err=True)
        raise SystemExit(2) from None
