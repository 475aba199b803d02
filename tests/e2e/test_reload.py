"""SIGHUP and commands on a running agent: what its log, HTTP and MQTT say is in use is what all of it uses."""

from __future__ import annotations

import itertools
import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest

from broker_support import Broker, Subscriber, until
from edge_agent.config import load
from edge_agent.predictor import FaceMaskPredictor
from page_support import Agent, Camera, agent

SECTIONS = """
[mqtt]
host = "127.0.0.1"
port = {port}
snapshots = true
[record]
threshold = 0.5
max_per_minute = 1000
[privacy]
pictures = "{pictures}"
[classifier]
threshold = 0.6
"""
BASE = "maskwatch/front-door"
numbers = itertools.count(1)


@pytest.fixture
def asker(broker: Broker) -> Iterator[Subscriber]:
    asker = Subscriber(broker.port, name=f"asker-{next(numbers)}").start()
    yield asker
    asker.stop()


def reload(running: Agent, folder: Path, before: str = "", after: str = "") -> str:
    """Edit the configuration, send SIGHUP; what the log says of it."""
    config, log = folder / "agent.toml", folder / "agent.log"
    text = config.read_text()
    assert before in text
    config.write_text(text.replace(before, after) if before else text)

    def said() -> list[str]:
        return re.findall(r"configuration reloaded: (.*)", log.read_text())

    count = len(said())
    running.process.send_signal(signal.SIGHUP)
    assert until(lambda: len(said()) > count), log.read_text()
    return said()[-1]


def command(asker: Subscriber, action: str, **args: object) -> tuple[bool, str]:
    """Send it and wait for the answer."""
    name, topic = f"c{next(numbers)}", f"answers/{next(numbers)}"
    asker.send(f"{BASE}/cmd", json.dumps({"id": name, "action": action, "args": args}), ResponseTopic=topic)
    assert until(lambda: asker.last(topic))
    answer = json.loads(asker.last(topic) or b"")
    return answer["ok"], answer["message"]


def info(asker: Subscriber) -> dict[str, object]:
    return dict(json.loads(asker.last(f"{BASE}/info") or b"{}"))


def ready(running: Agent, asker: Subscriber) -> None:
    running.wait("/ready")
    assert until(lambda: asker.last(f"{BASE}/available") == b"online")


def saved(folder: Path) -> int:
    return len(list((folder / "state" / "snapshots").glob("*/*.jpg")))


@pytest.mark.parametrize(("started", "edited"), [("none", "full"), ("full", "none")])
def test_privacy_holds_for_commands_page_and_saved_pictures_alike_until_the_restart(
    broker: Broker, camera: Camera, asker: Subscriber, tmp_path: Path, started: str, edited: str
) -> None:
    sends = started == "full"
    with agent(tmp_path, camera.url, SECTIONS.format(port=broker.port, pictures=started)) as running:
        ready(running, asker)
        assert command(asker, "snapshot")[0] is sends
        hash_of_the_start = info(asker)["config_sha256"]
        said = [reload(running, tmp_path, f'pictures = "{started}"', f'pictures = "{edited}"')]
        said.append(reload(running, tmp_path))
        assert said == ["in use; restart for changes in privacy"] * 2
        known = saved(tmp_path)
        assert command(asker, "snapshot")[0] is sends
        assert httpx.get(running.url + "/live.jpg").status_code == (200 if sends else 403)
        assert info(asker)["config_sha256"] == hash_of_the_start
        if sends:
            assert until(lambda: saved(tmp_path) > known, 60)
        else:
            assert saved(tmp_path) == 0
        assert reload(running, tmp_path, f'pictures = "{edited}"', f'pictures = "{started}"') == "in use"


def test_predictions_follow_the_configuration_and_the_threshold_that_the_agent_uses(
    broker: Broker, camera: Camera, asker: Subscriber, frames: tuple[bytes, ...], tmp_path: Path
) -> None:
    jpeg = frames[30]
    bgr = np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)

    def answers(running: Agent) -> list[dict[str, object]]:
        one = httpx.post(running.url + "/predict", content=jpeg, headers={"content-type": "image/jpeg"}, timeout=60)
        many = httpx.post(running.url + "/batch_predict", files=[("images", ("a.jpg", jpeg, "image/jpeg"))], timeout=60)
        assert one.json()["faces"] == json.loads(many.text)["faces"]
        return list(one.json()["faces"])

    def expected() -> list[dict[str, object]]:
        return list(FaceMaskPredictor(load(tmp_path / "agent.toml", env={})).predict(bgr).to_json()["faces"])

    with agent(tmp_path, camera.url, SECTIONS.format(port=broker.port, pictures="full")) as running:
        ready(running, asker)
        first = answers(running)
        assert first == expected()
        assert any(face["certain"] for face in first)
        hash_of_the_start = info(asker)["config_sha256"]

        assert command(asker, "set_threshold", threshold=1.0)[0]
        assert not any(face["certain"] for face in answers(running))
        assert reload(running, tmp_path) == "in use"
        assert answers(running) == first, "a threshold by command ends with a reload"

        assert reload(running, tmp_path, "threshold = 0.6", "threshold = 1.0") == "in use"
        assert answers(running) == expected()
        assert not any(face["certain"] for face in answers(running))
        assert until(lambda: info(asker)["config_sha256"] != hash_of_the_start)

        assert reload(running, tmp_path, "[classifier]", '[detector]\nkind = "haar"\n[classifier]') == "in use"
        assert httpx.get(running.url + "/model_info").json()["detector"]["name"] == "haar"
        assert answers(running) == expected() != first
