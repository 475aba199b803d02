"""The examples speak of topics, keys and metrics that are really published."""

import json
import re
from pathlib import Path

from edge_agent.config import load
from edge_agent.config.show import effective
from edge_agent.messages import Command, EventMessage
from edge_agent.metrics import Metrics

DEPLOY = Path(__file__).parents[2] / "deploy"


def metric_names() -> set[str]:
    text = Metrics().text().decode()
    return {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}


def base_name(name: str) -> str:
    return re.sub(r"_(bucket|sum|count)$", "", name)


def test_the_grafana_dashboard_asks_for_metrics_that_exist():
    board = json.loads((DEPLOY / "grafana" / "maskwatch.json").read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    names = set(re.findall(r"\b(?:maskwatch|process)_[a-z_]+", " ".join(asked)))
    assert len(names) >= 12
    assert {base_name(name) for name in names} <= metric_names()


def test_the_grafana_dashboard_groups_by_labels_that_exist():
    metrics = Metrics()
    known = {"le", "instance", "reason", "label", "camera", "outcome", "stage"}
    board = (DEPLOY / "grafana" / "maskwatch.json").read_text()
    used = {word.strip() for group in re.findall(r"by \(([^)]*)\)", board) for word in group.split(",")}
    assert used <= known
    for metric in (metrics.frames, metrics.people, metrics.visits, metrics.stage_seconds, metrics.dropped):
        assert set(metric._labelnames) <= known


def test_the_node_red_flow_is_wired_and_uses_published_fields():
    flow = json.loads((DEPLOY / "nodered" / "flow.json").read_text())
    ids = {node["id"] for node in flow}
    for node in flow:
        assert {target for output in node.get("wires", []) for target in output} <= ids
        assert node.get("broker", "maskwatch-broker") in ids | {"broker.lan"}
    events = next(node for node in flow if node["id"] == "maskwatch-events")
    assert events["topic"] == "maskwatch/+/events/+"
    assert "message_id" in EventMessage.model_fields
    command = next(node for node in flow if node["id"] == "maskwatch-pause")
    assert Command.model_validate_json(command["payload"]).args.for_s == 60


def test_the_home_assistant_automations_use_published_topics_and_words():
    text = (DEPLOY / "homeassistant" / "automations.yaml").read_text()
    topics = set(re.findall(r"topic: (\S+)", text))
    assert topics == {"maskwatch/entrance/events/camera", "maskwatch/entrance/camera/camera/status"}
    for field in set(re.findall(r"payload_json\.(\w+)", text)):
        assert field in EventMessage.model_fields


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
