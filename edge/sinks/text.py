"""Predictions as text for people: a line whenever something changes."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from fer_edge.edge.sinks import guard_stdout
from fer_edge.edge.terminal import erase
from fer_edge.edge.types import Frame, Prediction


def describe(prediction: Prediction) -> str:
    """'#3 happy 87%', without the number for a face that is not tracked."""
    track = "" if prediction.face.track is None else f"#{prediction.face.track} "
    return f"{track}{prediction.emotion} {prediction.confidence:.0%}"


class TextSink:
    """Writes a line to stdout whenever a face comes, leaves or changes its emotion."""

    def __init__(self) -> None:
        self._last: list[tuple[int, str]] | None = None

    def show(self, frame: Frame, predictions: Sequence[Prediction]) -> None:
        by_track = sorted(predictions, key=_track)
        state = [(_track(prediction), prediction.emotion) for prediction in by_track]
        if state == self._last:
            return
        self._last = state
        text = "   ".join(describe(prediction) for prediction in by_track) or "no face"
        with guard_stdout():
            sys.stdout.write(f"{erase(sys.stdout)}{frame.time:8.2f} s  {text}\n")
            sys.stdout.flush()

    def close(self) -> None:
        pass


def _track(prediction: Prediction) -> int:
    return -1 if prediction.face.track is None else prediction.face.track
