"""What is known of an input: its faces, one record per picture or moment of a video, or why it cannot be read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fer_edge.edge.sinks.jsonl import face_record
from fer_edge.edge.types import Prediction


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """A picture, a moment of a video, or an error.

    Attributes:
        path: The input's path.
        predictions: Its faces, the largest first; none where there is an error.
        error: Why the input could not be read, or what is missing of a video; None where nothing is.
        frame: Number of the video's frame, from 0; None for a picture.
        time: Seconds from the video's start; None for a picture.
        several: Whether a picture's file holds more pictures, which were not read.
    """

    path: str
    predictions: tuple[Prediction, ...] = ()
    error: str | None = None
    frame: int | None = None
    time: float | None = None
    several: bool = False


def as_json(record: Record) -> dict[str, Any]:
    """A record as a JSON object: `path` and `error`, or `path`, of a video `frame` and `time`, and `faces`."""
    if record.error is not None:
        return {"path": record.path, "error": record.error}
    faces = [face_record(prediction) for prediction in record.predictions]
    if record.time is None:  # faces are not tracked from picture to picture
        return {"path": record.path, "faces": [_untracked(face) for face in faces]}
    return {"path": record.path, "frame": record.frame, "time": round(record.time, 4), "faces": faces}


def _untracked(face: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in face.items() if key != "track"}


@dataclass
class Tally:
    """What was found, counted.

    Attributes:
        inputs: Pictures, videos and what could not be read.
        pictures: Pictures and moments of videos.
        faces: Faces in them.
        errors: Inputs that could not be read, or not to their end.
        several: Files of which one picture of several was read.
    """

    inputs: int = 0
    pictures: int = 0
    faces: int = 0
    errors: int = 0
    several: int = 0

    def add(self, records: Iterable[Record]) -> None:
        """Count records."""
        for record in records:
            self.pictures += record.error is None
            self.faces += len(record.predictions)
            self.errors += record.error is not None
            self.several += record.several
