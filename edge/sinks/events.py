"""Events: a face comes, an emotion begins, a face leaves; defined once for all outputs that act on them.

A face has come when its track is as old as the hold time, so that a false detection in a single frame causes no event.
An emotion begins on such a face when it has been the most probable one in every frame with the face for the hold time,
and is not the one that began last on it. A face has left when it has not been detected for longer than the tracker's
timeout, after which it would get a new track.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fer_edge.edge.types import TRACK_TIMEOUT, Prediction, check_time, expect_all

HOLD_TIME = 0.5
"""Default hold time, seconds: longer than most flicker of a face between two expressions, short for a viewer."""

Kind = Literal["face_came", "emotion", "face_left"]


@dataclass(frozen=True)
class Event:
    """A change on a track.

    Attributes:
        kind: `face_came`, `emotion` (one began) or `face_left`.
        track: The track's number.
        time: Seconds, as in `Frame.time`.
        emotion: The emotion that began; for `face_left` the last that did; None where none had begun.
        confidence: For `emotion`, its probability at that time, 0..1; else None.
        before: For `emotion`, the one that began on this face before; else None.
    """

    kind: Kind
    track: int
    time: float
    emotion: str | None = None
    confidence: float | None = None
    before: str | None = None


@dataclass
class TrackedFace:
    """A face on a track, as `EventDetector` keeps it.

    Attributes:
        prediction: Its newest prediction.
        first_seen: Time of its first frame, seconds.
        last_seen: Time of its newest frame, seconds.
        emotion_since: Time from which `prediction.emotion` has been the most probable one, seconds.
        has_come: Whether it is older than the hold time.
        emotion: The emotion that began last, or None.
    """

    prediction: Prediction
    first_seen: float
    last_seen: float
    emotion_since: float
    has_come: bool = False
    emotion: str | None = None

    @property
    def confidence(self) -> float | None:
        """Probability of `emotion` in the newest prediction, 0..1."""
        if self.emotion is None:
            return None
        return float(self.prediction.scores[self.prediction.classes.index(self.emotion)])


class EventDetector:
    """Turns the predictions of consecutive frames into events; faces without a track cause none.

    Args:
        hold_time: Seconds that a face must be tracked to have come, and that an emotion must last to have begun.

    Raises:
        DataError: `hold_time` is no finite number.

    Example:
        >>> events = EventDetector()
        >>> for frame in source:
        ...     for event in events.update(pipeline.process(frame), frame.time):
        ...         print(event.kind, event.emotion)
    """

    def __init__(self, hold_time: float = HOLD_TIME) -> None:
        check_time(hold_time, "hold_time")
        self.hold_time = hold_time
        self._tracks: dict[int, TrackedFace] = {}
        self._last_time = 0.0

    @property
    def faces(self) -> list[TrackedFace]:
        """The faces that have come and were seen within the hold time, the largest first.

        A face that jumps gets a new track, and is still not listed twice: the new track takes as long to come as the
        old one takes to vanish from the list.
        """
        faces = [
            face
            for face in self._tracks.values()
            if face.has_come and self._last_time - face.last_seen <= self.hold_time
        ]
        return sorted(faces, key=lambda face: -_area(face.prediction))

    def update(self, predictions: Sequence[Prediction], time: float) -> list[Event]:
        """Process the next frame.

        Args:
            predictions: The frame's faces.
            time: Its time, seconds, as in `Frame.time`. Where it jumps back, as in a looped video, all faces leave.

        Returns:
            The frame's events: faces that left first, then the others in the order of `predictions`.

        Raises:
            DataError: The predictions are none, or the time is no finite number.
        """
        check_time(time, "the predictions' time")
        events = self._remove_lost(time)
        for prediction in expect_all(predictions, Prediction, "Pipeline.process gives them"):
            if prediction.face.track is not None:
                events += self._update_track(prediction.face.track, prediction, time)
        self._last_time = time
        return events

    def _update_track(self, track: int, prediction: Prediction, time: float) -> list[Event]:
        face = self._tracks.setdefault(track, TrackedFace(prediction, time, time, time))
        if prediction.emotion != face.prediction.emotion:
            face.emotion_since = time
        face.prediction, face.last_seen = prediction, time
        events = []
        if not face.has_come and time - face.first_seen >= self.hold_time:
            face.has_come = True
            events.append(Event("face_came", track, time))
        if face.has_come and prediction.emotion != face.emotion and time - face.emotion_since >= self.hold_time:
            before, face.emotion = face.emotion, prediction.emotion
            events.append(Event("emotion", track, time, face.emotion, prediction.confidence, before))
        return events

    def _remove_lost(self, time: float) -> list[Event]:
        jumped_back = time < self._last_time
        lost = [track for track, face in self._tracks.items() if jumped_back or time - face.last_seen > TRACK_TIMEOUT]
        faces = [(track, self._tracks.pop(track)) for track in lost]
        return [Event("face_left", track, time, face.emotion) for track, face in faces if face.has_come]


class Cooldown:
    """A minimum time between two actions, in the frames' time.

    Args:
        seconds: The minimum time.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._start: float | None = None

    def is_over(self, time: float) -> bool:
        """Whether the next action may start at `time`; a time that jumped back ends the cooldown."""
        return self._start is None or not 0 <= time - self._start < self.seconds

    def start(self, time: float) -> None:
        """Start the cooldown with an action at `time`."""
        self._start = time


def _area(prediction: Prediction) -> int:
    return prediction.face.box.width * prediction.face.box.height
