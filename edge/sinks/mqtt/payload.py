"""The JSON payloads of states and events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from fer_edge.edge.sinks.events import Event, TrackedFace


def state_record(
    faces: Sequence[TrackedFace], fps: float, disconnected: float = 0.0, reason: str | None = None
) -> dict[str, Any]:
    """A state: the number of faces, and track, emotion and scores of the largest, null without a face.

    Args:
        faces: The faces that are there, the largest first, as `EventDetector.faces` has them.
        fps: Frame rate.
        disconnected: Seconds since the source was lost, 0 while it is connected.
        reason: Why it is disconnected, None while it is connected.

    Returns:
        A JSON object. `emotion` is the one that began last, as in the events, or None; `confidence` is its
        probability now.
    """
    face = faces[0] if faces else None
    prediction = face and face.prediction
    scores = prediction and [round(float(score), 4) for score in prediction.scores]
    return {
        "time": _timestamp(),
        "faces": len(faces),
        "track": face and face.prediction.face.track,
        "emotion": face and face.emotion,
        "confidence": None if face is None or face.confidence is None else round(face.confidence, 4),
        "scores": prediction and scores and dict(zip(prediction.classes, scores, strict=True)),
        "fps": round(fps, 1),
        "disconnected": round(disconnected, 1),
        "disconnect_reason": reason,
    }


def event_record(event: Event) -> dict[str, Any]:
    """An event as a JSON object; `event_type` is the key that Home Assistant's event entities read."""
    record: dict[str, Any] = {"event_type": event.kind, "time": _timestamp(), "track": event.track}
    if event.kind != "face_came":
        record["emotion"] = event.emotion
    if event.kind == "emotion":
        record |= {"confidence": round(event.confidence or 0.0, 4), "before": event.before}
    return record


def _timestamp() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
