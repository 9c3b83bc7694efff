"""Predictions as text for people: a line whenever something changes."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from fer_edge.edge.errors import SinkError
from fer_edge.edge.sinks import OutputClosed, guard_stdout
from fer_edge.edge.sinks.stdout import stdout_is_ready
from fer_edge.edge.terminal import erase
from fer_edge.edge.types import Frame, Prediction

log = logging.getLogger(__name__)


def describe(prediction: Prediction) -> str:
    """'#3 happy 87%', without the number for a face that is not tracked."""
    track = "" if prediction.face.track is None else f"#{prediction.face.track} "
    return f"{track}{prediction.emotion} {prediction.confidence:.0%}"


class TextSink:
    """Writes a line to stdout whenever a face comes, leaves or changes its emotion.

    Args:
        optional: Whether the run goes on without the text where stdout is full, or its reader ends or does not read.
    """

    def __init__(self, optional: bool = False) -> None:
        self._optional = optional
        self._last: object = None

    def show(self, frame: Frame, predictions: Sequence[Prediction]) -> None:
        by_track = sorted(predictions, key=_track)
        state = [(_track(prediction), prediction.emotion) for prediction in by_track]
        text = "   ".join(describe(prediction) for prediction in by_track) or "no face"
        self._write(frame, state, text)

    def show_unrecognized(self, frame: Frame) -> None:
        self._write(frame, "off", "recognition is off")

    def _write(self, frame: Frame, state: object, text: str) -> None:
        """Write a line, unless the state is the last line's."""
        if state == self._last or (self._optional and not stdout_is_ready()):
            return
        self._last = state
        try:
            with guard_stdout():
                sys.stdout.write(f"{erase(sys.stdout)}{frame.time:8.2f} s  {text}\n")
                sys.stdout.flush()
        except (OutputClosed, SinkError) as error:
            if not self._optional:
                raise
            log.warning("%s: the run goes on without text", error)

    def close(self) -> None:
        pass


def _track(prediction: Prediction) -> int:
    return -1 if prediction.face.track is None else prediction.face.track
