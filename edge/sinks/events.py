"""When a face comes, an emotion begins and a face leaves: defined once, for every output that acts on it.

A face has come when its track is `HOLD_SECONDS` old, so that a one-frame false detection is nobody. An emotion begins
on a face that has come when it has been the most probable one, in every frame that shows the face, for `HOLD_SECONDS`,
and is not the one that began there last. A face has left when it was not seen for longer than the tracker remembers it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fer_edge.edge.faces.tracker import TRACK_TIMEOUT
from fer_edge.edge.types import EMOTIONS, Prediction

HOLD_SECONDS = 0.5
"""Seconds, unless asked otherwise: longer than most flicker of a face between two expressions, short to a viewer."""

Kind = Literal["face_came", "emotion", "face_left"]


@dataclass(frozen=True)
class Event:
    """What happened to a track at a time, in the frames' seconds.

    emotion: the one that began; for face_left the last that had begun; None where none had. confidence: its
    probability then, 0..1. before: the emotion that it follows on this face.
    """

    kind: Kind
    track: int
    time: float
    emotion: str | None = None
    confidence: float | None = None
    before: str | None = None


@dataclass
class Presence:
    """A tracked face: its newest prediction, and the emotion that began last."""

    prediction: Prediction
    first: float
    seen: float
    since: float
    came: bool = False
    emotion: str | None = None

    @property
    def confidence(self) -> float | None:
        """The probability now of the emotion that began last."""
        return None if self.emotion is None else float(self.prediction.scores[EMOTIONS.index(self.emotion)])


class Watch:
    """Turns each frame's predictions into events; those without a track (single pictures) cause none."""

    def __init__(self, hold: float = HOLD_SECONDS) -> None:
        self.hold = hold
        self._tracks: dict[int, Presence] = {}
        self._last = 0.0

    @property
    def present(self) -> list[Presence]:
        """The faces that have come and were seen within `hold` seconds, the largest first.

        So one that jumped, and goes on under another number, is not there twice: the new one needs as long to come.
        """
        faces = [face for face in self._tracks.values() if face.came and self._last - face.seen <= self.hold]
        return sorted(faces, key=lambda face: -_area(face.prediction))

    def see(self, predictions: Sequence[Prediction], time: float) -> list[Event]:
        """The events of a frame; where time jumps back (a file that starts over) all faces have left."""
        events = self._leave(time)
        for prediction in predictions:
            if prediction.face.track is not None:
                events += self._seen(prediction.face.track, prediction, time)
        self._last = time
        return events

    def _seen(self, track: int, prediction: Prediction, time: float) -> list[Event]:
        face = self._tracks.setdefault(track, Presence(prediction, time, time, time))
        if prediction.emotion != face.prediction.emotion:
            face.since = time
        face.prediction, face.seen = prediction, time
        events = []
        if not face.came and time - face.first >= self.hold:
            face.came = True
            events.append(Event("face_came", track, time))
        if face.came and prediction.emotion != face.emotion and time - face.since >= self.hold:
            before, face.emotion = face.emotion, prediction.emotion
            events.append(Event("emotion", track, time, face.emotion, prediction.confidence, before))
        return events

    def _leave(self, time: float) -> list[Event]:
        gone = [track for track, face in self._tracks.items() if time < self._last or time - face.seen > TRACK_TIMEOUT]
        left = [(track, self._tracks.pop(track)) for track in gone]
        return [Event("face_left", track, time, face.emotion) for track, face in left if face.came]


class Cooldown:
    """A rate limit: after something was done, nothing more for so many seconds of the frames' time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._since: float | None = None

    def over(self, time: float) -> bool:
        """Whether something may be done now; a time that jumped back ends the rest."""
        return self._since is None or not 0 <= time - self._since < self.seconds

    def begin(self, time: float) -> None:
        self._since = time


def _area(prediction: Prediction) -> int:
    return prediction.face.box.width * prediction.face.box.height
