"""Home Assistant's MQTT device discovery: one retained message that describes the device and all its entities.

Keys are those of https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload (dev, o, cmps; p in each).
No Home Assistant has run against it here: the tests check the payload against the documented keys.

An entity that is gone stays in the message with its platform alone, which removes it: also from a Home Assistant that
was not running at that moment.
"""

from __future__ import annotations

import json
import re
from typing import Any

from edge_agent.compliance import CORRECT_LABEL
from edge_agent.config import Config
from edge_agent.messages import Info

Component = dict[str, Any]
EXPIRE_INTERVALS = 3
VISIT_TEMPLATE = "{{ {'event_type': value_json.type, 'id': value_json.id, 'label': value_json.after} | tojson }}"
MOST_REMOVED = 200
_ROW = (
    "{{% set row = value_json.compliance | selectattr('window', 'eq', '{window}')"
    " | selectattr('camera', 'eq', {camera}) | selectattr('zone', 'eq', {zone}) | first | default({{}}) %}}"
)


def discovery_topic(config: Config) -> str:
    return f"{config.mqtt.homeassistant.prefix}/device/{identity(config)}/config"


def birth_topic(config: Config) -> str:
    return f"{config.mqtt.homeassistant.prefix}/status"


def identity(config: Config) -> str:
    return f"maskwatch-{config.device.name}"


def discovery(config: Config, info: Info, threshold: float | None, removed: dict[str, str]) -> bytes:
    """The payload. removed: keys of components that were there once, with their platforms."""
    base = f"maskwatch/{config.device.name}"
    components = build(config, info, threshold)
    stubs = {key: {"p": platform} for key, platform in list(removed.items())[:MOST_REMOVED] if key not in components}
    payload = {
        "dev": {
            "ids": [identity(config)],
            "name": f"Maskwatch {config.device.name}",
            "mf": "Maskwatch",
            "mdl": "edge agent",
            "sw": info.version,
        },
        "o": {"name": "maskwatch", "sw": info.version},
        "availability": [{"topic": f"{base}/available"}],
        "qos": 1,
        "cmps": {**components, **stubs},
    }
    return json.dumps(payload, separators=(",", ":")).encode()


def build(config: Config, info: Info, threshold: float | None) -> dict[str, Component]:
    """All components by key; keys are stable, since Home Assistant knows entities by them."""
    components = _device(config, info) | _compliance(config, info)
    for camera in config.camera:
        components |= _camera(config, info, camera.name)
    if config.mqtt.commands:
        components |= _controls(config, threshold)
    for key, component in components.items():
        component["unique_id"] = f"{identity(config)}_{key}"
    return components


def _device(config: Config, info: Info) -> dict[str, Component]:
    stats = f"maskwatch/{config.device.name}/stats"
    expire = {"expire_after": round(EXPIRE_INTERVALS * config.stats.interval_s)}

    def sensor(name: str, template: str, **more: Any) -> Component:
        return {"p": "sensor", "name": name, "state_topic": stats, "value_template": template, **expire, **more}

    diagnostic = {"entity_category": "diagnostic", "state_class": "measurement"}
    parts: dict[str, Component] = {
        f"visits_{_key(label)}": sensor(
            f"Visits {_words(label)}",
            f"{{{{ value_json.people['{label}'] | default(0) }}}}",
            state_class="total_increasing",
            icon="mdi:account-check",
        )
        for label in info.labels
    }
    parts["visits_cannot_tell"] = sensor(
        "Visits not judged", "{{ value_json.cannot_tell }}", state_class="total_increasing", icon="mdi:account-question"
    )
    parts["fps"] = sensor("Frames per second", "{{ value_json.fps }}", unit_of_measurement="fps", **diagnostic)
    parts["spool"] = sensor("Events waiting", "{{ value_json.spool.events }}", **diagnostic)
    parts["temperature"] = sensor(
        "Temperature",
        "{{ value_json.host.temperature_celsius }}",
        device_class="temperature",
        unit_of_measurement="°C",
        **diagnostic,
    )
    parts["memory"] = sensor(
        "Memory",
        "{{ value_json.host.resident_bytes }}",
        device_class="data_size",
        unit_of_measurement="B",
        **diagnostic,
    )
    parts["problem"] = {
        "p": "binary_sensor",
        "name": "Problem",
        "state_topic": stats,
        "value_template": "{{ 'OFF' if value_json.health == 'ok' else 'ON' }}",
        "json_attributes_topic": stats,
        "json_attributes_template": "{{ {'reasons': value_json.reasons} | tojson }}",
        "device_class": "problem",
        "entity_category": "diagnostic",
        **expire,
    }
    return parts


def _compliance(config: Config, info: Info) -> dict[str, Component]:
    """Of the last hour and day: of all cameras, each camera, each zone; the interval and the counts as attributes."""
    if CORRECT_LABEL not in info.labels:
        return {}
    stats = f"maskwatch/{config.device.name}/stats"
    places: list[tuple[str | None, str | None]] = [(None, None)]
    for camera in config.camera:
        places += [(camera.name, None), *((camera.name, zone.name) for zone in camera.zones)]
    parts: dict[str, Component] = {}
    for place in places:
        for window in ("hour", "day"):
            row = _ROW.format(window=window, camera=_literal(place[0]), zone=_literal(place[1]))
            where = "_Zone_".join(filter(None, place))  # no name has a capital: a camera a_b is not zone b of a
            parts[f"{where}_compliance_{window}".lstrip("_")] = {
                "p": "sensor",
                "name": " ".join([*filter(None, place), "compliance last", window]),
                "state_topic": stats,
                "value_template": row + "{{ (100 * row.rate) | round(1) if row.rate is number else none }}",
                "json_attributes_topic": stats,
                "json_attributes_template": row + "{{ row | tojson }}",
                "unit_of_measurement": "%",
                "state_class": "measurement",
                "icon": "mdi:face-mask",
                "expire_after": round(EXPIRE_INTERVALS * config.stats.interval_s),
            }
    return parts


def _camera(config: Config, info: Info, camera: str) -> dict[str, Component]:
    device = f"maskwatch/{config.device.name}"
    base = f"{device}/camera/{camera}"
    counting = {
        "availability": [
            {"topic": f"{device}/available"},
            {
                "topic": f"{base}/status",
                "value_template": "{{ 'online' if value in ['online', 'moved'] else 'offline' }}",
            },
        ],
        "availability_mode": "all",
        "expire_after": round(EXPIRE_INTERVALS * config.stats.interval_s),
    }
    parts: dict[str, Component] = {
        f"{camera}_status": {
            "p": "sensor",
            "name": f"{camera} status",
            "state_topic": f"{base}/status",
            "device_class": "enum",
            "options": ["online", "stalled", "frozen", "dark", "covered", "moved", "offline"],
            "entity_category": "diagnostic",
        },
        f"{camera}_visit": {
            "p": "event",
            "name": f"{camera} visit",
            "state_topic": f"{device}/events/{camera}",
            "event_types": ["new", "update", "end"],
            "value_template": VISIT_TEMPLATE,
        },
    }
    for label in (*info.labels, "cannot_tell"):
        parts[f"{camera}_{_key(label)}"] = {
            "p": "sensor",
            "name": f"{camera} people {_words(label)}",
            "state_topic": f"{base}/people",
            "value_template": f"{{{{ value_json.people['{label}'] | default(0) }}}}",
            "state_class": "measurement",
            "icon": "mdi:account-group",
            **counting,
        }
    if config.mqtt.snapshots:
        parts[f"{camera}_snapshot"] = {"p": "camera", "name": f"{camera} snapshot", "topic": f"{base}/snapshot"}
    return parts


def _controls(config: Config, threshold: float | None) -> dict[str, Component]:
    topic = f"maskwatch/{config.device.name}/cmd"
    stats = f"maskwatch/{config.device.name}/stats"
    parts: dict[str, Component] = {
        "running": {
            "p": "switch",
            "name": "Running",
            "command_topic": topic,
            "payload_on": '{"action":"resume"}',
            "payload_off": '{"action":"pause"}',
            "state_topic": stats,
            "value_template": "{{ 'OFF' if value_json.paused else 'ON' }}",
            "state_on": "ON",
            "state_off": "OFF",
        },
        "reload": {
            "p": "button",
            "name": "Reload",
            "command_topic": topic,
            "payload_press": '{"action":"reload"}',
            "entity_category": "config",
        },
    }
    if config.mqtt.snapshots:
        parts["snapshot"] = {
            "p": "button",
            "name": "Take a snapshot",
            "command_topic": topic,
            "payload_press": '{"action":"snapshot"}',
        }
    if threshold is not None:
        parts["threshold"] = {
            "p": "number",
            "name": "Threshold",
            "command_topic": topic,
            "command_template": '{"action":"set_threshold","args":{"threshold":{{ value }}}}',
            "state_topic": stats,
            "value_template": "{{ value_json.threshold }}",
            "min": 0,
            "max": 1,
            "step": 0.01,
            "entity_category": "config",
        }
    return parts


def _literal(name: str | None) -> str:
    return "none" if name is None else f"'{name}'"


def _key(label: str) -> str:
    """A label of a user's own model may have spaces and dots, a key may not."""
    return re.sub(r"[ .]", lambda found: f"-{ord(found[0]):x}-", label)


def _words(label: str) -> str:
    return label.replace("_", " ")
