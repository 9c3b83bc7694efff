"""Checks that a converted file must pass before it is written: int8 throughout, and the float model's answers."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.convert.options import VerificationOptions
from fer_edge.edge.errors import ModelError
from fer_edge.edge.expression.scores import softmax
from fer_edge.edge.tflite.interpreter import Interpreter, open_interpreter
from fer_edge.train.data.duplicates import Overlap
from fer_edge.train.data.splits import Split
from fer_edge.train.evaluation.metrics import measure
from fer_edge.train.evaluation.row_sets import row_figures, to_dicts


def operators(path: Path) -> dict[str, int]:
    """How often each operator occurs in a file's graph, before any delegate takes it over."""
    return dict(sorted(Counter(each.name for each in open_interpreter(path, xnnpack=False).operators()).items()))


def check_integer(path: Path) -> dict[str, int]:
    """Check that a model computes in integers from input to logits.

    Args:
        path: The .tflite file.

    Returns:
        How often each operator occurs.

    Raises:
        ModelError: Input, output or an operator inside is not int8; the message names it.
    """
    interpreter = open_interpreter(path, xnnpack=False)
    counts = operators(path)
    for role, tensor in (("input", interpreter.inputs[0]), ("output", interpreter.outputs[0])):
        if tensor.dtype != np.int8:
            raise ModelError(f"{path.name}: the {role} is {tensor.dtype}, expected int8; nothing was written")
    conversions = [f"{counts[name]} {name}" for name in ("DEQUANTIZE", "QUANTIZE") if name in counts]
    if conversions:
        raise ModelError(
            f"{path.name} has {', '.join(conversions)} inside, expected none; a layer has no int8 range; "
            "nothing was written"
        )
    floats = float_operators(interpreter)
    if floats:
        raise ModelError(
            f"{path.name} computes {', '.join(floats[:4])} in float ({len(floats)} in all), expected int8; "
            "nothing was written"
        )
    return counts


def float_operators(interpreter: Interpreter) -> list[str]:
    """Operators that read or write a float tensor, as "NAME (tensor)"."""
    tensors, floats = interpreter.tensors(), []
    for operator in interpreter.operators():
        for index in (*operator.inputs, *operator.outputs):
            if index in tensors and np.issubdtype(tensors[index].dtype, np.floating):
                floats.append(f"{operator.name} ({tensors[index].name.split(';')[0][-40:]})")
                break
    return floats


def accuracy_figures(logits: NDArray[np.float32], split: Split, overlap: Overlap | None = None) -> dict[str, Any]:
    """A card's figures.

    Args:
        logits: (N, C) logits.
        split: The N faces with their labels.
        overlap: Its rows that are in the train split, or None where that is not known.

    Returns:
        Accuracy, balanced accuracy, calibration error (15 bins) and recall per class on all rows; and `rows`, the
        metrics with 95 % intervals on all rows, on those not byte for byte in the train split, and on those whose
        photograph is not there.
    """
    scores = softmax(logits)
    metrics = measure(scores, split.labels, split.classes)
    figures = row_figures(scores, split.labels, split.classes, overlap)
    return {
        "accuracy": round(metrics.accuracy, 5),
        "balanced_accuracy": round(metrics.balanced_accuracy, 5),
        "ece": round(metrics.ece, 5),
        "recall": {name: round(float(recall), 4) for name, recall in zip(split.classes, metrics.recall, strict=True)},
        "rows": to_dicts(figures),
    }


def compare(
    logits: NDArray[np.float32], reference: NDArray[np.float32], split: Split, overlap: Overlap | None = None
) -> dict[str, Any]:
    """A card's figures of logits, compared with the float model's.

    Args:
        logits: (N, C) logits of the converted model.
        reference: (N, C) logits of the float model.
        split: The N faces with their labels.
        overlap: Its rows that are in the train split, or None where that is not known.

    Returns:
        The `accuracy_figures`, the accuracy drop in percentage points (`drop_points`), and the share of equal top-1
        answers (`agreement`, 0..1).

    Raises:
        ModelError: A logit is no number.
    """
    for role, each in (("converted", logits), ("float", reference)):
        if not np.isfinite(each).all():
            raise ModelError(f"the {role} model gives no numbers for a face; nothing was written")
    answers, expected = logits.argmax(axis=1), reference.argmax(axis=1)
    accuracy, float_accuracy = (float(np.mean(each == split.labels)) for each in (answers, expected))
    return accuracy_figures(logits, split, overlap) | {
        "drop_points": round(100 * (float_accuracy - accuracy), 3),
        "agreement": round(float(np.mean(answers == expected)), 5),
    }


def allowed_drop(agreement: float, pictures: int, options: VerificationOptions) -> float:
    """The accuracy drop, percentage points, up to which a file is written.

    It is that of the options but, on few pictures, what chance gives two models of equal accuracy whose answers differ
    that often: two standard errors. Of 60 pictures one is 1.7 points.

    Args:
        agreement: Share of equal top-1 answers, 0..1.
        pictures: Number of pictures.
        options: The thresholds.
    """
    if options.max_drop < 0:  # it must be better than the float model
        return options.max_drop
    return max(options.max_drop, 200 * math.sqrt((1 - agreement) / pictures))


def check_answers(
    path: Path, runtime: str, figures: dict[str, Any], pictures: int, options: VerificationOptions
) -> None:
    """Check a runtime's figures, as `compare` makes them, against the thresholds. Raises ModelError."""
    if figures["agreement"] < options.min_agreement:
        raise ModelError(
            f"{path.name} agrees with the float model on {100 * figures['agreement']:.1f} % in {runtime}, expected at "
            f"least {100 * options.min_agreement:.1f} % (--min-agreement); fine-tune longer (--epochs); "
            "nothing was written"
        )
    most = allowed_drop(figures["agreement"], pictures, options)
    if figures["drop_points"] > most:
        raise ModelError(
            f"{path.name} loses {figures['drop_points']:.2f} percentage points of accuracy in {runtime}, expected at "
            f"most {most:.2f} (--max-drop); fine-tune longer (--epochs); nothing was written"
        )
