"""The state of a run, as the live page and its API have it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from time import localtime, monotonic, strftime, time
from typing import Any

from fer_edge.edge.device.thermal import ThermalMonitor
from fer_edge.edge.device.version import package_version
from fer_edge.edge.sinks.jsonl import face_record
from fer_edge.edge.sinks.run_stats import RunStats
from fer_edge.edge.types import Prediction, Source
from fer_edge.edge.web.frame_mailbox import FrameMailbox
from fer_edge.edge.web.viewers import Viewers

MAX_AGE = 0.1
"""Seconds for which a serialized state is reused while frame, status and viewers stay the same."""

STALE_SECONDS = 10.0
"""Time without a frame after which a run that has not ended is no longer healthy."""


@dataclass(frozen=True)
class RunInfo:
    """What the live page reads of a run.

    Attributes:
        source: The run's source.
        model: The model option, as `ensemble`.
        classes: (C,) names of the model's classes.
        stored: What the run stores on this device, in words.
        stats: Counts and stage times.
        thermal: Temperature and load level.
    """

    source: Source
    model: str
    classes: tuple[str, ...]
    stored: tuple[str, ...]
    stats: RunStats
    thermal: ThermalMonitor


def seconds_without_frame(mailbox: FrameMailbox) -> float:
    """Seconds since the newest frame, or since the start where there was none."""
    newest = mailbox.newest  # before the clock: a frame that comes in between would be younger than now
    return mailbox.age() - (newest.at if newest else 0.0)


def current_predictions(run: RunInfo, mailbox: FrameMailbox) -> Sequence[Prediction]:
    """The newest frame's predictions; none while the source is disconnected."""
    return [] if mailbox.newest is None or run.source.disconnected else mailbox.newest.predictions


def status(run: RunInfo, mailbox: FrameMailbox) -> str:
    """The run in one word.

    Returns:
        `running`, `disconnected` (the source was lost and may come back), `waiting` (no frame for `STALE_SECONDS`), or
        `ended`.
    """
    if mailbox.ended:
        return "ended"
    if run.source.disconnected:
        return "disconnected"
    return "running" if seconds_without_frame(mailbox) < STALE_SECONDS else "waiting"


def outdated_notice(run: RunInfo, mailbox: FrameMailbox) -> str:
    """Why the newest picture does not show what is there now, with the time of day; '' where it does, or has ended."""
    word = status(run, mailbox)
    seconds = {"disconnected": run.source.disconnected, "waiting": seconds_without_frame(mailbox)}.get(word)
    if seconds is None:
        return ""
    text = {"disconnected": "disconnected", "waiting": "no picture"}[word]
    return strftime(f"{text} since %Y-%m-%d %H:%M", localtime(time() - seconds))


def state(run: RunInfo, mailbox: FrameMailbox, viewers: int) -> dict[str, Any]:
    """The run as `/api/state` sends it.

    Returns:
        Times in seconds, stage times as mean milliseconds per frame, boxes in pixels of the frame.
    """
    newest, (rate, stages) = mailbox.newest, run.stats.recent()
    return {
        "version": package_version(),
        "status": status(run, mailbox),
        "source": run.source.name,
        "live": run.source.live,
        "model": run.model,
        "classes": list(run.classes),
        "stored": list(run.stored),
        "uptime": round(mailbox.age(), 1),
        "waiting": round(seconds_without_frame(mailbox), 2),
        "disconnected": round(run.source.disconnected, 1),
        "disconnect_reason": run.source.disconnect_reason,
        "black": round(run.source.black, 1),
        "recognition": mailbox.recognition,
        "frame": newest.frame.index if newest else None,
        "time": round(newest.frame.time, 4) if newest else None,
        "size": [*newest.frame.size] if newest else None,
        "faces": [face_record(prediction) for prediction in current_predictions(run, mailbox)],
        "rate": round(rate, 2),
        "frames": run.stats.frames,
        "dropped": run.source.dropped,
        "stages": {stage: round(1000 * seconds, 3) for stage, seconds in stages.items()},
        "celsius": run.thermal.condition.celsius,
        "throttling": list(run.thermal.condition.limits),
        "load_level": run.thermal.level,
        "viewers": viewers,
    }


class SharedState:
    """The state as JSON, serialized once for all who ask for it at about the same time.

    It takes as long to make as many answers take to send, and 50 open pages get ten a second each.
    """

    def __init__(self, run: RunInfo, mailbox: FrameMailbox, viewers: Viewers) -> None:
        self._run, self._mailbox, self._viewers = run, mailbox, viewers
        self._key: tuple[object, ...] = ()
        self._json, self._expires = b"", 0.0

    def json(self) -> bytes:
        """The state as it is now, or has been within `MAX_AGE`."""
        run, mailbox, viewers = self._run, self._mailbox, self._viewers.count()
        newest = mailbox.newest
        number = newest.number if newest else 0  # not the frame, which would be kept
        key = (number, status(run, mailbox), viewers)
        now = monotonic()
        if key != self._key or now > self._expires:
            self._key, self._expires = key, now + MAX_AGE
            self._json = to_json(state(run, mailbox, viewers))
        return self._json


def to_json(value: dict[str, Any]) -> bytes:
    """JSON on one line, in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
