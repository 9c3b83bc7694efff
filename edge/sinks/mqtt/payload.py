"""What is said to a broker about faces and events, as JSON can hold it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from fer_edge.edge.sinks.events import Event, Presence
from fer_edge.edge.types import EMOTIONS


def state_record(present: Sequence[Presence], fps: float, disconnected: float = 0.0) -> dict[str, Any]:
    """How many faces are there, and of the largest, which comes first, track, emotion and scores; null without one.

    emotion: the one that began last, as in the events; null until one has. confidence: its probability now.
    fps: frames a second. away: seconds since the source was lost, 0 while it is there.
    """
    face = present[0] if present else None
    scores = None if face is None else [round(float(score), 4) for score in face.prediction.scores]
    return {
        "time": _clock(),
        "faces": len(present),
        "track": face and face.prediction.face.track,
        "emotion": face and face.emotion,
        "confidence": None if face is None or face.confidence is None else round(face.confidence, 4),
        "scores": scores and dict(zip(EMOTIONS, scores, strict=True)),
        "fps": round(fps, 1),
        "away": round(disconnected, 1),
    }


def event_record(event: Event) -> dict[str, Any]:
    """An event; `event_type` is the key that Home Assistant's event entities look for."""
    record: dict[str, Any] = {"event_type": event.kind, "time": _clock(), "track": event.track}
    if event.kind != "face_came":
        record["emotion"] = event.emotion
    if event.kind == "emotion":
        record |= {"confidence": round(event.confidence or 0.0, 4), "before": event.before}
    return record


def _clock() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
