"""The JSON payloads of states, events and devices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fer_edge.edge.device.thermal import UNKNOWN, BoardCondition
from fer_edge.edge.sinks.events import Event, TrackedFace


@dataclass(frozen=True)
class DeviceStatus:
    """What a state says of the device beside its faces.

    Attributes:
        condition: Temperature and limits of the board.
        load_level: Level of thermal throttling, 0 for all the work.
        recognition: Whether frames are searched for faces.
    """

    condition: BoardCondition = UNKNOWN
    load_level: int = 0
    recognition: bool = True


def state_record(
    faces: Sequence[TrackedFace],
    fps: float,
    disconnected: float = 0.0,
    reason: str | None = None,
    status: DeviceStatus = DeviceStatus(),
) -> dict[str, Any]:
    """A state: the number of faces, and track, emotion and scores of the largest, null without a face.

    Args:
        faces: The faces that are there, the largest first, as `EventDetector.faces` has them.
        fps: Frame rate.
        disconnected: Seconds since the source was lost, 0 while it is connected.
        reason: Why it is disconnected, None while it is connected.
        status: The rest of the device.

    Returns:
        A JSON object. `emotion` is the one that began last, as in the events, or None; `confidence` is its
        probability now.
    """
    face = faces[0] if faces else None
    prediction = face and face.prediction
    scores = prediction and [round(float(score), 4) for score in prediction.scores]
    return {
        "time": timestamp(),
        "faces": len(faces),
        "track": face and face.prediction.face.track,
        "emotion": face and face.emotion,
        "confidence": None if face is None or face.confidence is None else round(face.confidence, 4),
        "scores": prediction and scores and dict(zip(prediction.classes, scores, strict=True)),
        "fps": round(fps, 1),
        "disconnected": round(disconnected, 1),
        "disconnect_reason": reason,
        "recognition": status.recognition,
        "celsius": None if status.condition.celsius is None else round(status.condition.celsius, 1),
        "throttling": list(status.condition.limits),
        "load_level": status.load_level,
    }


def device_record(
    name: str, version: str, model: str, sha256: str | None, source: str, page: str | None, control: Sequence[str]
) -> dict[str, Any]:
    """What does not change while a program runs, as a JSON object.

    Args:
        name: The device's name in topics.
        version: The version of fer-edge.
        model: The model option, as `ensemble`.
        sha256: The model's sha256, None where it is unknown.
        source: The source's name, without passwords.
        page: The live page's address without its token, None where there is none.
        control: The settings that can be changed over MQTT.

    Returns:
        These, and when the program started, UTC.
    """
    return {
        "name": name,
        "version": version,
        "model": model,
        "model_sha256": sha256,
        "source": source,
        "page": page,
        "started": timestamp(),
        "control": list(control),
    }


def event_record(event: Event) -> dict[str, Any]:
    """An event as a JSON object; `event_type` is the key that Home Assistant's event entities read."""
    record: dict[str, Any] = {"event_type": event.kind, "time": timestamp(), "track": event.track}
    if event.kind != "face_came":
        record["emotion"] = event.emotion
    if event.kind == "emotion":
        record |= {"confidence": round(event.confidence or 0.0, 4), "before": event.before}
    return record


def timestamp() -> str:
    """The time now, UTC, in ISO 8601 to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
