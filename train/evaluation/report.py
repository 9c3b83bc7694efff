"""Tables and plots of metrics and of a training run's history."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.files.writing import write_bytes
from fer_edge.edge.types import EMOTIONS
from fer_edge.train.evaluation.figures import figure, png, tidy
from fer_edge.train.evaluation.metrics import Metrics, calibration_error, reliability


def metrics_table(metrics: Metrics) -> str:
    """Precision, recall, F1 and pictures by class as text; the last line has the metrics of all classes."""
    lines = [f"{'class':10} precision  recall      F1  pictures"]
    for index, name in enumerate(EMOTIONS):
        lines.append(
            f"{name:10} {metrics.precision[index]:9.3f} {metrics.recall[index]:7.3f} "
            f"{metrics.f1[index]:7.3f} {metrics.support[index]:9d}"
        )
    lines.append(
        f"accuracy {100 * metrics.accuracy:.2f} %, balanced {100 * metrics.balanced_accuracy:.2f} %, "
        f"ECE {metrics.ece:.4f}, NLL {metrics.nll:.4f}"
    )
    return "\n".join(lines)


def confusion_table(confusion: NDArray[np.int64]) -> str:
    """The (7, 7) confusion matrix as text: rows are true classes, columns predicted ones."""
    width = max(len(name) for name in EMOTIONS) + 1
    lines = [" " * width + "".join(f"{name:>9}" for name in EMOTIONS) + "   (predicted)"]
    for name, row in zip(EMOTIONS, confusion, strict=True):
        lines.append(f"{name:{width}}" + "".join(f"{int(count):9d}" for count in row))
    return "\n".join(lines)


def write_history(path: Path, history: Sequence[dict[str, float | str]]) -> None:
    """Write the history as CSV, one row per epoch."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(history[0]))
    writer.writeheader()
    writer.writerows(history)
    write_bytes(path, text.getvalue().encode())


def plot_history(path: Path, history: Sequence[dict[str, float | str]], title: str) -> None:
    """Plot loss and accuracy over the epochs, with the phases shaded (.png)."""
    canvas = figure(11, 4.2)
    left, right = canvas.subplots(1, 2)
    epochs = [int(row["epoch"]) for row in history]
    for axis, key in ((left, "loss"), (right, "accuracy")):
        axis.plot(epochs, [float(row[key]) for row in history], color="#8a8f98", marker="o", ms=3, label="training")
        axis.plot(
            epochs, [float(row[f"val_{key}"]) for row in history], color="#1f6feb", marker="o", ms=3, label="validation"
        )
        axis.set_xlabel("epoch")
        axis.set_title(f"{title}: {key}")
        _shade_phases(tidy(axis), history)
        axis.legend(frameon=False)
    left.text(
        0.0,
        -0.2,
        "training: on augmented pictures; its loss has label smoothing, class weights and the distillation loss",
        transform=left.transAxes,
        fontsize=8,
        color="#666",
    )
    write_bytes(path, png(canvas))


def plot_confusion(path: Path, metrics: Metrics, title: str) -> None:
    """Plot the confusion matrix with rows normalized to recall, and with counts (.png)."""
    canvas = figure(6.4, 5.8)
    axis = canvas.subplots()
    share = metrics.confusion / np.maximum(metrics.support[:, None], 1)
    axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row in range(len(EMOTIONS)):
        for column in range(len(EMOTIONS)):
            axis.text(
                column,
                row,
                f"{100 * share[row, column]:.0f} %\n{metrics.confusion[row, column]}",
                ha="center",
                va="center",
                fontsize=8,
                color="white" if share[row, column] > 0.55 else "black",
            )
    axis.set_xticks(range(len(EMOTIONS)), EMOTIONS, rotation=40, ha="right")
    axis.set_yticks(range(len(EMOTIONS)), EMOTIONS)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    axis.set_title(f"{title}: accuracy {100 * metrics.accuracy:.2f} %")
    write_bytes(path, png(canvas))


def plot_reliability(path: Path, scores: NDArray[np.floating], labels: NDArray[np.integer], title: str) -> None:
    """Plot a reliability diagram: accuracy over confidence in 15 bins, with the share of pictures in each (.png)."""
    canvas = figure(5.4, 5.2)
    axis = tidy(canvas.subplots())
    confidence, accuracy, share = reliability(scores, labels)
    axis.plot([0, 1], [0, 1], color="#8a8f98", lw=1, ls="--", label="calibrated")
    axis.bar(confidence, share, width=0.04, color="#1f6feb", alpha=0.2, label="share of pictures")
    axis.plot(confidence, accuracy, color="#1f6feb", marker="o", ms=4, label="accuracy")
    axis.set_xlim(0, 1)
    axis.set_ylim(0, 1)
    axis.set_xlabel("confidence")
    axis.set_title(f"{title}: ECE {calibration_error(scores, labels):.3f}", fontsize=10)
    axis.legend(frameon=False, loc="upper left")
    write_bytes(path, png(canvas))


def _shade_phases(axis, history: Sequence[dict[str, float | str]]) -> None:  # type: ignore[no-untyped-def]
    names = list(dict.fromkeys(str(row["phase"]) for row in history))
    for index, name in enumerate(names):
        epochs = [int(row["epoch"]) for row in history if row["phase"] == name]
        if index % 2:
            axis.axvspan(min(epochs) - 0.5, max(epochs) + 0.5, color="#1f6feb", alpha=0.06, lw=0)
        axis.text(
            (min(epochs) + max(epochs)) / 2,
            0.02,
            name,
            transform=axis.get_xaxis_transform(),
            ha="center",
            va="bottom",
            fontsize=7,
            color="#666",
        )
