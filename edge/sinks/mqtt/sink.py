"""Predictions to a broker: what is so, at a bounded rate, and what happens, at once."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from time import perf_counter

from fer_edge.edge.sinks.disconnect_monitor import DisconnectMonitor
from fer_edge.edge.sinks.events import HOLD_SECONDS, Watch
from fer_edge.edge.sinks.mqtt.connection import Connection
from fer_edge.edge.sinks.mqtt.payload import event_record, state_record
from fer_edge.edge.types import Frame, Prediction

WATCHED, QUIET = 0.5, 10.0
"""Seconds from one state to the next, without an event, while faces are there, and while nobody or no camera is."""

RATED = 50
"""Frames over which the frame rate is measured."""


class MqttSink:
    """Publishes events as they happen, and the state with each of them and now and then. Closes the connection.

    away: the source's seconds; a state says that it is lost, and the first frame after that says otherwise.
    """

    def __init__(self, connection: Connection, disconnected: Callable[[], float], hold: float = HOLD_SECONDS) -> None:
        self._connection = connection
        self._watch = Watch(hold)
        self._times: deque[float] = deque(maxlen=RATED)
        self._told, self._lost = -QUIET, False
        self._turn = threading.Lock()  # the newer of two states is published last
        self._absence = DisconnectMonitor(disconnected, self._wait)

    def show(self, frame: Frame, predictions: Sequence[Prediction]) -> None:
        with self._turn:
            self._show(frame, predictions)

    def _show(self, frame: Frame, predictions: Sequence[Prediction]) -> None:
        now = perf_counter()
        back, self._lost = self._lost, False
        if back:
            self._times.clear()
        self._times.append(now)
        events = self._watch.see(predictions, frame.time)
        for event in events:
            self._connection.event(event_record(event))
        present = self._watch.present
        if events or back or now - self._told >= (WATCHED if present else QUIET):
            self._told = now
            self._connection.state(state_record(present, self._rate()))

    def _wait(self, seconds: float) -> None:
        """Called by a thread of its own, while no frame comes."""
        with self._turn:
            now = perf_counter()
            if not self._lost or now - self._told >= QUIET:
                self._lost, self._told = True, now
                self._connection.state(state_record([], 0.0, seconds))

    def _rate(self) -> float:
        """Frames a second of late."""
        took = self._times[-1] - self._times[0]
        return (len(self._times) - 1) / took if took > 0 else 0.0

    def close(self) -> None:
        self._absence.close()
        self._connection.close()
