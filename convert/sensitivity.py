"""Quantization sensitivity per tensor: how much the answers change when a single tensor is rounded to int8."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.convert.calibration_faces import calibration_faces, sample_faces
from fer_edge.convert.checkpoint import Checkpoint
from fer_edge.convert.conversion import as_exported
from fer_edge.convert.fake_quantization import active_quantizers, quantizers
from fer_edge.convert.float_network import FloatNetwork
from fer_edge.convert.options import ConversionOptions
from fer_edge.convert.student import prepare_student
from fer_edge.edge.errors import ModelError
from fer_edge.edge.expression.scores import softmax
from fer_edge.edge.files.writing import write_bytes
from fer_edge.edge.preprocess import network_input
from fer_edge.edge.terminal import track
from fer_edge.train.data.splits import Split

SAMPLES = 256
"""Training faces that the answers are compared on; other ones than the calibration's."""


@dataclass(frozen=True)
class Sensitivity:
    """How the answers change when one tensor and no other is rounded to int8.

    Attributes:
        layer: The layer's name; `(all)` for all tensors together.
        tensor: `weights` or `output`; `all` for all tensors together.
        divergence: Mean Kullback-Leibler divergence from the float model's probabilities, nats.
        changed_answers: Share of faces whose top-1 answer changes, 0..1.
        low: The output's smallest value; for weights minus the largest magnitude.
        high: The output's largest value; for weights the largest magnitude.
    """

    layer: str
    tensor: str
    divergence: float
    changed_answers: float
    low: float
    high: float


def report_sensitivity(
    network: FloatNetwork, train: Split, conversion: ConversionOptions, *, finetuned: bool = False
) -> tuple[Path, str]:
    """Measure the sensitivity of a float network's tensors and write it beside the network's file.

    Args:
        network: The float network; its weights are changed.
        train: The train split, for calibration and comparison.
        conversion: How quantization is prepared.
        finetuned: Take the weights of the last fine-tuning instead of the float network's.

    Returns:
        The CSV file with every tensor, and a table of the most sensitive ones.

    Raises:
        ModelError: The network has a layer that cannot be quantized, or no fine-tuning of it is there.
    """
    if network.refusal:
        raise ModelError(f"{network.path}: {network.refusal}; it can only be quantized after training")
    model = as_exported(network, conversion).model
    student, _ = prepare_student(model, calibration_faces(train, conversion))
    if finetuned:
        Checkpoint(network.companion("finetuned.npz"), network.sha256).restore(student)
    together, tensors = analyse_sensitivity(student, sample_faces(train, SAMPLES, conversion.seed + 1))
    path = network.companion("sensitivity.csv")
    write_csv(path, tensors)
    return path, table(together, tensors)


def analyse_sensitivity(student: Any, faces: NDArray[np.uint8]) -> tuple[Sensitivity, list[Sensitivity]]:
    """Run a fake-quantized model once per quantizer, with all others switched off.

    Args:
        student: The fake-quantized model.
        faces: (N, 48, 48) uint8 faces.

    Returns:
        The sensitivity to all quantizers together, and to each alone, the highest divergence first.
    """
    views = network_input(faces, *student.input_shape[2:])

    def run(active: set[tuple[str, str]]) -> NDArray[np.float32]:
        with active_quantizers(student, active.__contains__):
            return np.asarray(student(views, training=False))

    exact, keys = run(set()), list(quantizers(student))
    tensors = [
        _sensitivity(student, *key, exact, run({key}))
        for key in track(keys, "rounding one tensor at a time", len(keys))
    ]
    together = _sensitivity(student, "(all)", "all", exact, run(set(keys)))
    return together, sorted(tensors, key=lambda each: -each.divergence)


def _sensitivity(
    student: Any, layer: str, tensor: str, exact: NDArray[np.float32], rounded: NDArray[np.float32]
) -> Sensitivity:
    """Compare (N, C) logits without and with rounding."""
    before, after = softmax(exact).astype(np.float64), softmax(rounded).astype(np.float64)
    divergence = float(np.mean(np.sum(before * (np.log(before + 1e-12) - np.log(after + 1e-12)), axis=1)))
    low, high = _range(student, layer, tensor)
    changed = float(np.mean(exact.argmax(axis=1) != rounded.argmax(axis=1)))
    return Sensitivity(layer, tensor, round(divergence, 7), round(changed, 5), round(low, 4), round(high, 4))


def _range(student: Any, layer: str, tensor: str) -> tuple[float, float]:
    if tensor == "all":
        return 0.0, 0.0
    wrapper = next(each for each in student.layers if getattr(getattr(each, "layer", None), "name", "") == layer)
    if tensor == "output":
        return wrapper.quantize_config.output
    (kernel,) = [weight for weight, _ in wrapper.quantize_config.get_weights_and_quantizers(wrapper.layer)]
    peak = float(np.abs(np.asarray(kernel)).max())
    return -peak, peak


def table(together: Sensitivity, tensors: Sequence[Sensitivity], count: int = 15) -> str:
    """The `count` first tensors, and all together, as text."""
    lines = [f"{'layer':32} {'tensor':8} {'divergence':>10} {'changed':>8}   range"]
    for row in (*tensors[:count], together):
        span = f"{row.low:.3g} … {row.high:.3g}" if row.tensor != "all" else ""
        lines.append(
            f"{row.layer:32} {row.tensor:8} {row.divergence:10.6f} {100 * row.changed_answers:6.2f} %   {span}"
        )
    return "\n".join(lines)


def write_csv(path: Path, tensors: Sequence[Sensitivity]) -> None:
    """Write a row per tensor, with the field names of `Sensitivity` as columns."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [each.name for each in fields(Sensitivity)])
    writer.writeheader()
    writer.writerows(asdict(each) for each in tensors)
    write_bytes(path, text.getvalue().encode())
