"""The status line on the terminal: frame rate, temperature and faces, or that the source is disconnected or black."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic

from fer_edge.edge.device.board import read_celsius
from fer_edge.edge.device.thermal import THROTTLE_CELSIUS
from fer_edge.edge.sinks.disconnect_monitor import DisconnectMonitor
from fer_edge.edge.sinks.text import describe
from fer_edge.edge.terminal import colorize, overwrite
from fer_edge.edge.types import Frame, Prediction, Source

UPDATE_INTERVAL = 0.25
"""Seconds between two updates of the line; nobody reads faster."""

RATE_SECONDS = 2.0
"""Time window of the frame rate."""

OTHER_COLOURS = ("yellow", "blue", "green", "magenta", "cyan", "red", "white")
"""Of classes that are none of the usual expressions."""

TERMINAL_COLOURS = {
    "angry": "red",
    "disgust": "green",
    "fear": "magenta",
    "happy": "yellow",
    "sad": "blue",
    "surprise": "cyan",
    "neutral": "white",
}


class StatusSink:
    """Overwrites a line on stderr, which must be a terminal, and removes it when closed."""

    def __init__(self, source: Source, clock: Callable[[], float] = monotonic) -> None:
        self._source, self._name, self._clock = source, source.name.partition(" (")[0], clock
        self._times: deque[float] = deque()
        self._last_update = -UPDATE_INTERVAL
        self._monitor = DisconnectMonitor(lambda: source.disconnected, self._show_disconnected)

    def _show_disconnected(self, seconds: float) -> None:
        overwrite(colorize(f"{self._name} has been disconnected for {seconds:.0f} s", "yellow", sys.stderr))

    def show(self, frame: Frame, predictions: Sequence[Prediction]) -> None:
        self._show(lambda: _faces(predictions))

    def show_unrecognized(self, frame: Frame) -> None:
        self._show(lambda: colorize("recognition is off", "yellow", sys.stderr))

    def _show(self, picture: Callable[[], str]) -> None:
        now = self._clock()
        self._times.append(now)
        while now - self._times[0] > RATE_SECONDS:
            self._times.popleft()
        if now - self._last_update >= UPDATE_INTERVAL:
            self._last_update = now
            overwrite("  ".join([self._rate(), *_temperature(), self._picture(picture)]))

    def _rate(self) -> str:
        elapsed = self._times[-1] - self._times[0]
        rate = f"{(len(self._times) - 1) / elapsed:.1f}" if elapsed else "–"
        return f"{rate:>5} frames/s"

    def _picture(self, text: Callable[[], str]) -> str:
        return colorize("black picture", "yellow", sys.stderr) if self._source.black else text()

    def close(self) -> None:
        self._monitor.close()
        overwrite("")


def _temperature() -> list[str]:
    """The board's temperature as the only item; empty where it has no sensor."""
    degrees = read_celsius()
    if degrees is None:
        return []
    warm, hot = THROTTLE_CELSIUS
    colour = "red" if degrees >= hot else "yellow" if degrees >= warm else "green"
    return [colorize(f"{degrees:.0f} °C", colour, sys.stderr)]


def _faces(predictions: Sequence[Prediction]) -> str:
    if not predictions:
        return "no face"
    faces = [colorize(describe(each), _colour(each), sys.stderr) for each in predictions]
    return f"{len(faces)} face{'s' if len(faces) > 1 else ''}: {', '.join(faces)}"


def _colour(prediction: Prediction) -> str:
    number = prediction.classes.index(prediction.emotion) % len(OTHER_COLOURS)
    return TERMINAL_COLOURS.get(prediction.emotion, OTHER_COLOURS[number])
