"""Home Assistant's MQTT discovery, https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery.

One retained message per entity, which every version of Home Assistant with discovery understands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from fer_edge.edge.sinks.events import Kind

Config = dict[str, Any]

DIAGNOSTIC: Config = {"entity_category": "diagnostic"}


def discovery_messages(
    prefix: str, base: str, name: str, model: str, version: str, classes: Sequence[str]
) -> dict[str, Config]:
    """The discovery messages of a camera's entities.

    Args:
        prefix: Home Assistant's discovery prefix.
        base: The camera's topic, PREFIX/ID.
        name: The camera's name, ID.
        model: The model option, as `ensemble`.
        version: The version of fer-edge.
        classes: (C,) names of the model's classes.

    Returns:
        Topic to payload.
    """
    online = {"availability_topic": f"{base}/availability"}
    connected = _available(base, "value_json.disconnected")
    recognizing = _available(base, "value_json.disconnected or not value_json.recognition")
    unique = f"fer_edge_{name}"
    device = {
        "device": {
            "identifiers": [unique],
            "name": f"fer-edge {name}",
            "manufacturer": "fer-edge",
            "model": model,
            "sw_version": version,
        },
        "origin": {"name": "fer-edge", "sw_version": version},
    }
    configs = {}
    faces = _face_entities(base, classes)
    for (component, key), entity in (faces | _diagnostic_entities(base)).items():
        identity = {"unique_id": f"{unique}_{key}", "qos": 1}
        # the entities that show a lost program or camera must not become unavailable with it
        others = recognizing if (component, key) in faces else connected
        availability = {"connection": {}, "camera": online}.get(key, others)
        # the name is a level of its own, so that a broker's access rules can restrict each camera to its own
        topic = f"{prefix}/{component}/{name}/fer_edge_{key}/config"
        configs[topic] = {**entity, **identity, **availability, **device}
    return configs


def _available(base: str, problem: str) -> Config:
    """The availability of entities that need the program, and a state without this problem, a template's condition."""
    template = f"{{{{ 'offline' if {problem} else 'online' }}}}"
    topics = [{"topic": f"{base}/availability"}, {"topic": f"{base}/state", "value_template": template}]
    return {"availability": topics, "availability_mode": "all"}


def _face_entities(base: str, classes: Sequence[str]) -> dict[tuple[str, str], Config]:
    state = {"state_topic": f"{base}/state"}
    return {
        ("sensor", "emotion"): {
            "name": "Emotion",
            "icon": "mdi:emoticon-outline",
            "device_class": "enum",
            "options": list(classes),
            "value_template": "{{ value_json.emotion }}",  # null becomes None, which is 'unknown'
            "json_attributes_topic": f"{base}/state",
            "json_attributes_template": "{{ {'track': value_json.track, 'scores': value_json.scores} | tojson }}",
            **state,
        },
        ("sensor", "confidence"): {
            "name": "Confidence",
            "icon": "mdi:gauge",
            "state_class": "measurement",
            "unit_of_measurement": "%",
            "suggested_display_precision": 0,
            "value_template": (
                "{{ None if value_json.confidence is none else (100 * value_json.confidence) | round(1) }}"
            ),
            **state,
        },
        ("sensor", "faces"): {
            "name": "Faces",
            "icon": "mdi:account-multiple",
            "state_class": "measurement",
            "value_template": "{{ value_json.faces }}",
            **state,
        },
        ("binary_sensor", "face"): {
            "name": "Face",
            "device_class": "occupancy",
            "value_template": "{{ 'ON' if value_json.faces else 'OFF' }}",
            **state,
        },
        ("event", "event"): {
            "name": "Event",
            "icon": "mdi:face-recognition",
            "event_types": list(get_args(Kind)),
            "state_topic": f"{base}/event",
        },
    }


def _diagnostic_entities(base: str) -> dict[tuple[str, str], Config]:
    state = {"state_topic": f"{base}/state"}
    return {
        ("sensor", "fps"): {
            "name": "Frame rate",
            "icon": "mdi:speedometer",
            "state_class": "measurement",
            "unit_of_measurement": "fps",
            "value_template": "{{ value_json.fps }}",
            "enabled_by_default": False,
            **DIAGNOSTIC,
            **state,
        },
        ("binary_sensor", "camera"): {
            "name": "Camera",
            "device_class": "connectivity",
            "value_template": "{{ 'OFF' if value_json.disconnected else 'ON' }}",
            **DIAGNOSTIC,
            **state,
        },
        ("binary_sensor", "connection"): {
            "name": "Connection",
            "device_class": "connectivity",
            "payload_on": "online",
            "payload_off": "offline",
            "state_topic": f"{base}/availability",
            **DIAGNOSTIC,
        },
    }
