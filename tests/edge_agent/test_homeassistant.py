"""Discovery: the payload against the keys that Home Assistant documents for MQTT; no Home Assistant runs here."""

import json
import re
from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import Environment  # what Home Assistant renders templates with

from edge_agent.compliance import Compliance
from edge_agent.config import Config, load
from edge_agent.config.base import NAME_PATTERN
from edge_agent.homeassistant import build, discovery, discovery_topic
from edge_agent.messages import CameraStatus, Command, Info, LoopFigures
from edge_agent.records import Box, Event

INFO = Info(version="1.0", labels=("with_mask", "without_mask", "mask_weared_incorrect"))
# https://www.home-assistant.io/integrations/{sensor,binary_sensor,switch,button,number,event,camera}.mqtt/
COMMON = {"p", "name", "unique_id", "availability", "availability_mode", "entity_category", "icon", "qos"}
JSON_ATTRIBUTES = {"json_attributes_topic", "json_attributes_template"}
KEYS = {
    "sensor": COMMON
    | JSON_ATTRIBUTES
    | {
        "state_topic",
        "value_template",
        "expire_after",
        "state_class",
        "device_class",
        "unit_of_measurement",
        "options",
    },
    "binary_sensor": COMMON | JSON_ATTRIBUTES | {"state_topic", "value_template", "expire_after", "device_class"},
    "switch": COMMON
    | {"command_topic", "payload_on", "payload_off", "state_topic", "value_template", "state_on", "state_off"},
    "button": COMMON | {"command_topic", "payload_press"},
    "number": COMMON | {"command_topic", "command_template", "state_topic", "value_template", "min", "max", "step"},
    "event": COMMON | {"state_topic", "event_types", "value_template"},
    "camera": COMMON | {"topic"},
}
REQUIRED = {
    "sensor": {"state_topic"},
    "binary_sensor": {"state_topic"},
    "switch": {"command_topic"},
    "button": {"command_topic"},
    "number": {"command_topic"},
    "event": {"state_topic", "event_types"},
    "camera": {"topic"},
}


def configured(*cameras: str, **mqtt: object) -> Config:
    return load(
        None,
        {},
        {
            "device": {"name": "door"},
            "camera": [{"name": name, "source": "0"} for name in cameras or ("hall",)],
            "mqtt": {"host": "b", "snapshots": True, **mqtt},
        },
    )


def ended(camera: str, zone: str | None, label: str) -> Event:
    return Event("end", "v", camera, 1, label, label, label, (1.0, 0.0, 0.0), Box(0, 0, 1, 1), zone, False, 9,
                 0.0, 0.0, 0.0, 0.0, 1.0)  # fmt: skip


def described(config: Config, removed: dict[str, str] | None = None) -> dict:
    return json.loads(discovery(config, INFO, 0.6, removed or {}))


names = st.from_regex(NAME_PATTERN, fullmatch=True)
labels = st.from_regex(r"^[A-Za-z0-9][A-Za-z0-9 _.-]{0,63}$", fullmatch=True)


@given(
    cameras=st.lists(names, min_size=1, max_size=3, unique=True),
    own=st.lists(labels, min_size=2, max_size=4, unique=True),
    removed=st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=4),
)
@settings(max_examples=60, deadline=None)
def test_any_camera_and_any_label_of_a_users_own_model_is_described_with_templates_that_work(cameras, own, removed):
    payload = json.loads(discovery(configured(*cameras), Info(version="1", labels=tuple(own)), 0.5, removed))
    stats = {"people": {label: number for number, label in enumerate(own, 1)}, "cannot_tell": 0}
    shown = set()
    for key, part in payload["cmps"].items():
        if key in removed:
            continue
        assert re.fullmatch(r"[A-Za-z0-9_-]+", key)
        if "people[" in part.get("value_template", ""):
            shown.add(Environment().from_string(part["value_template"]).render(value_json=stats))
    assert shown == {str(number) for number in range(len(own) + 1)}


def test_the_device_and_its_origin_are_named_as_documented():
    payload = described(configured())
    assert set(payload) == {"dev", "o", "cmps", "availability", "qos"}
    assert payload["dev"]["ids"] == ["maskwatch-door"]
    assert payload["o"]["name"] == "maskwatch"
    assert discovery_topic(configured()) == "homeassistant/device/maskwatch-door/config"


def test_every_component_has_only_documented_keys_and_those_required():
    for key, component in described(configured("hall", "back"))["cmps"].items():
        platform = component["p"]
        assert set(component) <= KEYS[platform], key
        assert set(component) >= REQUIRED[platform] | {"unique_id", "name"}, key


def test_unique_ids_are_unique_and_keys_may_stand_in_a_topic():
    components = described(configured("hall", "back"))["cmps"]
    ids = [component["unique_id"] for component in components.values()]
    assert len(ids) == len(set(ids))
    assert all(key.replace("_", "").replace("-", "").isalnum() for key in components)


def test_every_topic_is_one_that_the_device_publishes_or_reads():
    base = "maskwatch/door"
    known = {f"{base}/available", f"{base}/stats", f"{base}/cmd", f"{base}/events/hall"}
    known |= {f"{base}/camera/hall/{name}" for name in ("status", "people", "snapshot")}
    found = set()
    for component in described(configured())["cmps"].values():
        found |= {value for key, value in component.items() if key.endswith("topic")}
        found |= {entry["topic"] for entry in component.get("availability", [])}
    assert found <= known


def watched_zones() -> Config:
    return load(
        None,
        {},
        {
            "device": {"name": "door"},
            "mqtt": {"host": "b"},
            "camera": [
                {"name": "a_b", "source": "0", "zones": [{"name": "c", "polygon": [[0, 0], [1, 0], [1, 1]]}]},
                {"name": "a", "source": "1", "zones": [{"name": "b_c", "polygon": [[0, 0], [1, 0], [1, 1]]}]},
            ],
        },
    )


def test_compliance_of_each_camera_and_zone_is_read_from_the_stats_of_their_window():
    compliance = Compliance()
    for camera, zone, label in (("a_b", "c", "with_mask"), ("a_b", None, "without_mask"), ("a", "b_c", "cannot_tell")):
        compliance.add(ended(camera, zone, label), 0.0)
    places = [(None, None), ("a_b", None), ("a_b", "c"), ("a", None), ("a", "b_c")]
    stats = LoopFigures(compliance=[asdict(rate) for rate in compliance.report(7200.0, places)]).model_dump(mode="json")
    parts = {key: part for key, part in described(watched_zones())["cmps"].items() if "compliance" in key}
    render = Environment().from_string
    shown = {key: render(part["value_template"]).render(value_json=stats) for key, part in parts.items()}
    assert shown == {
        f"{place}compliance_hour": "None" for place in ("", "a_b_", "a_b_Zone_c_", "a_", "a_Zone_b_c_")
    } | {
        "compliance_day": "50.0",
        "a_b_compliance_day": "50.0",
        "a_b_Zone_c_compliance_day": "100.0",
        "a_compliance_day": "None",
        "a_Zone_b_c_compliance_day": "None",
    }
    attributes = json.loads(render(parts["a_compliance_day"]["json_attributes_template"]).render(value_json=stats))
    assert (attributes["cannot_tell"], attributes["judged"], attributes["low"]) == (1, 0, None)


def test_stats_of_an_older_agent_leave_compliance_unknown():
    part = described(configured())["cmps"]["compliance_day"]
    for key, expected in (("value_template", "None"), ("json_attributes_template", "{}")):
        assert Environment().from_string(part[key]).render(value_json={"people": {}}) == expected


def test_a_model_without_the_label_with_mask_has_no_compliance():
    components = build(configured(), Info(version="1.0", labels=("yes", "no")), None)
    assert not [key for key in components if "compliance" in key]


def test_figures_expire_after_three_stats_intervals():
    components = described(configured())["cmps"]
    assert components["fps"]["expire_after"] == components["hall_with_mask"]["expire_after"] == 30


def test_statuses_offered_are_those_published():
    assert described(configured())["cmps"]["hall_status"]["options"] == list(CameraStatus.__args__)


@pytest.mark.parametrize("key", ["payload_on", "payload_off", "payload_press", "command_template"])
def test_what_home_assistant_sends_is_a_command_we_take(key):
    payloads = [part[key] for part in build(configured(), INFO, 0.6).values() if key in part]
    assert payloads
    for payload in payloads:
        assert Command.model_validate_json(payload.replace("{{ value }}", "0.5")).action


def test_without_commands_there_are_no_controls_and_without_snapshots_no_picture():
    components = described(configured(commands=False, snapshots=False))["cmps"]
    assert {component["p"] for component in components.values()} == {"sensor", "binary_sensor", "event"}


def test_an_entity_that_is_gone_is_sent_with_its_platform_alone():
    payload = described(configured("hall"), {"back_status": "sensor", "hall_status": "sensor"})
    assert payload["cmps"]["back_status"] == {"p": "sensor"}
    assert len(payload["cmps"]["hall_status"]) > 1
