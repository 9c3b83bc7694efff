"""Predictions as JSON Lines, one object per frame."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from fer_edge.edge.files.documents import json_text
from fer_edge.edge.sinks.line_writer import LineWriter, Rotation
from fer_edge.edge.types import Frame, Prediction


def face_record(prediction: Prediction) -> dict[str, Any]:
    """A prediction as a JSON object.

    Returns:
        `box` as [x, y, width, height] in pixels of the frame, `score` of the detector, `track` or None, `emotion`, the
        most probable class, and `scores`: class to probability, rounded to 6 digits.
    """
    face, box = prediction.face, prediction.face.box
    scores = {name: round(float(score), 6) for name, score in zip(prediction.classes, prediction.scores, strict=True)}
    return {
        "box": [int(box.x), int(box.y), int(box.width), int(box.height)],
        "score": round(float(face.score), 4),
        "track": face.track,
        "emotion": prediction.emotion,
        "scores": scores,
    }


class JsonLines:
    """Writes objects as JSON, one per line; each is in the file when `write` returns.

    Args:
        target: The file's path, or - for stdout.
        rotation: When to rotate the file; None overwrites it and never rotates.

    Raises:
        SinkError: The file cannot be written.
    """

    def __init__(self, target: str, rotation: Rotation | None = None) -> None:
        self._lines = LineWriter(target, rotation=rotation, start="{")

    def write(self, record: dict[str, Any]) -> None:
        """Write one object."""
        text = json_text(record)
        if self._lines.target == "-" and not text.isascii() and "utf" not in str(sys.stdout.encoding).lower():
            text = json.dumps(json.loads(text))  # stdout's encoding, such as Latin-1, would make invalid JSON of it
        self._lines.write(text)

    def close(self) -> None:
        """Close the file."""
        self._lines.close()


class JsonlSink:
    """Writes {"frame": number, "time": seconds, "faces": [...]} for every frame, with or without faces.

    A frame that was not searched for faces has no line.
    """

    def __init__(self, target: str, rotation: Rotation | None = None) -> None:
        self._lines = JsonLines(target, rotation)

    def show(self, frame: Frame, predictions: Sequence[Prediction]) -> None:
        faces = [face_record(prediction) for prediction in predictions]
        self._lines.write({"frame": frame.index, "time": round(frame.time, 4), "faces": faces})

    def show_unrecognized(self, frame: Frame) -> None:
        pass

    def close(self) -> None:
        self._lines.close()
