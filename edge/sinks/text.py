"""Predictions as text for people: a line whenever something changes."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from fer_edge.edge.sinks import stdout_guarded
from fer_edge.edge.terminal import erase
from fer_edge.edge.types import Frame, Prediction


def describe(prediction: Prediction) -> str:
    """'#3 happy 87%', without the number for a face that is not tracked."""
    track = "" if prediction.face.track is None else f"#{prediction.face.track} "
    return f"{track}{prediction.emotion} {prediction.confidence:.0%}"


class TextSink:
    """A line on stdout whenever a face comes, goes or changes its expression; silence in between."""

    def __init__(self) -> None:
        self._said: list[tuple[int, str]] | None = None

    def show(self, frame: Frame, predictions: Sequence[Prediction]) -> None:
        order = sorted(predictions, key=lambda p: -1 if p.face.track is None else p.face.track)
        state = [(-1 if p.face.track is None else p.face.track, p.emotion) for p in order]
        if state == self._said:
            return
        self._said = state
        what = "   ".join(describe(prediction) for prediction in order) or "no face"
        with stdout_guarded():
            sys.stdout.write(f"{erase(sys.stdout)}{frame.time:8.2f} s  {what}\n")
            sys.stdout.flush()

    def close(self) -> None:
        pass
