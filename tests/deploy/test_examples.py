"""The examples against what a real agent publishes: its MQTT messages and its metrics while it plays the sample."""

import json
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from jinja2 import Environment, StrictUndefined
from paho.mqtt.client import topic_matches_sub
from prometheus_client.parser import text_string_to_metric_families

from broker_support import Broker, Subscriber, free_port, until
from edge_agent.config import load
from edge_agent.config.show import effective
from edge_agent.messages import CameraStatus

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
FLOW = json.loads((DEPLOY / "nodered" / "flow.json").read_text())
RESULT = "maskwatch/entrance/cmd/result"
TEMPLATES = Environment(undefined=StrictUndefined)
CONFIG = """
[device]
name = "entrance"
[[camera]]
source = '{clip}'
realtime = true
[mqtt]
host = "127.0.0.1"
port = {mqtt}
[http]
port = {http}
[stats]
interval_s = 1
"""


def node(name: str) -> dict:
    return next(part for part in FLOW if part["id"] == f"maskwatch-{name}")


@dataclass
class Published:
    """subscriber: has heard all messages. metrics: (name, labels) of each sample. help_lines: of our own metrics."""

    subscriber: Subscriber
    metrics: list[tuple[str, dict[str, str]]]
    help_lines: list[str]

    def events(self) -> list[dict]:
        return [json.loads(payload) for payload in self.subscriber.payloads("maskwatch/entrance/events/camera")]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    folder = tmp_path_factory.mktemp("published")
    broker, http = Broker(folder).start(), free_port()
    subscriber = Subscriber(broker.port).start()
    clip = ROOT / "edge_agent" / "samples" / "sample.mp4"
    (folder / "agent.toml").write_text(CONFIG.format(clip=clip, mqtt=broker.port, http=http))
    command = [sys.executable, "-m", "edge_agent", "run", "--quiet", "--config", "agent.toml"]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL) as agent:
        events = Published(subscriber, [], []).events
        assert until(lambda: any(event["type"] == "end" for event in events()), 120)
        subscriber.send(node("command")["topic"], node("pause")["payload"])
        assert until(lambda: subscriber.last(RESULT))
        text = urllib.request.urlopen(f"http://127.0.0.1:{http}/metrics", timeout=20).read().decode()
        agent.send_signal(signal.SIGTERM)
        agent.wait(30)
    samples = [
        (sample.name, sample.labels) for family in text_string_to_metric_families(text) for sample in family.samples
    ]
    assert until(lambda: subscriber.last("maskwatch/entrance/available") == b"offline")
    help_lines = [line for line in text.splitlines() if line.startswith("# HELP maskwatch") and "_created " not in line]
    yield Published(subscriber, samples, help_lines)
    subscriber.stop()
    broker.stop()


# --- Grafana


def queries() -> list[tuple[str, str]]:
    """Each query of the dashboard with its legend."""
    board = json.loads((DEPLOY / "grafana" / "maskwatch.json").read_text())
    return [(target["expr"], target["legendFormat"]) for panel in board["panels"] for target in panel["targets"]]


def test_every_query_of_the_grafana_dashboard_finds_what_the_agent_shows(published):
    assert len(queries()) > 12
    for query, _ in queries():
        for name, matchers in re.findall(r"\b((?:maskwatch|process)_\w+)\{([^}]*)\}", query):
            wanted = re.findall(r'(\w+)(=~|!=|=)"([^"]*)"', matchers)
            found = [labels for metric, labels in published.metrics if metric == name]
            assert found, name
            for label, how, value in wanted:
                if label != "instance":  # Prometheus adds it
                    assert any((labels[label] == value) == (how == "=") for labels in found), (name, label, value)


def test_the_grafana_dashboard_groups_and_names_by_labels_that_are_there(published):
    for query, legend in queries():
        (name,) = set(re.findall(r"\b(?:maskwatch|process)_\w+", query))
        known = {"instance", *next(labels for metric, labels in published.metrics if metric == name)}
        groups = {word.strip() for group in re.findall(r"by \(([^)]*)\)", query) for word in group.split(",")}
        assert groups <= known, query
        assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= (groups or known), query


def test_the_dashboard_guide_lists_the_metrics_that_are_there(published):
    guide = (ROOT / "docs" / "guide-dashboard.md").read_text()
    assert re.findall(r"^# HELP maskwatch.*$", guide, re.MULTILINE) == published.help_lines


# --- Home Assistant


def rendered(template: str, **values: object) -> str:
    return TEMPLATES.from_string(template).render(**values).strip()


def test_the_home_assistant_automations_are_triggered_by_what_is_published(published):
    visits, camera = yaml.safe_load((DEPLOY / "homeassistant" / "automations.yaml").read_text())
    assert visits["triggers"][0]["topic"] == "maskwatch/entrance/events/camera"
    told = []
    for event in published.events():
        if rendered(visits["conditions"][0]["value_template"], trigger={"payload_json": event}) == "True":
            told.append(rendered(visits["actions"][0]["data"]["message"], trigger={"payload_json": event}))
    assert len(told) == 1, "the sample's first visitor wears none"
    assert told[0].startswith("Without a mask at camera, 20")
    assert camera["triggers"][0]["topic"] in published.subscriber.topics_heard()
    condition = camera["conditions"][0]["value_template"]
    bad = {word for word in CameraStatus.__args__ if rendered(condition, trigger={"payload": word}) == "True"}
    assert bad == {"stalled", "frozen", "dark", "covered", "offline"}


def test_every_template_of_discovery_reads_what_is_published(published):
    discovery = json.loads(published.subscriber.last("homeassistant/device/maskwatch-entrance/config"))
    shown = {}
    for key, part in discovery["cmps"].items():
        for template, topic in (
            ("value_template", "state_topic"),
            ("json_attributes_template", "json_attributes_topic"),
        ):
            if template not in part:
                continue
            message = published.subscriber.last(part[topic])
            assert message, part[topic]
            shown[key] = rendered(part[template], value_json=json.loads(message))
    assert shown["visits_without_mask"] == "1"
    assert shown["running"] == "OFF", "paused by the command of the Node-RED flow"
    assert json.loads(shown["camera_visit"])["event_type"] in ("new", "update", "end")
    assert len(shown) > 15


# --- Node-RED


def test_the_node_red_flow_is_wired_and_hears_what_is_published(published):
    ids = {part["id"] for part in FLOW}
    for part in FLOW:
        assert {target for output in part.get("wires", []) for target in output} <= ids
    heard = {t for t in published.subscriber.topics_heard() if topic_matches_sub(node("events")["topic"], t)}
    assert heard == {"maskwatch/entrance/events/camera"}
    rules = [rule["v"] for rule in node("kind")["rules"]]
    assert {event["type"] for event in published.events()} <= set(rules)
    assert all(node("show")["complete"].removeprefix("payload.") in event for event in published.events())


def test_the_command_of_the_node_red_flow_is_carried_out(published):
    answer = json.loads(published.subscriber.last(RESULT))
    assert (answer["ok"], answer["message"]) == (True, "paused for 60 s")


RUN_FUNCTION = """
const kept = {};
const context = {get: name => kept[name], set: (name, value) => { kept[name] = value; }};
const [body, events] = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const once = new Function('msg', 'context', body);
console.log(JSON.stringify(events.map(event => once({payload: event}, context)).filter(msg => msg !== null)));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed; apt-get install nodejs")
def test_the_node_red_function_lets_each_event_pass_once(published):
    events = published.events()
    told = json.dumps([node("once")["func"], [event for event in events for _ in range(2)]])
    done = subprocess.run(["node", "-e", RUN_FUNCTION], input=told, capture_output=True, text=True, check=True)
    assert [message["payload"] for message in json.loads(done.stdout)] == events


# --- the configuration that is installed


def test_the_configuration_that_is_installed_is_accepted_with_and_without_its_comments(tmp_path):
    text = (DEPLOY / "agent.toml").read_text()
    plain = tmp_path / "plain.toml"
    plain.write_text(text)
    assert load(plain, {}).camera[0].source == "0"
    opened = tmp_path / "opened.toml"
    opened.write_text("\n".join(re.sub(r"^# (?=[\[a-z][^A-Z]*(\]|=))", "", line) for line in text.splitlines()))
    config = load(opened, {})
    assert config.mqtt.tls.enabled
    assert effective(config)["http"]["host"] == "0.0.0.0"
    assert config.camera[0].credentials_file
