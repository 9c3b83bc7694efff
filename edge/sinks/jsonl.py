"""Predictions as JSON Lines, one object a frame."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from fer_edge.edge.errors import SinkError
from fer_edge.edge.sinks import stdout_guarded
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
    """Objects written a line each, flushed at once, to a file or, for '-', to stdout. Raises SinkError."""

    def __init__(self, target: str) -> None:
        self.target = target
        self._file: TextIO
        if target == "-":
            self._file = sys.stdout
            return
        try:
            self._file = Path(target).open("w", encoding="utf-8")  # noqa: SIM115  closed by close()
        except OSError as error:
            raise SinkError(f"{target} cannot be written: {error.strerror}") from None

    def write(self, record: dict[str, Any]) -> None:
        """One line, written and flushed before this returns, so that `tail -f` sees all of it."""
        line = json.dumps(record, ensure_ascii=False) + "\n"
        if self.target == "-":
            with stdout_guarded():
                self._file.write(line)
                self._file.flush()
            return
        try:
            self._file.write(line)
            self._file.flush()
        except OSError as error:
            raise SinkError(f"{self.target} cannot be written: {error.strerror}") from None

    def close(self) -> None:
        if self.target != "-":
            with suppress(OSError):  # what could not be flushed was told by write
                self._file.close()


class JsonlSink:
    """{"frame": number, "time": seconds, "faces": [...]} for every frame, faces or not."""

    def __init__(self, target: str) -> None:
        self._lines = JsonLines(target)

    def show(self, frame: Frame, predictions: Sequence[Prediction]) -> None:
        faces = [face_record(prediction) for prediction in predictions]
        self._lines.write({"frame": frame.index, "time": round(frame.time, 4), "faces": faces})

    def close(self) -> None:
        self._lines.close()
