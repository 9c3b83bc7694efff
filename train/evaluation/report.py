"""Tables and plots of metrics and of a training run's history."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_edge.edge.errors import shortened
from fer_edge.edge.files.writing import write_bytes
from fer_edge.train.evaluation.figures import figure, png, tidy
from fer_edge.train.evaluation.metrics import Metrics, calibration_error, reliability

WIDEST_TABLE = 160
"""Characters of a line up to which a confusion matrix is printed as a table."""

CONFUSIONS = 20
"""The most frequent confusions that are listed where there are too many classes for a table."""

LONGEST_NAME = 24
"""Characters of a class's name in a figure."""


def metrics_table(metrics: Metrics) -> str:
    """Precision, recall, F1 and pictures by class as text; the last line has the metrics of all classes."""
    width = max(10, *map(len, metrics.classes))
    lines = [f"{'class':{width}} precision  recall      F1  pictures"]
    for index, name in enumerate(metrics.classes):
        lines.append(
            f"{name:{width}} {metrics.precision[index]:9.3f} {metrics.recall[index]:7.3f} "
            f"{metrics.f1[index]:7.3f} {metrics.support[index]:9d}"
        )
    lines.append(
        f"accuracy {100 * metrics.accuracy:.2f} %, balanced {100 * metrics.balanced_accuracy:.2f} %, "
        f"ECE {metrics.ece:.4f}, NLL {metrics.nll:.4f}"
    )
    return "\n".join(lines)


def confusion_table(metrics: Metrics) -> str:
    """The confusion matrix as text: rows are true classes, columns predicted ones.

    The columns have the names of the classes; where that would be too wide, the rows are numbered and the columns have
    their numbers; where that is too wide too, it is a list of the most frequent confusions.
    """
    rows, columns = list(metrics.classes), list(metrics.classes)
    if _table_width(metrics, rows, columns) > WIDEST_TABLE:
        columns = [str(index) for index in range(1, len(rows) + 1)]
        rows = [f"{number:>{len(columns[-1])}} {name}" for number, name in zip(columns, rows, strict=True)]
    if _table_width(metrics, rows, columns) > WIDEST_TABLE:
        return _confusions(metrics)
    width, cell = max(map(len, rows)) + 1, _cell_width(metrics, columns)
    lines = [" " * width + "".join(f"{name:>{cell}}" for name in columns) + "   (predicted)"]
    for name, counts in zip(rows, metrics.confusion, strict=True):
        lines.append(f"{name:{width}}" + "".join(f"{int(count):{cell}d}" for count in counts))
    return "\n".join(lines)


def _table_width(metrics: Metrics, rows: Sequence[str], columns: Sequence[str]) -> int:
    return max(map(len, rows)) + 1 + len(columns) * _cell_width(metrics, columns)


def _cell_width(metrics: Metrics, columns: Sequence[str]) -> int:
    return max(len(str(metrics.confusion.max())), *map(len, columns)) + 1


def _confusions(metrics: Metrics) -> str:
    """The most frequent confusions, one a line."""
    wrong = metrics.confusion * (1 - np.eye(len(metrics.classes), dtype=np.int64))
    order = np.argsort(-wrong, axis=None, kind="stable")[:CONFUSIONS]
    pairs = [divmod(int(index), len(metrics.classes)) for index in order if wrong.flat[index]]
    lines = [f"{wrong[true, seen]:6d}  {metrics.classes[true]} as {metrics.classes[seen]}" for true, seen in pairs]
    return "\n".join(["the most frequent confusions:", *(lines or ["     0"])])


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
    count = len(metrics.classes)
    numbered = count <= 20  # in more cells than these, numbers are too small to be read
    growth = (0.75 if numbered else 0.2) * max(0, count - 7)
    canvas = figure(6.4 + growth, 5.8 + growth)
    axis = canvas.subplots()
    share = metrics.confusion / np.maximum(metrics.support[:, None], 1)
    axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row in range(count) if numbered else ():
        for column in range(count):
            axis.text(
                column,
                row,
                f"{100 * share[row, column]:.0f} %\n{metrics.confusion[row, column]}",
                ha="center",
                va="center",
                fontsize=8,
                color="white" if share[row, column] > 0.55 else "black",
            )
    names = [shortened(name, LONGEST_NAME) for name in metrics.classes]
    small = {} if numbered else {"fontsize": 7}
    axis.set_xticks(range(count), names, rotation=40 if numbered else 90, ha="right" if numbered else "center", **small)
    axis.set_yticks(range(count), names, **small)
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
