"""Predictions as CSV, one row per face."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from datetime import datetime
from io import StringIO

from fer_edge.edge.sinks.line_writer import LineWriter, Rotation
from fer_edge.edge.types import Frame, Prediction

COLUMNS = ("clock", "frame", "time", "track", "x", "y", "width", "height", "score", "emotion", "confidence")
"""The columns before those of the classes; docs/outputs.md explains them."""


class CsvSink:
    """Writes a header, then a row per face; a frame without faces has none.

    Args:
        target: The file's path, or - for stdout.
        classes: (C,) names of the model's classes, which are columns too.
        rotation: When to rotate the file; None overwrites it and never rotates.

    Raises:
        SinkError: The file cannot be written.
    """

    def __init__(self, target: str, classes: Sequence[str], rotation: Rotation | None = None) -> None:
        self._lines = LineWriter(target, _line((*COLUMNS, *classes)), rotation)

    def show(self, frame: Frame, predictions: Sequence[Prediction]) -> None:
        self._lines.begin()  # a frame without a face is a result, too
        clock = datetime.now().astimezone().isoformat(timespec="milliseconds")
        for prediction in predictions:
            face, box = prediction.face, prediction.face.box
            row = [
                *(clock, frame.index, f"{frame.time:.4f}", face.track),
                *(f"{side:d}" for side in (box.x, box.y, box.width, box.height)),
                *(f"{face.score:.4f}", prediction.emotion, f"{prediction.confidence:.6f}"),
                *(f"{score:.6f}" for score in prediction.scores),
            ]
            self._lines.write(_line(row))

    def close(self) -> None:
        self._lines.close()


def _line(row: Iterable[object]) -> str:
    text = StringIO()
    csv.writer(text, lineterminator="").writerow(row)  # None becomes an empty field
    return text.getvalue()
