"""What another activation in a trained network would cost: accuracy before any training for it, and time in int8.

    python examples/activations.py models/float/efficientnet_b0.npz --data fer2013.csv

Every swish or sigmoid of the float network is exchanged, the network is quantized after training, and all are timed in
turns on one thread. What comes out is no model to ship, but says whether training one would be worth it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from fer_edge.benchmarks.latency import noise, timed
from fer_edge.benchmarks.results_io.intervals import ratio_interval
from fer_edge.convert import verify
from fer_edge.convert.conversion import representative
from fer_edge.convert.export import export_post_training
from fer_edge.convert.float_network import open_source
from fer_edge.edge.errors import FerEdgeError
from fer_edge.edge.tflite.interpreter import Interpreter, open_interpreter
from fer_edge.train.data.loading import load
from fer_edge.train.data.splits import Split
from fer_edge.train.loop import predict_logits

TURNS, CALLS = 20, 10
CALIBRATION = 512


def hard_sigmoid(x: Any) -> Any:
    """Three straight lines instead of a sigmoid (Howard et al. 2019, arXiv:1905.02244)."""
    return tf.nn.relu6(x + 3) * (1 / 6)


def hard_swish(x: Any) -> Any:
    """A swish with a hard sigmoid, of the same paper; TFLite has an operator for it."""
    return x * hard_sigmoid(x)


VARIANTS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "hard swish": {"swish": hard_swish},
    "hard sigmoid": {"sigmoid": hard_sigmoid},
    "hard swish, hard sigmoid": {"swish": hard_swish, "sigmoid": hard_sigmoid},
    "ReLU6 for swish": {"swish": tf.nn.relu6},
}


def exchange(model: Any, activations: dict[str, Any]) -> int:
    """Put other activations in the place of those with such names; how many were."""
    layers = [
        layer for layer in model.layers if getattr(getattr(layer, "activation", None), "__name__", "") in activations
    ]
    for layer in layers:
        layer.activation = activations[layer.activation.__name__]
    return len(layers)


def times(interpreters: list[Interpreter]) -> list[list[float]]:
    """Each interpreter's median of CALLS calls in every one of TURNS turns, ms; a turn is of them all."""
    arrays = [noise(each.inputs[0]) for each in interpreters]
    calls = [lambda each=each, array=array: each.run(array) for each, array in zip(interpreters, arrays, strict=True)]
    turns = [[median(timed(call, CALLS)) for call in calls] for _ in range(TURNS + 1)][1:]  # the first warms up
    return [list(each) for each in zip(*turns, strict=True)]


def compare(fresh: Callable[[], Any], val: Split, sample: NDArray[np.uint8]) -> list[str]:
    """A line for each variant of the network that fresh makes anew; (N, 48, 48) uint8 faces calibrate it."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for name, activations in VARIANTS.items():
            model = fresh()
            if activations and not exchange(model, activations):
                continue
            click.echo(f"{name}: quantizing after training", err=True)
            path = Path(folder) / f"{name}.tflite"
            path.write_bytes(export_post_training(model, sample))
            logits = predict_logits(model, val.faces), verify.litert_logits(path, val.faces)[1]
            found.append((name, open_interpreter(path), *(np.mean(each.argmax(1) == val.labels) for each in logits)))
        taken = times([interpreter for _, interpreter, *_ in found])
    lines = [f"{'':26}{'float':>8}{'int8':>10}   time"]
    for (name, _, float32, int8), turns in zip(found, taken, strict=True):
        low, high = ratio_interval(turns, taken[0], paired=True)
        ratio = median(turns) / median(taken[0])
        lines.append(f"{name:26}{100 * float32:6.2f} %{100 * int8:8.2f} %   {ratio:.2f}x ({low:.2f}–{high:.2f})")
    return lines


@click.command()
@click.argument("network")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="FER2013's CSV file.")
def main(network: str, data: Path) -> None:
    """Compare activations in NETWORK, a .npz or .keras file of the float network."""
    dataset = load(data)
    sample = representative(dataset.split("train"), CALIBRATION, seed=0)
    click.echo("\n".join(compare(lambda: open_source(network, Path()).model, dataset.split("val"), sample)))


if __name__ == "__main__":
    try:
        main()
    except FerEdgeError as error:
        click.echo(f"fer-edge: {error}", err=True)
        raise SystemExit(2) from None
