"""Changes settings of a running device as messages ask for them, and replies in words.

Messages come in paho's thread, which only keeps the newest of each setting; a thread of its own applies them, ten times
a second at most. However many messages come, and whatever is in them, the device does not do more.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from fer_edge.edge.errors import shortened
from fer_edge.edge.sinks.mqtt.payload import timestamp
from fer_edge.edge.sinks.mqtt.setting import MAX_BYTES, Request, Setting, Value, parse_request

log = logging.getLogger(__name__)

INTERVAL = 0.1
"""Seconds between two rounds of changes, at least."""

LOG_INTERVAL = 1.0
"""Seconds between two log lines, at least; a line has all that happened meanwhile."""

SETTLE_TIME = 5.0
"""Seconds after a subscription in which the broker sends what it has kept. A setting that did not come is not there."""

MAX_PENDING = 32
"""Messages that may wait where others than for existing settings are among them."""

MAX_NOTES = 16
"""Changes in a log line."""


@dataclass(frozen=True)
class StartValue:
    """A setting with the value that the program has started with."""

    setting: Setting
    value: Value


class Control:
    """The settings of a device that can be changed while it runs, and their values in effect.

    `connecting`, `subscribed` and `receive` are called by the connection, in any thread. Nothing is applied before
    `start`.

    Args:
        settings: The settings.
        clock: Seconds.

    Attributes:
        publish: Publishes a payload at a topic below the device's, retained or not; the connection sets it.
    """

    def __init__(self, settings: Sequence[StartValue], clock: Callable[[], float] = monotonic) -> None:
        self._settings = {each.setting.key: each.setting for each in settings}
        self._start = {each.setting.key: each.value for each in settings}
        self._values = dict(self._start)
        self._apply: Callable[[str, Any], None] = lambda key, value: None
        self.publish: Callable[[str, str, bool], None] = lambda topic, payload, retain: None
        self._clock = clock
        self._lock = threading.Lock()
        self._pending: dict[str, bytes] = {}
        self._kept: set[str] = set()  # settings that the broker has, as far as this connection has shown
        self._settled_at: float | None = None
        self._notes: list[str] = []
        self._logged_at = -LOG_INTERVAL
        self._wake, self._closing = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def keys(self) -> list[str]:
        """The settings' keys."""
        return [*self._settings]

    @property
    def values(self) -> dict[str, Value]:
        """The values in effect by key."""
        return dict(self._values)

    def start(self, apply: Callable[[str, Any], None]) -> None:
        """Apply what has come and will come, in a thread.

        Args:
            apply: Gets a key and its new value.
        """
        self._apply = apply
        self._thread = threading.Thread(target=self._run, name="mqtt-control", daemon=True)
        self._thread.start()

    def connecting(self) -> None:
        """A connection has begun, and the broker will send what it has kept."""
        with self._lock:
            self._kept, self._settled_at = set(), None

    def subscribed(self) -> None:
        """The broker has accepted the subscription, and sends what it has kept now, if not before."""
        with self._lock:
            self._settled_at = self._clock() + SETTLE_TIME
        self._publish_values()
        self._wake.set()

    def receive(self, key: str, payload: bytes) -> None:
        """Take a message; the newest for a setting replaces those that wait.

        Args:
            key: The setting, or any text.
            payload: The message; an empty one is that a setting was removed from the broker.
        """
        with self._lock:
            if key not in self._settings and len(self._pending) >= MAX_PENDING:
                return
            if payload:
                self._kept.add(key)
            else:
                self._kept.discard(key)
            self._pending[key] = payload[: MAX_BYTES + 1]
        self._wake.set()

    def process(self) -> None:
        """Apply all messages that wait, reply to each, and publish the settings if they have changed."""
        with self._lock:
            pending, self._pending = self._pending, {}
        before = dict(self._values)
        for key, payload in pending.items():
            reply = self._handle(key, payload)
            self.publish("reply", json.dumps(reply), False)
        self._drop_removed()
        if self._values != before:
            self._publish_values()

    def _handle(self, key: str, payload: bytes) -> dict[str, Any]:
        """Apply one message; the reply."""
        request = Request(None)
        try:
            setting = self._settings.get(key)
            if setting is None:
                raise ValueError(f"there is no such setting; expected one of {', '.join(self._settings)}")
            if payload:
                request = parse_request(payload)
                self._set(key, setting.checked(request.value))
                text = f"{key} is {words(self._values[key])}"
            else:
                self._set(key, self._start[key])
                text = f"{key} is {words(self._values[key])}, as at the start"
            accepted = True
        except ValueError as error:
            accepted, text = False, str(error)
            self._note(f"{shortened(key, 40)} refused ({text})")
        return {
            "time": timestamp(),
            "key": shortened(key, 40),
            "accepted": accepted,
            "text": text,
            "value": self._values.get(key),
            "id": request.id,
        }

    def _set(self, key: str, value: Value) -> None:
        if value != self._values[key]:
            self._apply(key, value)
            self._note(f"{key} {words(value)} (was {words(self._values[key])})")
            self._values[key] = value

    def _drop_removed(self) -> None:
        """Go back to the start value of what was removed from the broker while there was no connection."""
        with self._lock:
            if self._settled_at is None or self._clock() < self._settled_at:
                return
            self._settled_at = None
            removed = self._settings.keys() - self._kept
        for key in removed:
            self._set(key, self._start[key])

    def _publish_values(self) -> None:
        self.publish("settings", json.dumps(self._values), True)

    def _note(self, text: str) -> None:
        if len(self._notes) < MAX_NOTES:
            self._notes.append(text)

    def _log(self) -> None:
        now = self._clock()
        if self._notes and now - self._logged_at >= LOG_INTERVAL:
            self._logged_at = now
            log.info("set over MQTT: %s", ", ".join(self._notes))
            self._notes.clear()

    def _run(self) -> None:
        while not self._closing.is_set():
            waiting = self._settled_at is not None or self._notes
            self._wake.wait(LOG_INTERVAL if waiting else None)
            self._wake.clear()
            self.process()
            self._log()
            self._closing.wait(INTERVAL)

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(1.0)


def words(value: Value) -> str:
    """A setting's value in words: on, off, or a number."""
    return ("on" if value else "off") if isinstance(value, bool) else f"{value:.10g}"
