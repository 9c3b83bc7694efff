"""Predictions as CSV for spreadsheets, one line a face."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from fer_edge.edge.sinks.line_writer import LineWriter, Rotation
from fer_edge.edge.types import EMOTIONS, Frame, Prediction

COLUMNS = ("clock", "frame", "time", "track", "x", "y", "width", "height", "score", "emotion", "confidence", *EMOTIONS)
"""docs/outputs.md says what each holds."""


class CsvSink:
    """A header, then a line for every face of every frame; nothing for a frame without. Raises SinkError."""

    def __init__(self, target: str, rotation: Rotation | None = None) -> None:
        self._lines = LineWriter(target, ",".join(COLUMNS), rotation)

    def show(self, frame: Frame, predictions: Sequence[Prediction]) -> None:
        clock = datetime.now().astimezone().isoformat(timespec="milliseconds")
        for prediction in predictions:
            face, box = prediction.face, prediction.face.box
            track = "" if face.track is None else str(face.track)
            place = (f"{side:d}" for side in (box.x, box.y, box.width, box.height))
            scores = (f"{score:.6f}" for score in prediction.scores)
            found = (f"{face.score:.4f}", prediction.emotion, f"{prediction.confidence:.6f}")
            self._lines.write(",".join((clock, str(frame.index), f"{frame.time:.4f}", track, *place, *found, *scores)))

    def close(self) -> None:
        self._lines.close()
