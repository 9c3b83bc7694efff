"""What each int8 tensor costs alone: the layers that hurt, by name."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.convert.quantization import only, quantizers
from fer_edge.edge.expression.scores import softmax
from fer_edge.edge.files import write_bytes
from fer_edge.edge.preprocess import network_input
from fer_edge.edge.terminal import track


@dataclass(frozen=True)
class Cost:
    """What rounding one tensor and no other does to the answers.

    divergence: mean Kullback-Leibler divergence of the float model's probabilities from it, nats. changed: share of
    faces whose top-1 answer changes, 0..1. low, high: an output's range; for weights its largest magnitude.
    """

    layer: str
    what: str  # 'weights' or 'output'
    divergence: float
    changed: float
    low: float
    high: float


def sensitivity(
    student: Any,
    faces: NDArray[np.uint8],
) -> tuple[Cost, list[Cost]]:
    """The cost of all rounding together, and of each quantizer of a fake-quantized model alone, the worst first.

    faces: (N, 48, 48) uint8. The model runs once for every quantizer.
    """
    views = network_input(faces, *student.input_shape[2:])

    def run(kept: set[tuple[str, str]]) -> NDArray[np.float32]:
        with only(student, kept.__contains__):
            return np.asarray(student(views, training=False))

    exact, every = run(set()), quantizers(student)
    costs = []
    for key in track(every, "rounding one tensor at a time", len(every)):
        costs.append(_cost(student, *key, exact, run({key})))
    together = _cost(student, "(all)", "all", exact, run(set(every)))
    return together, sorted(costs, key=lambda cost: -cost.divergence)


def _cost(student: Any, layer: str, what: str, exact: NDArray[np.float32], rounded: NDArray[np.float32]) -> Cost:
    before, after = softmax(exact).astype(np.float64), softmax(rounded).astype(np.float64)
    divergence = float(np.mean(np.sum(before * (np.log(before + 1e-12) - np.log(after + 1e-12)), axis=1)))
    low, high = _range(student, layer, what)
    changed = float(np.mean(exact.argmax(axis=1) != rounded.argmax(axis=1)))
    return Cost(layer, what, round(divergence, 7), round(changed, 5), round(low, 4), round(high, 4))


def _range(student: Any, layer: str, what: str) -> tuple[float, float]:
    if what == "all":
        return 0.0, 0.0
    wrapper = next(each for each in student.layers if getattr(getattr(each, "layer", None), "name", "") == layer)
    if what == "output":
        return wrapper.quantize_config.output
    (kernel,) = [weight for weight, _ in wrapper.quantize_config.get_weights_and_quantizers(wrapper.layer)]
    peak = float(np.abs(np.asarray(kernel)).max())
    return -peak, peak


def table(together: Cost, costs: Sequence[Cost], count: int = 15) -> str:
    """The worst tensors as text."""
    lines = [f"{'layer':32} {'tensor':8} {'divergence':>10} {'changed':>8}   range"]
    for cost in (*costs[:count], together):
        span = f"{cost.low:.3g} … {cost.high:.3g}" if cost.what != "all" else ""
        lines.append(f"{cost.layer:32} {cost.what:8} {cost.divergence:10.6f} {100 * cost.changed:6.2f} %   {span}")
    return "\n".join(lines)


def write_table(path: Path, costs: Sequence[Cost]) -> None:
    """Every tensor's cost as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [each.name for each in fields(Cost)])
    writer.writeheader()
    writer.writerows(asdict(cost) for cost in costs)
    write_bytes(path, text.getvalue().encode())
