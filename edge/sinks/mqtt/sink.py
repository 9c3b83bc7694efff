"""Publishes states at a bounded rate, and events at once."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any, Protocol

from fer_edge.edge.sinks.disconnect_monitor import DisconnectMonitor
from fer_edge.edge.sinks.events import HOLD_TIME, EventDetector
from fer_edge.edge.sinks.mqtt.payload import DeviceStatus, event_record, state_record
from fer_edge.edge.types import Frame, Prediction

PUBLISH_INTERVAL = 0.5
"""Seconds between two states while there are faces; an event publishes one at once."""

IDLE_PUBLISH_INTERVAL = 10.0
"""Seconds between two states without a face, or while the source is disconnected."""

FPS_FRAMES = 50
"""Frames over which the frame rate is measured."""


class Publisher(Protocol):
    """What the sink needs of a `Connection`."""

    def publish_state(self, record: dict[str, Any]) -> None: ...

    def publish_event(self, record: dict[str, Any]) -> None: ...

    def close(self) -> None: ...


class MqttSink:
    """Publishes each event as it happens and a state with it, and a state every so often; closes the connection.

    While the source is disconnected, states have the seconds since then; the first frame after it publishes a state
    without. While recognition is off, states say so, and no face leaves; faces that are gone leave with the next frame
    that is searched.

    Args:
        connection: Publishes to the broker.
        disconnected: Gives the seconds since the source was lost, 0 while it is connected.
        reason: Gives the reason why it is disconnected, None while it is connected.
        hold_time: Seconds that an emotion must last to have begun.
        check_interval: Seconds between two checks of `disconnected`.
        status: Gives what the states say of the device beside its faces.
    """

    def __init__(
        self,
        connection: Publisher,
        disconnected: Callable[[], float],
        reason: Callable[[], str | None] = lambda: None,
        hold_time: float = HOLD_TIME,
        check_interval: float = 1.0,
        status: Callable[[], DeviceStatus] = DeviceStatus,
    ) -> None:
        self._connection, self._reason, self._status = connection, reason, status
        self._events = EventDetector(hold_time)
        self._times: deque[float] = deque(maxlen=FPS_FRAMES)
        self._last_state, self._lost, self._recognized = -IDLE_PUBLISH_INTERVAL, False, True
        self._lock = threading.Lock()  # two threads publish states, and the newer one must come last
        self._monitor = DisconnectMonitor(disconnected, self._publish_disconnected, check_interval)

    def show(self, frame: Frame, predictions: Sequence[Prediction]) -> None:
        with self._lock:
            now = perf_counter()
            back = self._lost or not self._recognized
            if self._lost:
                self._times.clear()
            self._lost, self._recognized = False, True
            self._times.append(now)
            events = self._events.update(predictions, frame.time)
            for event in events:
                self._connection.publish_event(event_record(event))
            faces = self._events.faces
            interval = PUBLISH_INTERVAL if faces else IDLE_PUBLISH_INTERVAL
            if events or back or now - self._last_state >= interval:
                self._last_state = now
                self._connection.publish_state(state_record(faces, self._fps(), status=self._status()))

    def show_unrecognized(self, frame: Frame) -> None:
        with self._lock:
            now = perf_counter()
            changed = self._lost or self._recognized
            if self._lost:
                self._times.clear()
            self._lost = self._recognized = False
            self._times.append(now)
            if changed or now - self._last_state >= IDLE_PUBLISH_INTERVAL:
                self._last_state = now
                status = replace(self._status(), recognition=False)
                self._connection.publish_state(state_record([], self._fps(), status=status))

    def set_timing(self, hold: float | None = None, cooldown: float | None = None) -> None:
        if hold is not None:
            self._events.hold_time = hold

    def _publish_disconnected(self, seconds: float) -> None:
        """Called by the monitor's thread while no frame comes."""
        with self._lock:
            now = perf_counter()
            if not self._lost or now - self._last_state >= IDLE_PUBLISH_INTERVAL:
                self._lost, self._last_state = True, now
                status = replace(self._status(), recognition=self._recognized)
                self._connection.publish_state(state_record([], 0.0, seconds, self._reason(), status))

    def _fps(self) -> float:
        elapsed = self._times[-1] - self._times[0]
        return (len(self._times) - 1) / elapsed if elapsed > 0 else 0.0

    def close(self) -> None:
        self._monitor.close()
        self._connection.close()
