"""Predictions as JSON Lines, one object a frame."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from fer_edge.edge.sinks.line_writer import LineWriter, Rotation
from fer_edge.edge.types import EMOTIONS, Frame, Prediction


def face_record(prediction: Prediction) -> dict[str, Any]:
    """A prediction as JSON can hold it; the box is [x, y, width, height] in pixels of the frame."""
    face, box = prediction.face, prediction.face.box
    scores = {name: round(float(score), 6) for name, score in zip(EMOTIONS, prediction.scores, strict=True)}
    return {
        "box": [int(box.x), int(box.y), int(box.width), int(box.height)],
        "score": round(float(face.score), 4),
        "track": face.track,
        "emotion": prediction.emotion,
        "scores": scores,
    }


class JsonLines:
    """Objects written a line each, there at once, to a file or, for '-', to stdout. Raises SinkError."""

    def __init__(self, target: str, rotation: Rotation | None = None) -> None:
        self._lines = LineWriter(target, rotation=rotation)

    def write(self, record: dict[str, Any]) -> None:
        self._lines.write(json.dumps(record, ensure_ascii=False))

    def close(self) -> None:
        self._lines.close()


class JsonlSink:
    """{"frame": number, "time": seconds, "faces": [...]} for every frame, faces or not."""

    def __init__(self, target: str, rotation: Rotation | None = None) -> None:
        self._lines = JsonLines(target, rotation)

    def show(self, frame: Frame, predictions: Sequence[Prediction]) -> None:
        faces = [face_record(prediction) for prediction in predictions]
        self._lines.write({"frame": frame.index, "time": round(frame.time, 4), "faces": faces})

    def close(self) -> None:
        self._lines.close()
